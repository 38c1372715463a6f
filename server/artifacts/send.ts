/** An artifact on its way out: nothing that a browser would run, and nothing that it would guess. */
import type { Request, Response } from "express";
import type { Artifact } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { sendChunks } from "../http/chunks.ts";
import { readArtifact } from "../services/artifacts.ts";
import { contentDisposition, mayShowInline } from "../services/artifacts-names.ts";
import type { Actor } from "../services/audit.ts";
import { isRangeWanted, isUnchanged, rangeOf } from "./ranges.ts";

interface Sending {
  readonly ctx: Context;
  readonly actor: Actor;
  readonly req: Request;
  readonly res: Response;
  /** What the client would like; only harmless types are ever shown in place. */
  readonly isInlineWanted: boolean;
}

/** For GET and HEAD. */
export async function sendArtifact(
  { ctx, actor, req, res, ...how }: Sending,
  artifact: Artifact,
): Promise<void> {
  const { sizeBytes, sha256, contentType } = artifact;
  const etag = `"${sha256}"`;
  setHeaders(res, artifact, etag, how.isInlineWanted && mayShowInline(contentType));
  if (isUnchanged(req.get("if-none-match"), etag)) {
    res.writeHead(304);
    res.end();
    return;
  }
  const isRange = req.method === "GET" && isRangeWanted(req.get("if-range"), etag);
  const wanted = rangeOf(isRange ? req.get("range") : undefined, sizeBytes);
  if (wanted.kind === "unsatisfiable") {
    res.removeHeader("content-disposition");
    res.writeHead(416, { "content-range": `bytes */${sizeBytes}`, "content-length": 0 });
    res.end();
    return;
  }
  const { startByte, endByte } = wanted.kind === "part" ? wanted : { startByte: 0, endByte: sizeBytes };
  res.setHeader(
    "content-type",
    contentType.startsWith("text/") ? `${contentType}; charset=utf-8` : contentType,
  );
  res.setHeader("content-length", endByte - startByte);
  if (wanted.kind === "part") {
    res.statusCode = 206;
    res.setHeader("content-range", `bytes ${startByte}-${endByte - 1}/${sizeBytes}`);
  }
  if (req.method === "HEAD") {
    res.end();
    return;
  }
  const chunks = (await readArtifact(ctx, actor, artifact, { startByte, endByte }))[Symbol.asyncIterator]();
  // The first chunk before the head: what can't be read is an error and no download that breaks off.
  const first = await chunks.next();
  await sendChunks(res, first, chunks);
}

function setHeaders(res: Response, { name, sha256 }: Artifact, etag: string, isInline: boolean): void {
  res.setHeader("etag", etag);
  res.setHeader("accept-ranges", "bytes");
  res.setHeader("repr-digest", `sha-256=:${Buffer.from(sha256, "hex").toString("base64")}:`);
  res.setHeader("content-disposition", contentDisposition(name, isInline ? "inline" : "attachment"));
  res.setHeader("x-content-type-options", "nosniff");
  res.setHeader("content-security-policy", "default-src 'none'; sandbox");
  res.setHeader("cross-origin-resource-policy", "same-origin");
  res.setHeader("referrer-policy", "no-referrer"); // a link is a credential
  res.setHeader("cache-control", "private, no-cache");
}

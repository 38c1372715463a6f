/**
 * Links with which whoever holds them may move one artifact's bytes for a short time: to and from the bucket
 * itself where there is one and settings allow it, else to and from this server.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Artifact } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { AppError } from "../errors.ts";
import { contentDisposition } from "./artifacts-names.ts";

const PURPOSE = "artifact links";
/** S3 takes no more in one PUT. */
const DIRECT_BYTES_MAX = 5 * 1024 ** 3;

type LinkMethod = "GET" | "PUT";

export interface UploadLink {
  readonly method: "PUT";
  readonly url: string;
  /** To be sent as they are. */
  readonly headers: Readonly<Record<string, string>>;
  readonly expiresMs: number;
  readonly isDirect: boolean;
}

/** What a link of ours says, signed. */
interface Claim {
  readonly method: LinkMethod;
  readonly organization: string;
  readonly id: string;
  readonly expiresMs: number;
  /** Who asked for the link. */
  readonly by: string;
}

function sign(ctx: Context, keyId: number, claim: Claim): Buffer | null {
  const key = ctx.keyring.scopeKey(keyId, claim.organization, PURPOSE);
  if (key === null) return null;
  const { method, organization, id, expiresMs, by } = claim;
  return createHmac("sha256", key)
    .update(JSON.stringify([method, organization, id, expiresMs, by]))
    .digest();
}

function queryOf(ctx: Context, claim: Claim): string {
  const { currentId } = ctx.keyring;
  const mac = sign(ctx, currentId, claim)?.toString("base64url") ?? "";
  const signature = `${currentId.toString(16)}.${mac}`;
  return new URLSearchParams({ expires: String(claim.expiresMs), by: claim.by, signature }).toString();
}

/**
 * Whose link this is. Checked before anything is looked up.
 * @throws AppError ARTIFACT_LINK_INVALID for one that ended, was altered or is for another method
 */
export function checkLink(
  ctx: Context,
  target: Pick<Claim, "method" | "organization" | "id">,
  query: Readonly<Record<string, unknown>>,
): { readonly by: string } {
  const { expires, by, signature } = query;
  const expiresMs =
    typeof expires === "string" && /^[0-9]{1,15}$/.test(expires) ? Number(expires) : Number.NaN;
  const [, keyId = "", mac = ""] =
    typeof signature === "string" ? (/^([0-9a-f]{1,8})\.([A-Za-z0-9_-]{43})$/.exec(signature) ?? []) : [];
  if (typeof by !== "string" || mac === "" || !(expiresMs > ctx.nowMs())) {
    throw new AppError("ARTIFACT_LINK_INVALID");
  }
  const real = sign(ctx, Number.parseInt(keyId, 16), { ...target, expiresMs, by });
  const given = Buffer.from(mac, "base64url");
  if (real === null || given.length !== real.length || !timingSafeEqual(given, real)) {
    throw new AppError("ARTIFACT_LINK_INVALID");
  }
  return { by };
}

/** `baseUrl` is where clients reach this server. */
export async function uploadLink(
  ctx: Context,
  artifact: Artifact,
  by: string,
  baseUrl: string,
): Promise<UploadLink> {
  const { artifactDirect, artifactLinkSeconds: expiresSeconds } = ctx.config;
  const expiresMs = ctx.nowMs() + expiresSeconds * 1000;
  const { organization, id, sizeBytes, contentType, sha256, blobKey: key } = artifact;
  if (ctx.blobs.direct !== undefined && artifactDirect && sizeBytes <= DIRECT_BYTES_MAX) {
    const sha256Base64 = Buffer.from(sha256, "hex").toString("base64");
    const upload = { key, sizeBytes, contentType, sha256Base64, expiresSeconds };
    return { ...(await ctx.blobs.direct.presignPut(upload)), expiresMs, isDirect: true };
  }
  const query = queryOf(ctx, { method: "PUT", organization, id, expiresMs, by });
  const url = `${baseUrl}/api/artifacts/${organization}/uploads/${id}/content?${query}`;
  return { method: "PUT", url, headers: { "content-type": contentType }, expiresMs, isDirect: false };
}

/** For one part of an upload, to the bucket itself; null where parts go through this server. */
export async function partLink(
  ctx: Context,
  part: { readonly key: string; readonly sizeBytes: number; readonly sha256: string },
): Promise<UploadLink | null> {
  const { artifactDirect, artifactLinkSeconds: expiresSeconds } = ctx.config;
  if (ctx.blobs.direct === undefined || !artifactDirect) return null;
  const { key, sizeBytes } = part;
  const sha256Base64 = Buffer.from(part.sha256, "hex").toString("base64");
  const upload = { key, sizeBytes, contentType: "application/octet-stream", sha256Base64, expiresSeconds };
  const expiresMs = ctx.nowMs() + expiresSeconds * 1000;
  return { ...(await ctx.blobs.direct.presignPut(upload)), expiresMs, isDirect: true };
}

/** Only what is in the bucket as it is can come from there. */
export async function downloadLink(
  ctx: Context,
  artifact: Artifact,
  by: string,
  baseUrl: string,
): Promise<{ url: string; expiresMs: number; isDirect: boolean }> {
  const { artifactDirect, artifactLinkSeconds: expiresSeconds } = ctx.config;
  const expiresMs = ctx.nowMs() + expiresSeconds * 1000;
  const { organization, id, name, blobKey: key, isSealed } = artifact;
  if (ctx.blobs.direct !== undefined && artifactDirect && !isSealed) {
    const disposition = contentDisposition(name, "attachment");
    const url = await ctx.blobs.direct.presignGet({ key, expiresSeconds, contentDisposition: disposition });
    return { url, expiresMs, isDirect: true };
  }
  const query = queryOf(ctx, { method: "GET", organization, id, expiresMs, by });
  return {
    url: `${baseUrl}/api/artifacts/${organization}/signed/${id}?${query}`,
    expiresMs,
    isDirect: false,
  };
}

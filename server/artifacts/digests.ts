/** Checksums of a body as clients send them. */
import type { IncomingHttpHeaders } from "node:http";
import { AppError } from "../errors.ts";
import type { Expected } from "../services/artifacts-tally.ts";

function hexOf(header: string, base64: string, bytes: number): string {
  const digest = Buffer.from(base64, "base64");
  if (digest.length === bytes && /^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return digest.toString("hex");
  throw new AppError("INVALID_REQUEST", {}, { detail: `${header} is not the base64 of ${bytes} bytes` });
}

/** `Digest: sha-256=…` (RFC 3230) and `Content-Digest: sha-256=:…:` (RFC 9530); other algorithms are ignored. */
function sha256Of(header: string, value: string): string | undefined {
  for (const item of value.split(",")) {
    const [, base64] = /^\s*sha-256\s*=\s*:?([^:\s]*):?\s*$/i.exec(item) ?? [];
    if (base64 !== undefined) return hexOf(header, base64, 32);
  }
  return undefined;
}

/** @throws AppError INVALID_REQUEST for digests that can't be, or that contradict each other */
export function expectedOf(headers: IncomingHttpHeaders): Expected {
  const found: string[] = [];
  for (const header of ["digest", "content-digest", "repr-digest"] as const) {
    const value = headers[header];
    const sha256 = typeof value === "string" ? sha256Of(header, value) : undefined;
    if (sha256 !== undefined) found.push(sha256);
  }
  const amz = headers["x-amz-checksum-sha256"];
  if (typeof amz === "string") found.push(hexOf("x-amz-checksum-sha256", amz, 32));
  if (new Set(found).size > 1) {
    throw new AppError("INVALID_REQUEST", {}, { detail: "the checksums contradict each other" });
  }
  const md5 = headers["content-md5"];
  const isPlain = (headers["content-encoding"] ?? "identity") === "identity";
  const length = headers["content-length"];
  return {
    ...(found[0] === undefined ? {} : { sha256: found[0] }),
    ...(typeof md5 === "string" ? { md5: hexOf("content-md5", md5, 16) } : {}),
    ...(isPlain && length !== undefined ? { sizeBytes: Number(length) } : {}),
  };
}

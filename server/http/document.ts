/** Large documents on their way out: streamed, and gzip when the client takes it. */

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip, gzipSync } from "node:zlib";
import type { Request, Response } from "express";
import type { DocumentBytes } from "../services/state.ts";

/** Below this gzip saves nothing worth its time: it all fits into what a connection sends at first. */
const GZIP_FROM_BYTES = 8192;
const AT_ONCE_BYTES = 256 * 1024;
const GZIP_LEVEL = 1;

/** `gzip` in any place of the list, unless it is ruled out with a weight of 0. */
const TAKES_GZIP = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/;

export async function sendDocument(req: Request, res: Response, document: DocumentBytes): Promise<void> {
  const gzip =
    document.sizeBytes >= GZIP_FROM_BYTES && TAKES_GZIP.test(String(req.headers["accept-encoding"] ?? ""));
  res.setHeader("content-type", "application/json");
  if (gzip) res.setHeader("content-encoding", "gzip");
  if (document.sizeBytes <= AT_ONCE_BYTES) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of document.bytes) chunks.push(chunk);
    const plain = Buffer.concat(chunks);
    const body = gzip ? gzipSync(plain, { level: GZIP_LEVEL }) : plain;
    res.setHeader("content-length", body.byteLength);
    res.end(body);
    return;
  }
  if (!gzip) res.setHeader("content-length", document.sizeBytes);
  const source = Readable.from(document.bytes, { objectMode: false });
  if (gzip) await pipeline(source, createGzip({ level: GZIP_LEVEL }), res);
  else await pipeline(source, res);
}

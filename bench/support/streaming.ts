/** Bodies that are streamed in either direction, over `node:http`. */
import { createHash, type Hash } from "node:crypto";
import { type IncomingMessage, request } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { ADMIN_TOKEN } from "./child.ts";

const GZIP_LEVEL = 1;

export interface StreamedRequest {
  readonly port: number;
  readonly path: string;
  readonly lease: string;
  readonly isGzip: boolean;
  /** Announced as Content-Length; null sends the body in chunks. */
  readonly contentLength: number | null;
}

export interface StreamedAnswer {
  readonly status: number;
  readonly body: string;
}

/** Sends until it is done or answered: a server may refuse a body long before it has it. */
export async function sendStream(input: StreamedRequest, body: Iterable<Buffer>): Promise<StreamedAnswer> {
  const req = request({
    port: input.port,
    host: "127.0.0.1",
    method: "PATCH",
    path: input.path,
    headers: {
      authorization: input.lease,
      "content-type": "application/json",
      ...(input.isGzip ? { "content-encoding": "gzip" } : {}),
      ...(input.contentLength === null ? {} : { "content-length": input.contentLength }),
    },
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    req.once("response", resolve);
    req.once("error", reject);
  });
  const source = Readable.from(body);
  const sent = input.isGzip
    ? pipeline(source, createGzip({ level: GZIP_LEVEL }), req)
    : pipeline(source, req);
  sent.catch(() => undefined); // cut off because it was answered; without an answer `answered` rejects
  const response = await answered;
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  source.destroy();
  req.destroy();
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") };
}

export interface Hashed {
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** GETs a document and hashes it as it comes, decompressed. */
export async function hashOfGet(port: number, path: string, isGzip: boolean): Promise<Hashed> {
  const headers = { authorization: `token ${ADMIN_TOKEN}`, "accept-encoding": isGzip ? "gzip" : "identity" };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ port, host: "127.0.0.1", path, headers }, resolve).once("error", reject).end();
  });
  if (response.statusCode !== 200) throw new Error(`GET ${path}: ${response.statusCode}`);
  const hash = createHash("sha256");
  const hashing = async (source: AsyncIterable<Buffer>) => hashAll(source, hash);
  const isPacked = response.headers["content-encoding"] === "gzip";
  if (isPacked !== isGzip) throw new Error(`GET ${path}: the answer is ${isPacked ? "" : "not "}gzip`);
  const sizeBytes = isPacked
    ? await pipeline(response, createGunzip({ chunkSize: 256 * 1024 }), hashing)
    : await pipeline(response, hashing);
  return { sha256: hash.digest("hex"), sizeBytes };
}

async function hashAll(source: AsyncIterable<Buffer>, hash: Hash): Promise<number> {
  let sizeBytes = 0;
  for await (const chunk of source) {
    hash.update(chunk);
    sizeBytes += chunk.byteLength;
  }
  return sizeBytes;
}

/**
 * Request bodies: plain or gzip, bounded after decompression, read whole or streamed. Nothing here keeps more
 * than its limit in memory, whatever a client sends.
 */
import type { IncomingMessage } from "node:http";
import { createGunzip, gunzipSync } from "node:zlib";
import { AppError } from "../errors.ts";
import type { PackedBody } from "../services/saves.ts";

/** Compressed bodies up to this size are inflated in one call: a stream costs more than it saves. */
const INFLATE_AT_ONCE_BYTES = 64 * 1024;
/** What such a body may inflate to before it takes the streamed way after all. */
const INFLATED_AT_ONCE_BYTES = 4 * 1024 * 1024;

const CHUNK_BYTES_MIN = 256;
const CHUNK_BYTES_MAX = 64 * 1024;

function encodingOf(req: IncomingMessage): "gzip" | "identity" {
  const encoding = req.headers["content-encoding"]?.trim().toLowerCase() ?? "identity";
  if (encoding === "gzip" || encoding === "x-gzip") return "gzip";
  if (encoding === "identity" || encoding === "") return "identity";
  throw new AppError("UNSUPPORTED_ENCODING");
}

function tooLarge(maxBytes: number): AppError {
  return new AppError("BODY_TOO_LARGE", { maxBytes }, { detail: `at most ${maxBytes} bytes` });
}

async function* limited(body: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxBytes) throw tooLarge(maxBytes);
    yield chunk;
  }
}

/** Errors of a request stream: cut off, or gzip that is no gzip. */
function asBodyError(error: unknown): unknown {
  if (error instanceof AppError) return error;
  const detail =
    error instanceof Error && "code" in error && String(error.code).startsWith("Z_")
      ? "the gzip data is damaged or cut off"
      : "the connection was cut while it arrived";
  return new AppError("MALFORMED_BODY", {}, { cause: error, detail });
}

/**
 * The decompressed body as a stream. `maxBytes` bounds the decompressed size.
 * @throws AppError BODY_TOO_LARGE | MALFORMED_BODY | UNSUPPORTED_ENCODING, out of the iteration
 */
export async function* streamBody(req: IncomingMessage, maxBytes: number): AsyncGenerator<Uint8Array> {
  const encoding = encodingOf(req);
  const announced = Number(req.headers["content-length"] ?? 0);
  if (announced > maxBytes) throw tooLarge(maxBytes);
  try {
    if (encoding === "identity") {
      // Whoever stops reading must not close the connection: the answer still has to go out on it.
      yield* limited(req.iterator({ destroyOnReturn: false }), maxBytes);
      return;
    }
    const gunzip = createGunzip({ chunkSize: 64 * 1024 });
    const forward = (error: Error) => gunzip.destroy(error);
    req.once("error", forward);
    req.once("aborted", () => forward(new Error("aborted")));
    req.pipe(gunzip);
    try {
      yield* limited(gunzip, maxBytes);
    } finally {
      req.unpipe(gunzip);
      req.off("error", forward);
      gunzip.destroy();
    }
  } catch (error) {
    throw asBodyError(error);
  }
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined
    ? Buffer.from(only.buffer, only.byteOffset, only.byteLength)
    : Buffer.concat(chunks);
}

/** The raw bytes of a request, without the cost of an async iterator: this is the path of every save. */
function collectRaw(req: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    req.on("data", (chunk: Buffer) => {
      sizeBytes += chunk.byteLength;
      if (sizeBytes > maxBytes) {
        req.removeAllListeners("data");
        req.resume();
        reject(tooLarge(maxBytes));
        return;
      }
      chunks.push(chunk);
    });
    req.once("end", () =>
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)),
    );
    req.once("error", (error) => reject(asBodyError(error)));
    req.once("aborted", () => reject(asBodyError(new Error("aborted"))));
  });
}

/**
 * The whole decompressed body.
 * @throws AppError BODY_TOO_LARGE | MALFORMED_BODY | UNSUPPORTED_ENCODING
 */
export async function readBody(req: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return (await readPackedBody(req, maxBytes)).plain;
}

/**
 * Room for what a small body inflates to, by what its trailer says: memory is most of the cost of inflating it, and
 * all of it stays as long as the body does.
 */
function chunkSizeOf(gzip: Buffer): number {
  const plainBytes = gzip.length < 4 ? 0 : gzip.readUInt32LE(gzip.length - 4);
  return Math.min(Math.max(plainBytes + 1, CHUNK_BYTES_MIN), CHUNK_BYTES_MAX);
}

/** As `readBody`, for what is stored the way it came. */
export async function readPackedBody(req: IncomingMessage, maxBytes: number): Promise<PackedBody> {
  const encoding = encodingOf(req);
  const announced = Number(req.headers["content-length"] ?? Number.POSITIVE_INFINITY);
  if (Number.isFinite(announced) && announced > maxBytes) throw tooLarge(maxBytes);
  if (encoding === "identity") return { plain: await collectRaw(req, maxBytes), gzip: null };
  if (announced > INFLATE_AT_ONCE_BYTES)
    return { plain: await collect(streamBody(req, maxBytes)), gzip: null };
  const packed = await collectRaw(req, maxBytes);
  if (packed.byteLength === 0) return { plain: packed, gzip: null };
  try {
    const maxOutputLength = Math.min(maxBytes, INFLATED_AT_ONCE_BYTES);
    const plain = gunzipSync(packed, { maxOutputLength, chunkSize: chunkSizeOf(packed) });
    return { plain, gzip: packed };
  } catch (error) {
    const isOverflow = error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
    if (!isOverflow) throw asBodyError(error);
    if (maxBytes <= INFLATED_AT_ONCE_BYTES) throw tooLarge(maxBytes);
    const gunzip = createGunzip();
    gunzip.end(packed);
    try {
      return { plain: await collect(limited(gunzip, maxBytes)), gzip: null };
    } catch (streamError) {
      throw asBodyError(streamError);
    }
  }
}

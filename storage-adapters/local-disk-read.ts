import type { FileHandle } from "node:fs/promises";
import type { ByteRange } from "./byte-range.ts";
import { BlobStoreUnavailableError } from "./contract.ts";
import { named } from "./local-disk-errors.ts";

const CHUNK_BYTES = 256 * 1024;

/**
 * Takes `file` over and closes it. What fits one chunk is read at once, so most blobs leave no file open; of
 * a larger one the file stays open until the iteration ends.
 */
export async function readRange(
  file: FileHandle,
  range: ByteRange | null,
): Promise<AsyncIterable<Uint8Array>> {
  try {
    const { size } = await file.stat();
    const endByte = Math.min(range?.endByte ?? size, size);
    const startByte = Math.min(range?.startByte ?? 0, endByte);
    if (endByte - startByte > CHUNK_BYTES) return readChunks(file, startByte, endByte);
    const chunk = await readChunk(file, startByte, endByte - startByte);
    closeUnwatched(file);
    return oneChunk(chunk);
  } catch (error) {
    closeUnwatched(file);
    throw error;
  }
}

async function* oneChunk(chunk: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  if (chunk.length > 0) yield chunk;
}

async function* readChunks(
  file: FileHandle,
  startByte: number,
  endByte: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for (let at = startByte; at < endByte; ) {
      const chunk = await named(readChunk(file, at, Math.min(CHUNK_BYTES, endByte - at)));
      yield chunk;
      at += chunk.length;
    }
  } finally {
    closeUnwatched(file);
  }
}

/** Exactly `lengthBytes`: a file that was put whole can only be shorter by somebody's hand. */
async function readChunk(file: FileHandle, position: number, lengthBytes: number): Promise<Uint8Array> {
  const chunk = Buffer.allocUnsafeSlow(lengthBytes);
  for (let filled = 0; filled < lengthBytes; ) {
    const { bytesRead } = await file.read(chunk, filled, lengthBytes - filled, position + filled);
    if (bytesRead === 0)
      throw new BlobStoreUnavailableError("A blob's file became shorter while it was read");
    filled += bytesRead;
  }
  return chunk;
}

/** Nothing was written: there is no failure worth a wait or a word. */
function closeUnwatched(file: FileHandle): void {
  file.close().catch(() => undefined);
}

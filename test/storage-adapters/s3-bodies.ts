import { createHash } from "node:crypto";

export const MIB = 1024 * 1024;
export const ROOMY = { maxBytes: 512 * MIB };

/** A body of chunks that are made as they are asked for, and that knows how far it was read. */
export class TestBody {
  sentBytes = 0;
  isReleased = false;
  readonly #hash = createHash("sha256");

  async *of(sizeBytes: number, chunkBytes = 100_000): AsyncGenerator<Uint8Array> {
    try {
      while (this.sentBytes < sizeBytes) {
        const chunk = Buffer.alloc(Math.min(chunkBytes, sizeBytes - this.sentBytes), this.sentBytes % 251);
        this.#hash.update(chunk);
        this.sentBytes += chunk.length;
        yield chunk;
      }
    } finally {
      this.isReleased = true;
    }
  }

  /** Of what was sent; to be asked once. */
  sha256(): string {
    return this.#hash.digest("hex");
  }
}

export async function sha256Of(body: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of body) hash.update(chunk);
  return hash.digest("hex");
}

/** Chunks on their way into parts of a fixed size. Chunks are kept, not copied, until they are taken. */
export class Gathered {
  #chunks: Uint8Array[] = [];
  #sizeBytes = 0;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  add(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#sizeBytes += chunk.length;
  }

  /** The first `lengthBytes`, or all there is when that is less. */
  take(lengthBytes: number): Uint8Array {
    const taken: Uint8Array[] = [];
    let missing = Math.min(lengthBytes, this.#sizeBytes);
    this.#sizeBytes -= missing;
    let count = 0;
    for (const chunk of this.#chunks) {
      if (chunk.length > missing) break;
      taken.push(chunk);
      missing -= chunk.length;
      count++;
    }
    this.#chunks = this.#chunks.slice(count);
    const [split] = this.#chunks;
    if (missing > 0 && split !== undefined) {
      taken.push(split.subarray(0, missing));
      this.#chunks[0] = split.subarray(missing);
    }
    const [only] = taken;
    return taken.length === 1 && only !== undefined ? only : Buffer.concat(taken);
  }
}

/**
 * Chunks copied together into writes and parts of a fixed size. Copied, not kept: whoever made a chunk may use
 * its memory again, and one long write is cheaper than many short ones.
 */
export class Gathered {
  readonly #sizeBytesMax: number;
  #memory = Buffer.alloc(0);
  #sizeBytes = 0;

  constructor(sizeBytesMax: number) {
    this.#sizeBytesMax = sizeBytesMax;
  }

  /** What did not fit any more; then it is time to take `bytes`. */
  add(chunk: Uint8Array): Uint8Array {
    const part = chunk.subarray(0, this.#sizeBytesMax - this.#sizeBytes);
    this.#grow(this.#sizeBytes + part.length);
    this.#memory.set(part, this.#sizeBytes);
    this.#sizeBytes += part.length;
    return chunk.subarray(part.length);
  }

  /** A view: good until the next `add`. */
  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#sizeBytes);
  }

  /** Keeps its memory for what comes next. */
  clear(): void {
    this.#sizeBytes = 0;
  }

  /** Gives the memory back at once: the garbage collector counts what lies outside its heap only loosely. */
  release(): void {
    this.clear();
    this.#replace(Buffer.alloc(0));
  }

  /** Most blobs are one small chunk, and get no more than that. */
  #grow(neededBytes: number): void {
    if (neededBytes <= this.#memory.length) return;
    const roomyBytes = Math.max(neededBytes, this.#memory.length * 2);
    const memory = Buffer.allocUnsafeSlow(Math.min(roomyBytes, this.#sizeBytesMax));
    memory.set(this.bytes);
    this.#replace(memory);
  }

  #replace(memory: Buffer<ArrayBuffer>): void {
    if (this.#memory.length > 0) this.#memory.buffer.transfer(0);
    this.#memory = memory;
  }
}

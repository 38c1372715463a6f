import { freeBytes } from "./memory.ts";

/** Parts of one `take` kept side by side; a stream of single bytes would otherwise cost a hundred times its size. */
const PARTS_MAX = 1024;

export interface ByteReaderOptions {
  /** The chunks are the reader's own: what one call gave is freed by the next. */
  readonly recycle?: boolean;
}

/** Takes exact numbers of bytes from chunks of any size; copies only what lies across two chunks. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  readonly #recycle: boolean;
  /** The chunk read last, and what is left of it. */
  #chunk: Uint8Array = new Uint8Array(0);
  #held: Uint8Array = this.#chunk;
  /** Chunks of which everything was given out. */
  #spent: Uint8Array[] = [];
  #ended = false;

  constructor(
    body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    { recycle = false }: ByteReaderOptions = {},
  ) {
    this.#recycle = recycle;
    this.#chunks = Symbol.asyncIterator in body ? body[Symbol.asyncIterator]() : body[Symbol.iterator]();
  }

  /** `bytes` bytes, or fewer only when the stream ends before. Throws what the stream throws. */
  async take(bytes: number): Promise<Uint8Array> {
    const parts = await this.takeParts(bytes);
    const [only] = parts;
    // Not gathered in one array of `bytes`: a small document would pay for clearing 256 KiB.
    return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
  }

  /** As `take`, in the pieces they came in: no copy. */
  async takeParts(bytes: number): Promise<Uint8Array[]> {
    this.#freeSpent();
    const parts: Uint8Array[] = [];
    let missing = bytes;
    while (missing > 0 && (await this.#fill())) {
      const part = this.#takeHeld(missing);
      parts.push(part);
      missing -= part.length;
      if (parts.length === PARTS_MAX) parts.splice(0, PARTS_MAX, Buffer.concat(parts));
    }
    return parts;
  }

  /** Whether `take` would give nothing; reads ahead to tell. */
  async isAtEnd(): Promise<boolean> {
    return !(await this.#fill());
  }

  /** To call when nobody will read on: lets the stream free what it holds. */
  async close(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#chunks.return?.();
  }

  /** Reads on if nothing is held. False at the end. */
  async #fill(): Promise<boolean> {
    while (this.#held.length === 0 && !this.#ended) {
      this.#ended = true; // unless the stream gives us a chunk: one that threw is over too
      const next = await this.#chunks.next();
      if (next.done === true) break;
      this.#ended = false;
      this.#chunk = next.value;
      this.#held = next.value;
    }
    return this.#held.length > 0;
  }

  /** At most `bytes` of what is held. */
  #takeHeld(bytes: number): Uint8Array {
    const part = this.#held.subarray(0, bytes);
    this.#held = this.#held.subarray(part.length);
    if (this.#recycle && this.#held.length === 0) this.#spent.push(this.#chunk);
    return part;
  }

  #freeSpent(): void {
    for (const chunk of this.#spent) freeBytes(chunk);
    this.#spent = [];
  }
}

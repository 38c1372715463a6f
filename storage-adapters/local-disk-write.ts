import { createHash, hash } from "node:crypto";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { type BlobInfo, BlobTooLargeError } from "./contract.ts";
import { named } from "./local-disk-errors.ts";

type Body = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Gathered before each write. A body no larger than this never meets the disk until it is whole. */
const GATHER_BYTES = 256 * 1024;

/**
 * Writes `body` to the new file `path` and syncs its data. On any failure no file is left.
 * @throws BlobTooLargeError; BlobStoreUnavailableError; what `body` throws, as it is
 */
export async function writeWhole(path: string, body: Body, maxBytes: number): Promise<BlobInfo> {
  const writer = new FileWriter(path);
  try {
    let sizeBytes = 0;
    for await (const chunk of body) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) throw new BlobTooLargeError(`The blob is larger than ${maxBytes} bytes`);
      const full = writer.add(chunk);
      if (full) await named(writer.flush());
    }
    return { sizeBytes, sha256: await named(writer.finish()) };
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

class FileWriter {
  readonly #path: string;
  readonly #hash = createHash("sha256");
  #file: FileHandle | null = null;
  #flushed = false;
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** True when it is time to flush. The chunk is kept, not copied, until then. */
  add(chunk: Uint8Array): boolean {
    this.#gathered.push(chunk);
    this.#gatheredBytes += chunk.length;
    return this.#gatheredBytes > GATHER_BYTES;
  }

  async flush(): Promise<void> {
    const bytes = this.#take();
    this.#hash.update(bytes);
    this.#flushed = true;
    await this.#write(bytes);
  }

  /** Data on the disk, file closed. Gives the SHA-256 of everything, hex. */
  async finish(): Promise<string> {
    const bytes = this.#take();
    if (this.#flushed) this.#hash.update(bytes);
    const sha256 = this.#flushed ? this.#hash.digest("hex") : hash("sha256", bytes, "hex");
    const file = await this.#write(bytes);
    await file.datasync(); // the length is data too; times and owner may come later
    this.#file = null;
    // Nobody waits: after the sync a close has nothing left to fail with.
    file.close().catch(() => undefined);
    return sha256;
  }

  async abandon(): Promise<void> {
    const file = this.#file;
    if (file !== null) await file.close().catch(() => undefined);
    // What cannot be removed now, sweepPartial removes later; the first error is the one to tell.
    await unlink(this.#path).catch(() => undefined);
  }

  #take(): Uint8Array {
    const [first] = this.#gathered;
    const bytes = this.#gathered.length === 1 && first !== undefined ? first : Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    return bytes;
  }

  async #write(bytes: Uint8Array): Promise<FileHandle> {
    this.#file ??= await open(this.#path, "wx", 0o600);
    for (let written = 0; written < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, written);
      written += bytesWritten;
    }
    return this.#file;
  }
}

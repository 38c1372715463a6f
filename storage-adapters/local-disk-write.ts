import { type FileHandle, open, unlink } from "node:fs/promises";
import { type BlobInfo, BlobTooLargeError } from "./contract.ts";
import { Gathered } from "./gathered.ts";
import { named } from "./local-disk-errors.ts";

type Body = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Gathered before each write. A body no larger than this never meets the disk until it is whole. */
const GATHER_BYTES = 1024 * 1024;
/** Sent to the disk while more arrives, so that the sync at the end has little left to wait for. */
const SYNC_EVERY_BYTES = 32 * 1024 * 1024;

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
      for (let rest = writer.add(chunk); rest.length > 0; rest = writer.add(rest))
        await named(writer.flush());
    }
    await named(writer.finish());
    return { sizeBytes };
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

/** Writes what was gathered while more is gathered: the disk and whoever makes the bytes don't wait in turns. */
class FileWriter {
  readonly #path: string;
  #file: FileHandle | null = null;
  #gathering = new Gathered(GATHER_BYTES);
  #spare: Gathered | null = null;
  /** The write and the sync under way; each is awaited before the next, or at the end. */
  #writing: Promise<void> = Promise.resolve();
  #syncing: Promise<void> = Promise.resolve();
  #unsyncedBytes = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Copies what fits. Gives the rest, which has to wait for a `flush`. */
  add(chunk: Uint8Array): Uint8Array {
    return this.#gathering.add(chunk);
  }

  /** Begins to write what was gathered. @throws what became of the write before */
  async flush(): Promise<void> {
    await this.#writing;
    const full = this.#gathering;
    this.#gathering = this.#spare ?? new Gathered(GATHER_BYTES);
    this.#spare = null;
    this.#writing = this.#write(full.bytes).then(() => {
      full.clear();
      this.#spare = full;
    });
    this.#writing.catch(() => undefined); // told by the next flush or by finish
  }

  /** Data on the disk, file closed. */
  async finish(): Promise<void> {
    await this.#writing;
    await this.#write(this.#gathering.bytes);
    await this.#syncing;
    await this.#file?.datasync(); // the length is data too; times and owner may come later
    const file = this.#file;
    this.#file = null;
    // Nobody waits: after the sync a close has nothing left to fail with.
    file?.close().catch(() => undefined);
  }

  async abandon(): Promise<void> {
    await Promise.allSettled([this.#writing, this.#syncing]);
    await this.#file?.close().catch(() => undefined);
    // What cannot be removed now, sweepPartial removes later; the first error is the one to tell.
    await unlink(this.#path).catch(() => undefined);
  }

  async #write(bytes: Buffer): Promise<void> {
    this.#file ??= await open(this.#path, "wx", 0o600);
    for (let written = 0; written < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, written);
      written += bytesWritten;
    }
    this.#unsyncedBytes += bytes.length;
    if (this.#unsyncedBytes >= SYNC_EVERY_BYTES) this.#sync(this.#file);
  }

  #sync(file: FileHandle): void {
    this.#unsyncedBytes = 0;
    this.#syncing = this.#syncing.then(() => file.datasync());
    this.#syncing.catch(() => undefined); // told by finish
  }
}

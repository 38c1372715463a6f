/**
 * Blobs as files: `<root>/blobs/<key>+`, written first to `<root>/tmp`. A put is: temp file, sync of its data,
 * rename, sync of the folder. The rename is the commit point; after the last sync it survives a power cut.
 * The file system has to tell upper from lower case.
 */
import { randomBytes } from "node:crypto";
import { mkdir, open, opendir, rename, stat, statfs, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { type ByteRange, checkRange } from "./byte-range.ts";
import { type BlobEntry, type BlobInfo, BlobNotFoundError, type BlobStore } from "./contract.ts";
import { checkBlobKey, checkBlobPrefix } from "./keys.ts";
import { errnoOf, named } from "./local-disk-errors.ts";
import { DurableFolders, syncFolder } from "./local-disk-folders.ts";
import { BLOB_FILE_SUFFIX, entryOf, listBlobs, orMissing } from "./local-disk-list.ts";
import { readRange } from "./local-disk-read.ts";
import { writeWhole } from "./local-disk-write.ts";

/** How often a put starts over because deletes keep taking its folder away. */
const RENAME_ATTEMPTS_MAX = 100;
/** `statfs` types of file systems on the network, where syncs are slow and other rules hold. */
const NETWORK_FILE_SYSTEMS: Readonly<Record<number, string>> = {
  26985: "nfs",
  4283649346: "cifs",
  4266872130: "smb2",
};

export interface LocalDiskOptions {
  /** A folder of our own; made when missing. */
  readonly root: string;
}

/** @throws BlobStoreUnavailableError when the folder can't be made */
export async function openLocalDisk(options: LocalDiskOptions): Promise<BlobStore> {
  const root = resolve(options.root);
  const paths = { root, blobs: join(root, "blobs"), tmp: join(root, "tmp") };
  await named(prepare(paths));
  return new LocalDisk(paths);
}

interface Paths {
  readonly root: string;
  readonly blobs: string;
  readonly tmp: string;
}

async function prepare({ root, blobs, tmp }: Paths): Promise<void> {
  await mkdir(root, { recursive: true, mode: 0o700 });
  await mkdir(blobs, { recursive: true, mode: 0o700 });
  await mkdir(tmp, { recursive: true, mode: 0o700 });
  await syncFolder(root);
  await syncFolder(dirname(root));
}

class LocalDisk implements BlobStore {
  readonly #paths: Paths;
  readonly #folders: DurableFolders;
  /** Names in `tmp` that puts of this process are writing to; a sweep leaves them alone. */
  readonly #writing = new Set<string>();

  constructor(paths: Paths) {
    this.#paths = paths;
    this.#folders = new DurableFolders(paths.blobs);
  }

  async put(...[key, body, limit]: Parameters<BlobStore["put"]>): Promise<BlobInfo> {
    const path = this.#pathOf(key);
    const name = `${process.pid}-${randomBytes(12).toString("hex")}`;
    const temp = join(this.#paths.tmp, name);
    this.#writing.add(name);
    try {
      const info = await writeWhole(temp, body, limit.maxBytes);
      await named(this.#moveIntoPlace(temp, path));
      return info;
    } finally {
      this.#writing.delete(name);
    }
  }

  async open(key: string, range?: ByteRange): Promise<AsyncIterable<Uint8Array>> {
    const path = this.#pathOf(key);
    if (range !== undefined) checkRange(range);
    const file = await named(orMissing(open(path, "r")));
    if (file === null) throw new BlobNotFoundError(`There is no blob ${key}`);
    return named(readRange(file, range ?? null));
  }

  async find(key: string): ReturnType<BlobStore["find"]> {
    return entryOf(this.#pathOf(key), key);
  }

  async delete(key: string): Promise<void> {
    const path = this.#pathOf(key);
    // Not synced: a delete that a power cut undoes leaves a blob that no row names, as a crash before it would.
    await named(orMissing(unlink(path)));
    await named(this.#folders.removeEmpty(dirname(path)));
  }

  async *list(prefix: string): AsyncGenerator<BlobEntry, void, undefined> {
    checkBlobPrefix(prefix);
    yield* listBlobs(this.#paths.blobs, prefix);
  }

  async sweepPartial(olderThanMs: number, { dryRun } = { dryRun: false }): Promise<number> {
    return named(this.#sweep(olderThanMs, dryRun));
  }

  async describe(): Promise<Readonly<Record<string, string>>> {
    const { type, bavail, bsize } = await named(statfs(this.#paths.root));
    return {
      kind: "local-disk",
      root: this.#paths.root,
      fileSystem: NETWORK_FILE_SYSTEMS[type] ?? `local (0x${type.toString(16)})`,
      freeBytes: String(bavail * bsize),
    };
  }

  /** Nothing stays open between calls. */
  async close(): Promise<void> {}

  #pathOf(key: string): string {
    checkBlobKey(key);
    return join(this.#paths.blobs, key + BLOB_FILE_SUFFIX);
  }

  async #moveIntoPlace(temp: string, path: string): Promise<void> {
    const folder = dirname(path);
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#folders.ensure(folder);
        await rename(temp, path);
        break;
      } catch (error) {
        // ENOENT: a delete found the folder empty and removed it under us.
        if (errnoOf(error) === "ENOENT" && attempt < RENAME_ATTEMPTS_MAX) {
          this.#folders.forget(folder);
          continue;
        }
        await unlink(temp).catch(() => undefined);
        throw error;
      }
    }
    // Gone already: somebody deleted this very blob after the rename, and its folder with it.
    await orMissing(syncFolder(folder));
  }

  async #sweep(olderThanMs: number, dryRun: boolean): Promise<number> {
    let removed = 0;
    for await (const { name } of await opendir(this.#paths.tmp)) {
      if (this.#writing.has(name)) continue;
      const path = join(this.#paths.tmp, name);
      const stats = await orMissing(stat(path));
      if (stats === null || stats.mtimeMs >= olderThanMs) continue;
      if (dryRun || (await orMissing(unlink(path).then(() => true))) === true) removed++;
    }
    return removed;
  }
}

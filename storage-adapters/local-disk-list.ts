import type { Dirent } from "node:fs";
import { opendir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { BlobEntry } from "./contract.ts";
import { errnoOf, named, toStoreError } from "./local-disk-errors.ts";

/**
 * No key has this character, so the blob `a` (file `a+`) and the blob `a/b` (in the folder `a`) can both be.
 */
export const BLOB_FILE_SUFFIX = "+";

/** Walks the blobs below `root` whose key starts with `prefix`; opens only folders that can hold such keys. */
export function listBlobs(root: string, prefix: string): AsyncGenerator<BlobEntry, void, undefined> {
  return walk(root, prefix.slice(0, prefix.lastIndexOf("/") + 1), prefix);
}

/** `folder` is a key's beginning: empty, or ending in a slash. */
async function* walk(
  root: string,
  folder: string,
  prefix: string,
): AsyncGenerator<BlobEntry, void, undefined> {
  for await (const entry of entriesOf(join(root, folder))) {
    const path = folder + entry.name;
    if (entry.isDirectory()) {
      const below = `${path}/`;
      if (below.startsWith(prefix) || prefix.startsWith(below)) yield* walk(root, below, prefix);
    } else if (path.endsWith(BLOB_FILE_SUFFIX)) {
      const key = path.slice(0, -BLOB_FILE_SUFFIX.length);
      const found = key.startsWith(prefix) ? await entryOf(join(root, path), key) : null;
      if (found !== null) yield found;
    }
  }
}

/** Ends early when a delete removes the folder during the walk: there was nothing left in it. */
async function* entriesOf(path: string): AsyncGenerator<Dirent, void, undefined> {
  try {
    yield* await opendir(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw toStoreError(error);
  }
}

/** Null when no such file is there (any more). */
export async function entryOf(path: string, key: string): Promise<BlobEntry | null> {
  const stats = await named(orMissing(stat(path)));
  return stats === null ? null : { key, sizeBytes: stats.size, modifiedMs: Math.trunc(stats.mtimeMs) };
}

/** Null instead of ENOENT. */
export async function orMissing<T>(operation: Promise<T>): Promise<T | null> {
  try {
    return await operation;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw error;
  }
}

/**
 * Folders that a power cut cannot take away. A new folder survives only once its parent was synced, and a
 * folder found there may be one that another put made an instant ago and has not synced yet. So each folder
 * is made sure of once per process, and remembered.
 */
import { mkdir, open, rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import { errnoOf } from "./local-disk-errors.ts";

const REMEMBERED_MAX = 50_000;
const ALREADY_GONE = new Set(["ENOENT", "ENOTEMPTY", "EEXIST"]);

/** Makes the entries of a folder durable: files and folders made in it, renamed into it, or removed. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    // Nobody waits: a handle that was only read from has nothing to lose.
    handle.close().catch(() => undefined);
  }
}

export class DurableFolders {
  readonly #root: string;
  readonly #remembered = new Map<string, Promise<void>>();

  /** `root` is there already; all other folders are below it. */
  constructor(root: string) {
    this.#root = root;
  }

  /** Makes `folder` and its parents. Free after the first time. Rejects with what the file system says. */
  ensure(folder: string): Promise<void> {
    if (folder === this.#root) return Promise.resolve();
    const known = this.#remembered.get(folder);
    if (known !== undefined) return known;
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
    const made = this.#make(folder);
    this.#remembered.set(folder, made);
    made.catch(() => {
      if (this.#remembered.get(folder) === made) this.#remembered.delete(folder);
    });
    return made;
  }

  /** To call when `folder` turned out to be missing: it and its parents are looked at again. */
  forget(folder: string): void {
    for (let at = folder; at !== this.#root; at = dirname(at)) this.#remembered.delete(at);
  }

  /**
   * Removes `folder` and its parents as long as they are empty. A put that has just made sure of one of them
   * finds it gone at its rename, and starts over.
   */
  async removeEmpty(folder: string): Promise<void> {
    for (let at = folder; at !== this.#root; at = dirname(at)) {
      try {
        await rmdir(at);
      } catch (error) {
        if (ALREADY_GONE.has(errnoOf(error) ?? "")) return;
        throw error;
      }
      this.#remembered.delete(at);
    }
  }

  async #make(folder: string): Promise<void> {
    const parent = dirname(folder);
    await this.ensure(parent);
    try {
      await mkdir(folder, { mode: 0o700 });
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    }
    await syncFolder(parent);
  }
}

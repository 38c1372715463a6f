/**
 * `instance.json`: who owns the data folder. A new owner replaces the file (temp, fsync, rename); afterwards
 * it writes into its own open file alone, always the whole record at one length. An owner that was replaced
 * therefore writes to a file that nobody sees any more, and can't overwrite its successor's record.
 */
import { readFileSync } from "node:fs";
import { type FileHandle, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";

export interface Owner {
  readonly host: string;
  readonly pid: number;
  /** Kernel boot and pid namespace: only where both are ours does a pid tell whether its process lives. */
  readonly scope: string;
  readonly startedMs: number;
  readonly heartbeatMs: number;
  /** Grows by one with each owner. */
  readonly fence: number;
  /** When the owner let go; null while it holds on, or died. */
  readonly releasedMs: number | null;
}

/** One write of this length replaces the one before: a reader never sees a mix of two lengths. */
const RECORD_BYTES = 1024;

function bytesOf(owner: Owner): Buffer {
  const text = `${JSON.stringify(owner)}\n`;
  return Buffer.from(text.padEnd(RECORD_BYTES, " "));
}

function ownerOf(text: string): Owner | null {
  const record = text.trim();
  return record === "" ? null : (JSON.parse(record) as Owner);
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

/**
 * The record; null when there is none. For the database's thread, which may not go on before it knows.
 * @throws when it can't be read or isn't a record
 */
export function readOwnerSync(path: string): Owner | null {
  try {
    return ownerOf(readFileSync(path, "utf8"));
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

/** The same, without holding up the thread: on a network file system it takes milliseconds. */
export async function readOwner(path: string): Promise<Owner | null> {
  try {
    return ownerOf(await readFile(path, "utf8"));
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The record of the present owner, kept open. */
export class OwnerFile {
  readonly #file: FileHandle;
  #owner: Owner;

  private constructor(file: FileHandle, owner: Owner) {
    this.#file = file;
    this.#owner = owner;
  }

  /** Makes `owner` the owner; durable on return. */
  static async replace(path: string, owner: Owner): Promise<OwnerFile> {
    const temp = `${path}.${owner.fence}.tmp`;
    const file = await open(temp, "w", 0o600);
    try {
      await file.write(bytesOf(owner), 0, RECORD_BYTES, 0);
      await file.sync();
      await rename(temp, path);
      await syncFolder(path);
      return new OwnerFile(file, owner);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get owner(): Owner {
    return this.#owner;
  }

  /** Rewrites the record in place; durable on return. */
  async write(changes: Partial<Pick<Owner, "heartbeatMs" | "releasedMs">>): Promise<void> {
    this.#owner = { ...this.#owner, ...changes };
    await this.#file.write(bytesOf(this.#owner), 0, RECORD_BYTES, 0);
    await this.#file.datasync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

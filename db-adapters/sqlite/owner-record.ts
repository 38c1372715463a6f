/**
 * `instance.json`: who owns the data folder. A new owner replaces the file (temp, fsync, rename); afterwards
 * it writes into its own open file alone, always the whole record at one length. An owner that was replaced
 * therefore writes to a file that nobody sees any more, and can't overwrite its successor's record.
 */
import { closeSync, fdatasyncSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
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

/**
 * The record; null when there is none or it holds nothing.
 * @throws when it can't be read or isn't a record
 */
export function readOwner(path: string): Owner | null {
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
  return text === "" ? null : (JSON.parse(text) as Owner);
}

function syncFolder(path: string): void {
  const fd = openSync(dirname(path), "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The record of the present owner, kept open. */
export class OwnerFile {
  readonly #fd: number;
  #owner: Owner;

  private constructor(fd: number, owner: Owner) {
    this.#fd = fd;
    this.#owner = owner;
  }

  /** Makes `owner` the owner; durable on return. */
  static replace(path: string, owner: Owner): OwnerFile {
    const temp = `${path}.${owner.fence}.tmp`;
    const fd = openSync(temp, "w");
    try {
      writeSync(fd, bytesOf(owner), 0, RECORD_BYTES, 0);
      fsyncSync(fd);
      renameSync(temp, path);
      syncFolder(path);
      return new OwnerFile(fd, owner);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  get owner(): Owner {
    return this.#owner;
  }

  /** Rewrites the record in place. */
  write(changes: Partial<Pick<Owner, "heartbeatMs" | "releasedMs">>): void {
    this.#owner = { ...this.#owner, ...changes };
    writeSync(this.#fd, bytesOf(this.#owner), 0, RECORD_BYTES, 0);
    fdatasyncSync(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Generated secrets in the data folder: made once whoever starts at the same time, never replaced. */
import { randomBytes } from "node:crypto";
import { link, open, readFile, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Longer than any secret; a file beyond it isn't one. */
const SECRET_BYTES_MAX = 4096;
/** What file systems without hard links answer to link(2): SMB, some FUSE. */
const NO_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

export interface SecretFile {
  readonly value: string;
  /** Permission bits, such as 0o600. */
  readonly mode: number;
}

/** The secret in `path` without its last newline; null when there is no such file. */
export async function findSecretFile(path: string): Promise<SecretFile | null> {
  try {
    const { mode, size } = await stat(path);
    const value = size > SECRET_BYTES_MAX ? "" : await readFile(path, "utf8");
    return { value: value.replace(/(\r?\n)+$/, ""), mode: mode & 0o777 };
  } catch (error) {
    if (errorCode(error) === "ENOENT") return null;
    throw error;
  }
}

/**
 * Puts `value` into a new file of mode 0600, whole or not at all and durable on return. Of many callers at
 * once one creates; the others find the file there. link(2) rather than rename(2): a rename would replace
 * the other starter's secret.
 */
export async function createSecretFile(path: string, value: string): Promise<"created" | "exists"> {
  const folder = dirname(path);
  const temporary = join(folder, `.secret-${randomBytes(8).toString("hex")}.tmp`);
  await writeNew(temporary, value);
  try {
    await link(temporary, path);
    return "created";
  } catch (error) {
    if (errorCode(error) === "EEXIST") return "exists";
    if (NO_LINKS.has(errorCode(error))) return await createWithoutLinks(path, value);
    throw error;
  } finally {
    await unlink(temporary);
    // For the loser too: it must not use a secret that a power cut could still take away.
    await syncFolder(folder);
  }
}

/** fsync of a folder makes the names in it durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } catch (error) {
    // Some file systems can't sync a folder; there is nothing else to do on them.
    if (!["EINVAL", "ENOTSUP", "EOPNOTSUPP"].includes(errorCode(error))) throw error;
  } finally {
    await handle.close();
  }
}

export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

async function createWithoutLinks(path: string, value: string): Promise<"created" | "exists"> {
  try {
    await writeNew(path, value);
    return "created";
  } catch (error) {
    if (errorCode(error) === "EEXIST") return "exists";
    throw error;
  }
}

async function writeNew(path: string, value: string): Promise<void> {
  const handle = await open(path, "wx", 0o600);
  try {
    await handle.writeFile(`${value}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

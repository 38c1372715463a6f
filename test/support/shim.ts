/** Disks that are slow, full or broken: an LD_PRELOAD library, built when a test needs it. */
import { execFileSync, spawnSync } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("./disk-shim.c", import.meta.url));

/** Whether such disks can be made here. Says loudly when not: a test that is skipped shows nothing. */
export function hasDiskShim(): boolean {
  const isHere = process.platform === "linux" && spawnSync("cc", ["--version"]).status === 0;
  if (!isHere) {
    console.error(
      "\n!!! NO C COMPILER (cc) ON LINUX HERE: the tests on slow, full and broken disks are SKIPPED !!!\n",
    );
  }
  return isHere;
}

/**
 * `all`: syncs and writes fail; `s`: syncs alone (EIO); `w`: writes alone (ENOSPC); `h`: of each write one half
 * gets through before the disk is full.
 */
export type Trouble = "all" | "s" | "w" | "h";

export class DiskShim {
  /** For the environment of the server. */
  readonly env: Readonly<Record<string, string>>;
  readonly #control: string;

  /** `dir` takes the library; only files below `root` are affected. */
  constructor(options: { readonly dir: string; readonly root: string; readonly syncUs?: number }) {
    const library = join(options.dir, "disk-shim.so");
    execFileSync("cc", ["-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"]);
    this.#control = join(options.dir, "trouble");
    this.env = {
      LD_PRELOAD: library,
      DISK_SHIM_ROOT: options.root,
      DISK_SHIM_FAIL: this.#control,
      ...(options.syncUs === undefined ? {} : { DISK_SHIM_SYNC_US: String(options.syncUs) }),
    };
  }

  /** From here on, until it is repaired. */
  break(trouble: Trouble): Promise<void> {
    return writeFile(this.#control, trouble === "all" ? "a" : trouble);
  }

  repair(): Promise<void> {
    return rm(this.#control, { force: true });
  }
}

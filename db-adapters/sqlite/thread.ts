/** Where the connection runs: on the caller's thread, on one of its own, or on either as the load asks. */
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import type { Journaling } from "./journal-mode.ts";

export type Thread = "callers" | "own" | "either";

/** Waking another thread and being woken by it costs a good part of this for each call. */
const INLINE_FSYNC_MS_MAX = 2;
const PROBES = 5;
const PROBE_BYTES = Buffer.alloc(4096, 1);

/** The least time of a write of 4 KiB and its fsync in `dir`, in milliseconds. */
function fsyncMs(dir: string): number {
  const path = join(dir, `.fsync-${process.pid}`);
  const fd = openSync(path, "w", 0o600);
  try {
    const times = Array.from({ length: PROBES }, () => {
      const startedMs = performance.now();
      writeSync(fd, PROBE_BYTES, 0, PROBE_BYTES.length, 0);
      fsyncSync(fd);
      return performance.now() - startedMs;
    });
    return Math.min(...times); // what the disk takes, whatever else the machine does
  } finally {
    closeSync(fd);
    rmSync(path);
  }
}

/**
 * A commit waits for the disk. Where that takes a fraction of a millisecond, the caller's thread may as well wait
 * itself while few write, and always where there is one processor: that costs less than two threads waking each
 * other for every call (figures: bench/RESULTS.md). A slower disk, and every rollback journal with its several
 * fsyncs, gets a thread of its own.
 */
export function chooseThread(journalMode: Journaling["journalMode"], dir: string): Thread {
  if (journalMode !== "wal") return "own";
  if (fsyncMs(dir) > INLINE_FSYNC_MS_MAX) return "own";
  return availableParallelism() > 1 ? "either" : "callers";
}

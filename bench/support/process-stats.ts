/** What a child process has used, read from /proc; so Linux only. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const NS_PER_SECOND = 1e9;
const BYTES_PER_KIB = 1024;

/**
 * CPU seconds of a process, all its threads together, from the scheduler's nanoseconds: the ticks of
 * /proc/<pid>/stat are 10 ms each, longer than a small update. A thread that has ended no longer counts.
 */
export function cpuSecondsOf(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  }
  return nanoseconds / NS_PER_SECOND;
}

function statusBytes(pid: number, name: string): number {
  const line = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (line === null) throw new Error(`/proc/${pid}/status has no ${name}`);
  return Number(line[1]) * BYTES_PER_KIB;
}

/** Resident memory now. */
export function rssBytesOf(pid: number): number {
  return statusBytes(pid, "VmRSS");
}

/** Most resident memory since the start, or since `resetPeakRss`. */
export function peakRssBytesOf(pid: number): number {
  return statusBytes(pid, "VmHWM");
}

export function resetPeakRss(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

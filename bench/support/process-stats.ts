/** What a child process has used, read from /proc; so Linux only. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";

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

/** A process and all that it started: Postgres has one for each connection. */
export function familyOf(pid: number): number[] {
  const childrenOf = (parent: number) =>
    readdirSync(`/proc/${parent}/task`).flatMap((thread) =>
      readFileSync(`/proc/${parent}/task/${thread}/children`, "utf8").trim().split(/\s+/).filter(Boolean),
    );
  return [pid, ...childrenOf(pid).flatMap((child) => familyOf(Number(child)))];
}

/** The same for a family; who ends meanwhile is left out. */
export function cpuSecondsOfFamily(pid: number): number {
  let seconds = 0;
  for (const member of familyOf(pid)) seconds += cpuSecondsOf(member);
  return seconds;
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

const TICKS_PER_SECOND = 100; // of /proc/stat, on every Linux that Node runs on
const IDLE_COLUMNS = new Set([3, 4]); // idle and waiting for a disk
const COLUMNS = 8; // guests are counted in what comes before

function machineBusySeconds(): number {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n", 1);
  const ticks = line
    .split(/\s+/)
    .slice(1, 1 + COLUMNS)
    .map(Number);
  return ticks.reduce((sum, it, column) => (IDLE_COLUMNS.has(column) ? sum : sum + it), 0) / TICKS_PER_SECOND;
}

/** How much of the machine others took: what it was busy beyond these processes, as a share of all cores. */
export class Bystanders {
  readonly #pids: readonly number[];
  readonly #startedMs = performance.now();
  readonly #busySeconds = machineBusySeconds();
  readonly #ownSeconds: number;

  readonly #families: readonly number[];

  /** `pids` beside our own; `families` with all that they start. */
  constructor(pids: readonly number[], families: readonly number[] = []) {
    this.#pids = pids;
    this.#families = families;
    this.#ownSeconds = this.#own();
  }

  share(): number {
    const elapsedSeconds = ((performance.now() - this.#startedMs) / 1000) * cpus().length;
    const others = machineBusySeconds() - this.#busySeconds - (this.#own() - this.#ownSeconds);
    return Math.min(Math.max(others / elapsedSeconds, 0), 1);
  }

  #own(): number {
    const own = [process.pid, ...this.#pids].reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
    return this.#families.reduce((sum, pid) => sum + cpuSecondsOfFamily(pid), own);
  }
}

/** What a figure depends on besides the code: told with every run. */
import { closeSync, fdatasyncSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import { median } from "./format.ts";

const FSYNC_TRIES = 40;
const PAGE = Buffer.alloc(4096, 1);

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly node: string;
  /** Of the folder that the data lie in. */
  readonly fileSystem: string;
  /** Median time to append 4 KiB and make them durable there. */
  readonly fsyncMs: number;
  /** Load of the last minute when the bench began: above 0.5 the figures are not worth much. */
  readonly load: number;
}

export function machineOf(dir: string): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model ?? "unknown",
    cores: all.length,
    kernel: release(),
    node: process.version,
    fileSystem: fileSystemOf(dir),
    fsyncMs: fsyncMsOf(dir),
    load: loadavg()[0] ?? 0,
  };
}

export function describeMachine(machine: Machine): string {
  const { cpu, cores, kernel, node, fileSystem, fsyncMs, load } = machine;
  return `${cores} × ${cpu}, Linux ${kernel}, node ${node}, ${fileSystem}, fsync ${fsyncMs.toFixed(2)} ms, load ${load.toFixed(2)}`;
}

/** The type of the longest mount point above a folder. */
function fileSystemOf(dir: string): string {
  let best = { point: "", type: "unknown" };
  for (const line of readFileSync("/proc/mounts", "utf8").split("\n")) {
    const [, point = "", type = "unknown"] = line.split(" ");
    const isAbove = dir === point || dir.startsWith(point.endsWith("/") ? point : `${point}/`);
    if (isAbove && point.length >= best.point.length) best = { point, type };
  }
  return best.type;
}

function fsyncMsOf(dir: string): number {
  const path = join(dir, "fsync-probe");
  const file = openSync(path, "w");
  const times: number[] = [];
  for (let index = 0; index < FSYNC_TRIES; index++) {
    const startedMs = performance.now();
    writeSync(file, PAGE);
    fdatasyncSync(file);
    times.push(performance.now() - startedMs);
  }
  closeSync(file);
  unlinkSync(path);
  return median(times);
}

import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

function readOr(read: () => string, fallback: string): string {
  try {
    return read().trim();
  } catch {
    return fallback; // not Linux
  }
}

/** Boot and pid namespace: two processes with one scope see the same pids. */
export function processScope(): string {
  const boot = readOr(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8"), hostname());
  const namespace = readOr(() => readlinkSync("/proc/self/ns/pid"), "pid");
  return `${boot} ${namespace}`;
}

/** Whether a process of our own scope lives; one that we may not signal does. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

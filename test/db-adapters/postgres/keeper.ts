/** Runs one cluster for all test files of a run, and takes it away when the run's own process is gone. */
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster } from "./cluster.ts";

const [folder = "", runPid = ""] = process.argv.slice(2);
const LOOK_EVERY_MS = 300;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const cluster = await Cluster.start({ fsync: false, settings: { max_connections: "300" } });
await writeFile(join(folder, "url.part"), cluster.url);
await rename(join(folder, "url.part"), join(folder, "url"));
while (isAlive(Number(runPid))) await sleep(LOOK_EVERY_MS);
await cluster.remove();
await rm(folder, { recursive: true, force: true });

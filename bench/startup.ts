/**
 * Time from the start of the process to the first 200 of /readyz, over a fresh folder and over one with data,
 * and what the process holds when nothing goes on.
 *
 *     node bench/startup.ts [--runs 9] [--idle-seconds 5]
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeTempDir, startServer } from "./support/child.ts";
import { aim, mebibytes, median, ms } from "./support/format.ts";
import { describeMachine, machineOf } from "./support/machine.ts";
import { rssBytesOf } from "./support/process-stats.ts";

const AIM_READY_MS = 400;
/** "90 MB", in MB of 10^6 bytes as the system counts disks: the stricter reading. */
const AIM_IDLE_MB = 90;
const BYTES_PER_MB = 1e6;

const { values: options } = parseArgs({
  options: { runs: { type: "string", default: "9" }, "idle-seconds": { type: "string", default: "5" } },
});

function report(what: string, times: readonly number[]): void {
  const spread = `${ms(Math.min(...times))} to ${ms(Math.max(...times))}`;
  const middle = median(times);
  console.log(
    `${what}: ${ms(middle)} (median of ${times.length}; ${spread}); ${aim(middle, "<", AIM_READY_MS, "ms")}`,
  );
}

async function idleRss(dataDir: string): Promise<number> {
  const server = await startServer({ dataDir });
  await new Promise((done) => setTimeout(done, Number(options["idle-seconds"]) * 1000));
  const rss = rssBytesOf(server.pid);
  await server.stop();
  return rss;
}

async function main(): Promise<void> {
  const dir = makeTempDir();
  console.log(describeMachine(machineOf(dir)));
  const first: number[] = [];
  const second: number[] = [];
  for (let run = 0; run < Number(options.runs); run++) {
    const dataDir = join(dir, `data-${run}`);
    for (const times of [first, second]) {
      const server = await startServer({ dataDir });
      times.push(server.readyMs);
      await server.stop();
    }
  }
  report("ready, fresh folder", first);
  report("ready, second start", second);
  const rss = await idleRss(join(dir, "data-0"));
  console.log(
    `idle after ${options["idle-seconds"]} s: ${mebibytes(rss)} resident; ${aim(rss / BYTES_PER_MB, "<", AIM_IDLE_MB, "MB")}`,
  );
}

await main();

/**
 * A sweep over very many old updates beside live requests, on one shape at a time: their 99th percentile without
 * the sweep and with it.
 *
 *     node bench/gc.ts [--shapes sqlite] [--updates 1000000] [--seconds 15] [--clients 4] [--hold]
 *
 * Each old update has one batch of events and one superseded version, all past their retention; every tenth was
 * discarded. Rows are made with SQL in bulk, without triggers and durability; the server is an ordinary one. With
 * --hold the measurement waits for a line on standard input: filling takes a minute that nobody need keep quiet.
 */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ADMIN_TOKEN, type Child, makeTempDir } from "./support/child.ts";
import { type Answer, Connection } from "./support/connection.ts";
import { aim, ms, table } from "./support/format.ts";
import { describeMachine, machineOf } from "./support/machine.ts";
import { fillOldUpdates } from "./support/old-updates.ts";
import { Bystanders } from "./support/process-stats.ts";
import { scriptOf } from "./support/script.ts";
import { type Shape, shapeNames, startShape } from "./support/shapes.ts";
import { createStack, playUp } from "./support/up.ts";

const { values: options } = parseArgs({
  options: {
    shapes: { type: "string", default: "sqlite,postgres" },
    updates: { type: "string", default: "1000000" },
    seconds: { type: "string", default: "15" },
    clients: { type: "string", default: "4" },
    pause: { type: "string", default: "20" },
    hold: { type: "boolean", default: false },
  },
});
const UPDATES = Number(options.updates);
const SECONDS = Number(options.seconds);
const CLIENTS = Number(options.clients);
const RESOURCES = 10;
const WARM_UP_SECONDS = 8;
const AIM_FACTOR = 2;

/** Notes what each request took. */
async function openTimed(port: number, times: number[]): Promise<Connection> {
  const connection = await Connection.open(port);
  const send = connection.send.bind(connection);
  connection.send = async (...request): Promise<Answer> => {
    const startedMs = performance.now();
    const answer = await send(...request);
    times.push(performance.now() - startedMs);
    return answer;
  };
  return connection;
}

let lastStack = 0;

/** People at work: an `up` each, a breath, the next; the times of all their requests, until `end`. */
async function liveTimes(server: Child, end: Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  let isOver = false;
  end.finally(() => {
    isOver = true;
  });
  const client = async () => {
    const connection = await openTimed(server.port, times);
    const stack = `live-${lastStack++}`;
    await createStack(connection, stack);
    const replay = { stack, count: RESOURCES, how: "journal", batchSize: 8, eventsEvery: 100 } as const;
    await playUp(connection, scriptOf({ ...replay, kind: "creates" }));
    while (!isOver) {
      await playUp(connection, scriptOf({ ...replay, kind: "updates" }));
      await sleep(Number(options.pause));
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return times.sort((a, b) => a - b);
}

function at(times: readonly number[], share: number): number {
  return times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
}

/** One whole run of all sweeps: each removes as much as it may in a run. */
async function sweep(server: Child): Promise<Record<string, number>> {
  const response = await fetch(`http://127.0.0.1:${server.port}/api/admin/v1/gc-runs`, {
    method: "POST",
    headers: { authorization: `token ${ADMIN_TOKEN}`, "content-type": "application/json" },
    body: "{}",
  });
  const run = (await response.json()) as { counts: Record<string, number>; error: string | null };
  if (run.error !== null) throw new Error(run.error);
  return run.counts;
}

function rowOf(name: string, times: readonly number[]): string[] {
  return [name, String(times.length), ms(at(times, 0.5)), ms(at(times, 0.99)), ms(at(times, 0.999))];
}

async function measure(shape: Shape): Promise<void> {
  const { server } = shape;
  await liveTimes(server, sleep(WARM_UP_SECONDS * 1000));
  const bystanders = new Bystanders([server.pid], server.helperPids);
  const before = await liveTimes(server, sleep(SECONDS * 1000));
  const startedMs = performance.now();
  const sweeping = sweep(server).then((counts) => ({
    counts,
    seconds: (performance.now() - startedMs) / 1000,
  }));
  const during = await liveTimes(server, sweeping);
  const { counts, seconds } = await sweeping;
  const header = [`${shape.name}: ${UPDATES} old updates`, "requests", "median", "p99", "p99.9"];
  console.log(`\n${table(header, [rowOf("without the sweep", before), rowOf("beside the sweep", during)])}`);
  const factor = at(during, 0.99) / at(before, 0.99);
  console.log(`p99 times ${factor.toFixed(2)}; ${aim(factor, "<=", AIM_FACTOR, "")}`);
  const rows = Object.values(counts).reduce((sum, count) => sum + count, 0);
  console.log(
    `removed in ${seconds.toFixed(0)} s: ${(rows / seconds).toFixed(0)} rows/s ${JSON.stringify(counts)}`,
  );
  console.log(`others took ${(bystanders.share() * 100).toFixed(0)} % of the machine`);
}

const dir = makeTempDir();
console.error(describeMachine(machineOf(dir)));
const retention = { STATEHOUSE_EVENT_RETENTION_DAYS: "90", STATEHOUSE_VERSION_RETENTION_DAYS: "90" };
for (const name of shapeNames(options.shapes)) {
  const startedMs = performance.now();
  const shape = await startShape({
    ...{ name, dir, env: retention },
    fill: (_db, place) => fillOldUpdates(name, place, UPDATES),
  });
  console.error(`filled in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
  if (options.hold) await once(process.stdin, "data");
  await measure(shape);
  await shape.stop();
}
process.stdin.destroy();

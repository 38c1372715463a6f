/**
 * Durable writes a second over a slow disk: fsync and fdatasync of the server take 2.7 ms longer, as on a network
 * file system, while 64 clients append journal batches. Only commits that many writers share get through that.
 *
 *     node bench/slow-fsync.ts [--delay-ms 2.7] [--clients 64] [--seconds 5]
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Child, makeTempDir, startServer } from "./support/child.ts";
import { Connection } from "./support/connection.ts";
import { aim, ms } from "./support/format.ts";
import { describeMachine, machineOf } from "./support/machine.ts";
import { between, describeBuckets, readHistogram } from "./support/metrics.ts";
import { resourcesAfterUp } from "./support/resources.ts";
import { type Save, scriptOf, stackPathOf } from "./support/script.ts";
import { createStack, exportedResources, type StartedUp, startUp } from "./support/up.ts";

const AIM_WRITES_PER_SECOND = 2000;
const BATCH_SIZE = 8;
/** Saves that a client has ready for each second: more than any server answers to one of 64. */
const SAVES_PER_SECOND_MAX = 250;

const { values: options } = parseArgs({
  options: {
    "delay-ms": { type: "string", default: "2.7" },
    clients: { type: "string", default: "64" },
    seconds: { type: "string", default: "5" },
  },
});
const delayMs = Number(options["delay-ms"]);
const seconds = Number(options.seconds);

/** Null where there is no C compiler. */
function buildShim(dir: string): string | null {
  const source = join(import.meta.dirname, "slow-fsync.c");
  const target = join(dir, "slow-fsync.so");
  for (const compiler of ["cc", "gcc", "clang"]) {
    try {
      execFileSync(compiler, ["-shared", "-fPIC", "-O2", "-o", target, source, "-ldl"], { stdio: "pipe" });
      return target;
    } catch (error) {
      const isAbsent = error instanceof Error && "code" in error && error.code === "ENOENT";
      if (!isAbsent) throw error;
    }
  }
  return null;
}

interface Client {
  readonly connection: Connection;
  readonly stack: string;
  readonly up: StartedUp;
  /** Batches that were answered with 2xx: these must be there afterwards. */
  acknowledged: number;
}

async function openClient(server: Child, index: number): Promise<Client> {
  const connection = await Connection.open(server.port);
  const stack = `c${index}`;
  await createStack(connection, stack);
  const script = scriptOf({ ...SCRIPT, stack, count: 1 });
  return { connection, stack, up: await startUp(connection, script), acknowledged: 0 };
}

const SCRIPT = { how: "journal", kind: "creates", batchSize: BATCH_SIZE, eventsEvery: 1_000_000 } as const;
/** All clients send the same bytes, each to its own update: to make them for each would take longer than to send. */
const SHARED_STACK = "shared";

/** Journal batches that each add 8 entries; the odd ones at both ends (secrets manager, outputs) are left out. */
function sharedSaves(): Save[] {
  const count = Math.ceil((SAVES_PER_SECOND_MAX * seconds * BATCH_SIZE) / 2);
  const { saves } = scriptOf({ ...SCRIPT, stack: SHARED_STACK, count });
  return saves.filter((save) => save.action === "journalentries").slice(0, -1);
}

async function append(client: Client, saves: readonly Save[], endMs: number): Promise<void> {
  const { connection, up } = client;
  while (performance.now() < endMs) {
    const save = saves[client.acknowledged];
    if (save === undefined) throw new Error("a client ran out of batches: raise SAVES_PER_SECOND_MAX");
    const answer = await connection.send(save.method, `${up.path}/${save.action}`, up.lease, save.body);
    if (answer.status > 299) throw new Error(`${save.action}: ${answer.status} ${answer.body.toString()}`);
    client.acknowledged += 1;
  }
}

/**
 * Each acknowledged success is a resource of the state afterwards. Batches follow each other as 4 entries for
 * root and provider with the first 4 begins, then as halves of waves; so count from what the state must begin with.
 */
async function check(server: Child, client: Client): Promise<void> {
  const { connection, up, stack } = client;
  const body = { bytes: Buffer.from('{"status":"failed"}'), isGzip: false };
  const answer = await connection.send("POST", `${up.path}/complete`, up.lease, body);
  if (answer.status > 299) throw new Error(`complete: ${answer.status} ${answer.body.toString()}`);
  const found = await exportedResources(server.port, stack);
  const entries = (client.acknowledged - 1) * BATCH_SIZE;
  const expected = resourcesAfterUp(SHARED_STACK, entries)
    .slice(0, successesIn(entries))
    .map(({ urn }) => urn);
  if (JSON.stringify(found.map(({ urn }) => urn)) === JSON.stringify(expected)) return;
  throw new Error(
    `${stackPathOf(stack)}: ${found.length} resources, but ${expected.length} were acknowledged`,
  );
}

/** Root and provider are 4 entries, alone; then come waves of 8 begins and 8 successes. */
function successesIn(entries: number): number {
  if (entries < 4) return Math.floor(entries / 2);
  const inWaves = entries - 4;
  const wave = 16;
  return 2 + Math.floor(inWaves / wave) * 8 + Math.max((inWaves % wave) - 8, 0);
}

async function measure(server: Child): Promise<void> {
  const clients = await Promise.all(
    Array.from({ length: Number(options.clients) }, (_, index) => openClient(server, index)),
  );
  const saves = sharedSaves();
  const sizesBefore = await readHistogram(server.port, "statehouse_group_commit_size");
  const timesBefore = await readHistogram(server.port, "statehouse_group_commit_seconds");
  const startedMs = performance.now();
  await Promise.all(clients.map((client) => append(client, saves, startedMs + seconds * 1000)));
  const elapsedSeconds = (performance.now() - startedMs) / 1000;
  const sizes = between(sizesBefore, await readHistogram(server.port, "statehouse_group_commit_size"));
  const times = between(timesBefore, await readHistogram(server.port, "statehouse_group_commit_seconds"));
  const commitMs = (times.sum * 1000) / times.count;
  if (commitMs < delayMs)
    throw new Error(`a commit took ${ms(commitMs)}: the delay did not reach the server`);
  for (const client of clients) {
    await check(server, client);
    client.connection.close();
  }
  const rate = clients.reduce((sum, { acknowledged }) => sum + acknowledged, 0) / elapsedSeconds;
  console.log(
    `${clients.length} clients, fsync + ${delayMs} ms: ${rate.toFixed(0)} durable writes/s; ${aim(rate, ">=", AIM_WRITES_PER_SECOND, "")}`,
  );
  console.log(`commits: ${(times.count / elapsedSeconds).toFixed(0)}/s, ${ms(commitMs)} each (mean)`);
  console.log(
    `writes in a commit: ${(sizes.sum / sizes.count).toFixed(1)} (mean); ${describeBuckets(sizes)}`,
  );
}

async function main(): Promise<void> {
  const dir = makeTempDir();
  console.log(describeMachine(machineOf(dir)));
  const shim = buildShim(dir);
  if (shim === null) {
    console.error(
      "\n*** NOT MEASURED: there is no C compiler (cc, gcc or clang) to build slow-fsync.c with ***\n",
    );
    process.exitCode = 1;
    return;
  }
  const env = { LD_PRELOAD: shim, BENCH_FSYNC_DELAY_US: String(Math.round(delayMs * 1000)) };
  const server = await startServer({ dataDir: join(dir, "data"), env });
  await measure(server);
  await server.stop();
}

await main();

/**
 * What a write costs: alone, as CPU of one step, and with 64 clients at once.
 * `node bench/db-group-commit.ts [wal|truncate|persist] [folder]`; fsync delays come from outside (LD_PRELOAD).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Database } from "../db-adapters/contract.ts";
import { openConnection } from "../db-adapters/sqlite/connection.ts";
import { openSqlite } from "../db-adapters/sqlite/open.ts";
import { Sql } from "../db-adapters/sqlite/sql.ts";
import { allSteps } from "../db-adapters/sqlite/steps/index.ts";

const CLIENTS = 64;
const BODY = Buffer.alloc(300, 1);
const mode = process.argv[2] === "truncate" || process.argv[2] === "persist" ? process.argv[2] : "wal";
const folder = mkdtempSync(join(process.argv[3] ?? tmpdir(), "statehouse-bench-"));
const ref = { organization: "acme", project: "web", stack: "dev", updateId: "u" };
let batches = 0;

function batchOf(count: number) {
  return {
    ...{ ref, tokenHash: "t", digest: `digest ${count}`, entryCount: 1, sizeBytes: BODY.byteLength },
    ...{ body: BODY, journalBytesMax: 1e12, nowMs: 1 },
  };
}

function append(db: Database) {
  batches += 1;
  return db.appendJournal(batchOf(batches));
}

async function prepare(
  db: Pick<Database, "createOrganization" | "createStack" | "createUpdate" | "startUpdate">,
) {
  await db.createOrganization({ id: "o", name: "acme", nowMs: 1 });
  await db.createStack({ id: "s", name: ref, tags: {}, state: null, nowMs: 1 });
  const update = { kind: "update", dryRun: false, actor: "a", config: null, metadata: "{}" } as const;
  await db.createUpdate({ id: "u", stackId: "s", ...update, nowMs: 1 });
  const lease = { leaseTokenHash: "t", leaseExpiresMs: 1e15, journalVersion: 1, cliVersion: null };
  await db.startUpdate({ ref, ...lease, tags: null, nowMs: 1 });
}

/** Median and 99th percentile of `count` calls one after the other, in milliseconds. */
async function latency(count: number, call: () => Promise<unknown>): Promise<string> {
  const durations: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const startedMs = performance.now();
    await call();
    durations.push(performance.now() - startedMs);
  }
  durations.sort((a, b) => a - b);
  const at = (share: number) => (durations[Math.floor(count * share)] ?? 0).toFixed(3);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
}

async function throughput(db: Database, durationMs: number): Promise<number> {
  const startedMs = performance.now();
  let done = 0;
  const client = async () => {
    while (performance.now() - startedMs < durationMs) {
      await append(db);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return Math.round((done / (performance.now() - startedMs)) * 1000);
}

/** CPU of one appendJournal inside a transaction, without commit and thread, in microseconds. */
async function stepCost(): Promise<string> {
  const journaling = {
    journalMode: "wal",
    synchronous: "full",
    lockingMode: "normal",
    why: "bench",
  } as const;
  const connection = openConnection({ path: join(folder, "step.db"), journaling, busyWaitMs: 0 });
  const steps = allSteps(new Sql(connection));
  await prepare(steps as never);
  const count = 20_000;
  connection.exec("begin");
  const startedMs = performance.now();
  for (let i = 0; i < count; i += 1) steps.appendJournal(batchOf(i));
  const costUs = ((performance.now() - startedMs) * 1000) / count;
  connection.exec("commit");
  connection.close();
  return `${costUs.toFixed(1)} µs`;
}

enableCompileCache();
const commits: number[] = [];
const openedAtMs = performance.now();
const path = join(folder, "bench.db");
// A rollback journal is for network file systems, and is measured as it runs there: with the lock kept.
const kind = mode === "wal" ? "local" : "network";
const fileSystem = { type: "bench", mountPoint: folder, kind } as const;
const onCommit = (size: number) => void commits.push(size);
const options = { path, journalMode: mode, fileSystem, onCommit } as const;
const first = await openSqlite(options);
console.log(`open, new file: ${(performance.now() - openedAtMs).toFixed(1)} ms`);
await prepare(first);
await first.close();
const reopenedAtMs = performance.now();
const db = await openSqlite(options);
console.log(`open, existing file: ${(performance.now() - reopenedAtMs).toFixed(1)} ms`);
console.log(`mode ${mode}; appendJournal as a step: ${await stepCost()}`);
console.log(`ping: ${await latency(2_000, () => db.ping())}`);
console.log(`lone append: ${await latency(300, () => append(db))}`);
commits.length = 0;
const perSecond = await throughput(db, 4_000);
const meanBatch = commits.reduce((sum, size) => sum + size, 0) / commits.length;
console.log(`${CLIENTS} clients: ${perSecond} appends/s, ${meanBatch.toFixed(1)} a commit`);
await db.close();
rmSync(folder, { recursive: true });

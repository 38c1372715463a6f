/**
 * Postgres for tests: one cluster for the whole run, started by the first file that needs it, and a new database
 * for each test. `STATEHOUSE_TEST_DATABASE_URL` names any other cluster instead; its user may create databases.
 */
import { spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";
import pg from "pg";
import { afterAll, onTestFinished } from "vitest";
import type { SharedDatabase } from "../../db-adapters/contract.ts";
import { migrationNames } from "../../db-adapters/postgres/migrate.ts";
import { openPostgres, type PostgresOptions } from "../../db-adapters/postgres/open.ts";
import type { TestDatabase } from "../conformance/database.ts";

const KEEPER = fileURLToPath(new URL("../db-adapters/postgres/keeper.ts", import.meta.url));
const MIGRATIONS = new URL("../../db-adapters/postgres/migrations/", import.meta.url);
const CLUSTER_WITHIN_MS = 40_000;

/** The process that lives as long as the run: of a worker process the parent, of a worker thread itself. */
const RUN_PID = isMainThread ? process.ppid : process.pid;

async function keptCluster(): Promise<string> {
  const folder = join(tmpdir(), `statehouse-pg-run-${RUN_PID}`);
  try {
    mkdirSync(folder);
    const log = openSync(join(folder, "log"), "w");
    const stdio = ["ignore", log, log] as const;
    spawn(process.execPath, [KEEPER, folder, String(RUN_PID)], { detached: true, stdio: [...stdio] }).unref();
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  for (
    const deadline = performance.now() + CLUSTER_WITHIN_MS;
    performance.now() < deadline;
    await sleep(50)
  ) {
    const url = await readFile(join(folder, "url"), "utf8").catch(() => "");
    if (url !== "") return url;
  }
  throw new Error(`no Postgres: ${await readFile(join(folder, "log"), "utf8")}`);
}

/** The URL of another database of the same cluster. */
export function urlOf(clusterUrl: string, database: string): string {
  const url = new URL(clusterUrl);
  url.pathname = `/${database}`;
  return url.href;
}

/** Runs statements on a connection of their own. */
export async function query<Row extends pg.QueryResultRow>(url: string, ...texts: string[]): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    let rows: Row[] = [];
    for (const text of texts) rows = (await client.query<Row>(text)).rows;
    return rows;
  } finally {
    await client.end();
  }
}

/** A migrated database to copy from, named after its migrations; made by whoever comes first. */
async function makeTemplate(clusterUrl: string): Promise<string> {
  const migrations = await Promise.all(
    migrationNames().map((migration) => readFile(new URL(`${migration}.sql`, MIGRATIONS), "utf8")),
  );
  const name = `statehouse_${createHash("sha256").update(migrations.join()).digest("hex").slice(0, 16)}`;
  const client = new pg.Client({ connectionString: clusterUrl });
  await client.connect();
  try {
    await client.query("select pg_advisory_lock(7007)");
    const { rowCount } = await client.query("select 1 from pg_database where datname = $1", [name]);
    if (rowCount === 1) return name;
    const draft = `${name}_draft`;
    await client.query(`drop database if exists ${draft} with (force)`);
    await client.query(`create database ${draft}`);
    const database = await openPostgres({ url: urlOf(clusterUrl, draft) });
    await database.close();
    await client.query(`alter database ${draft} rename to ${name}`);
    return name;
  } finally {
    await client.end();
  }
}

let clusterUrl: Promise<string> | null = null;
let template: Promise<string> | null = null;

/** The cluster of this run; its `postgres` database is for administration. */
export function testCluster(): Promise<string> {
  const asked = process.env.STATEHOUSE_TEST_DATABASE_URL;
  clusterUrl ??= asked === undefined ? keptCluster() : Promise.resolve(asked);
  return clusterUrl;
}

/** Emptied databases of this test file, to be used again: making one takes half a second, emptying it 20 ms. */
const spares: string[] = [];
const TABLES = `select string_agg(quote_ident(tablename), ', ') as names from pg_tables
  where schemaname = 'public' and tablename <> 'schema_migration'`;

async function createDatabase(source: string): Promise<string> {
  const cluster = await testCluster();
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  await query(cluster, `create database ${name} template ${source}`);
  return urlOf(cluster, name);
}

async function dropDatabase(url: string): Promise<void> {
  await query(await testCluster(), `drop database ${new URL(url).pathname.slice(1)} with (force)`);
}

afterAll(async () => {
  for (const url of spares.splice(0)) await dropDatabase(url);
});

/** The URL of a database without a table, which goes when the test ends. */
export async function makeEmptyDatabase(): Promise<string> {
  const url = await createDatabase("template0");
  onTestFinished(() => dropDatabase(url));
  return url;
}

/** The URL of a migrated database without a row, which nobody else has until the test ends. */
export async function makeDatabase(): Promise<string> {
  template ??= makeTemplate(await testCluster());
  const url = spares.pop() ?? (await createDatabase(await template));
  onTestFinished(async () => {
    const [tables] = await query<{ names: string }>(url, TABLES);
    await query(url, `truncate ${tables?.names}`);
    spares.push(url);
  });
  return url;
}

/** Opens a database and closes it when the test ends. */
export async function openFor(options: PostgresOptions): Promise<SharedDatabase> {
  const db = await openPostgres(options);
  onTestFinished(() => db.close());
  return db;
}

/** An empty database of its own. */
export async function makePostgres(options: Partial<PostgresOptions> = {}): Promise<TestDatabase> {
  const url = await makeDatabase();
  const db = await openFor({ ...options, url });
  return {
    db,
    reopen: async () => {
      await db.close();
      return openFor({ ...options, url });
    },
  };
}

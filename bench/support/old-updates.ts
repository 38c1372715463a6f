/** Very many old updates, written past the adapters: with SQL in bulk, without triggers. */
import Database from "better-sqlite3";
import pg from "pg";
import type { ShapeName } from "./shapes.ts";

const UPDATES_A_STACK = 1_000;
const DAY_MS = 86_400_000;
const OLDEST_DAYS = 400;
const NEWEST_DAYS = 120;
const EVENTS_BYTES = 300;

/** The same for both engines: `series(n)` counts from 0, `bytes` is a body. */
function statements(
  count: number,
  { series, bytes }: { series: (count: number) => string; bytes: string },
): string[] {
  const stacks = Math.ceil(count / UPDATES_A_STACK);
  const newestMs = Date.now() - NEWEST_DAYS * DAY_MS;
  const stepMs = Math.floor(((OLDEST_DAYS - NEWEST_DAYS) * DAY_MS) / count);
  const stackId = `'old-' || (i / ${UPDATES_A_STACK})`;
  const endedMs = `${newestMs} - i * ${stepMs}`;
  const version = `(${UPDATES_A_STACK} - i % ${UPDATES_A_STACK})`;
  const isDiscarded = "i % 10 = 9";
  return [
    `insert into stack (id, organization_id, project, name, created_ms, tags, version, state_version, good_version,
       resource_count, state_count)
     select 'old-' || i, 'o-main', 'old', 'old-' || i, ${newestMs}, '{}', ${UPDATES_A_STACK + 1},
       ${UPDATES_A_STACK + 1}, ${UPDATES_A_STACK + 1}, 10, ${UPDATES_A_STACK + 1} from ${series(stacks)}`,
    `insert into stack_update (id, stack_id, kind, dry_run, status, version, actor, created_ms, started_ms, ended_ms,
       resource_count, has_events)
     select 'u-' || i, ${stackId}, 'update', 0, case when ${isDiscarded} then 'discarded' else 'succeeded' end,
       case when ${isDiscarded} then null else ${version} end, 'ada', ${endedMs}, ${endedMs}, ${endedMs}, 10, 1
     from ${series(count)}`,
    `insert into update_input (update_id, metadata) select 'u-' || i, '{"message":"","environment":{}}'
     from ${series(count)}`,
    `insert into event_batch (update_id, digest, first_sequence, last_sequence, body)
     select 'u-' || i, 'd', 0, 49, ${bytes} from ${series(count)}`,
    `insert into state_version (stack_id, version, update_id, created_ms, blob_key, sha256, size_bytes,
       resource_count, resource_total, superseded)
     select ${stackId}, ${version}, 'u-' || i, ${endedMs}, 'stacks/ol/old/' || i, '', 7000, 10, 12, 1
     from ${series(count)}`,
    `insert into state_version (stack_id, version, update_id, created_ms, blob_key, sha256, size_bytes,
       resource_count, resource_total, superseded)
     select 'old-' || i, ${UPDATES_A_STACK + 1}, null, ${newestMs}, 'stacks/ol/old/now' || i, '', 7000, 10, 12, 0
     from ${series(stacks)}`,
  ];
}

async function fillPostgres(url: string, count: number): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const series = (rows: number) => `generate_series(0::bigint, ${rows - 1}) as series (i)`;
  const bytes = `decode(repeat('5a', ${EVENTS_BYTES}), 'hex')`;
  await client.query("set session_replication_role = replica; set synchronous_commit = off");
  for (const text of statements(count, { series, bytes })) await client.query(text);
  await client.query("vacuum analyze");
  await client.query("checkpoint");
  await client.end();
}

function fillSqlite(path: string, count: number): void {
  const database = new Database(path);
  database.pragma("synchronous = off");
  database.pragma("foreign_keys = off");
  database.pragma("cache_size = -200000");
  const triggers = database.prepare("select name, sql from sqlite_master where type = 'trigger'").all() as {
    name: string;
    sql: string;
  }[];
  for (const { name } of triggers) database.exec(`drop trigger ${name}`);
  const series = (rows: number) =>
    `(with recursive c (i) as (select 0 union all select i + 1 from c where i < ${rows - 1}) select i from c)`;
  for (const text of statements(count, { series, bytes: `zeroblob(${EVENTS_BYTES})` })) database.exec(text);
  for (const { sql } of triggers) database.exec(sql);
  database.pragma("wal_checkpoint(truncate)");
  database.close();
}

/** `place` is a file or a URL. */
export async function fillOldUpdates(name: ShapeName, place: string, count: number): Promise<void> {
  if (name === "sqlite") fillSqlite(place, count);
  else await fillPostgres(place, count);
}

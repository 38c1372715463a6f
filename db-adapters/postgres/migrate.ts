/**
 * Brings the schema up to date. The migrating connection holds an advisory lock, so that of many starters on one
 * database each migration is applied by one. A database that is current costs one statement and no lock.
 */
import { readFileSync } from "node:fs";
import { SchemaTooNewError } from "../errors.ts";
import type { Client } from "./connection.ts";

/** Number of migrations that this release knows. A test compares it with the folder. */
export const SCHEMA_VERSION = 6;

/** In the bundle the migrations lie beside it (scripts/build.ts). */
const FOLDER = new URL(
  import.meta.url.endsWith(".ts") ? "./migrations/" : "./migrations/postgres/",
  import.meta.url,
);
const BREAKPOINT = "--> statement-breakpoint";
/** Ours alone in a database: the first 8 bytes of SHA-256("statehouse migrations"), signed. */
const LOCK_KEY = "-5200866541341686947";

/** Names of the migrations, in order. */
export function migrationNames(): string[] {
  const journal: unknown = JSON.parse(readFileSync(new URL("meta/_journal.json", FOLDER), "utf8"));
  return (journal as { entries: { tag: string }[] }).entries.map((entry) => entry.tag);
}

export async function schemaVersionOf(client: Pick<Client, "query">): Promise<number> {
  const found = await client.query<{ name: string | null }>("select to_regclass('schema_migration') as name");
  if ((found.rows[0]?.name ?? null) === null) return 0;
  const text = "select coalesce(max(number), 0) as version from schema_migration";
  return Number((await client.query<{ version: number }>(text)).rows[0]?.version);
}

async function apply(client: Client, number: number, name: string): Promise<void> {
  const text = readFileSync(new URL(`${name}.sql`, FOLDER), "utf8");
  await client.query("begin");
  try {
    for (const statement of text.split(BREAKPOINT)) await client.query(statement);
    const applied = "insert into schema_migration (number, name, applied_ms) values ($1, $2, $3)";
    await client.query(applied, [number, name, Date.now()]);
    await client.query("commit");
  } catch (error) {
    await client.query("rollback").catch(() => undefined);
    throw error;
  }
}

/**
 * Applies what is missing, each migration whole or not at all. The lock goes with the connection.
 * @throws SchemaTooNewError when the database was written by a newer release
 */
export async function migrate(client: Client): Promise<{ from: number; to: number }> {
  const found = await schemaVersionOf(client);
  if (found > SCHEMA_VERSION) throw new SchemaTooNewError(found, SCHEMA_VERSION);
  if (found === SCHEMA_VERSION) return { from: found, to: found };
  await client.query("select pg_advisory_lock($1)", [LOCK_KEY]);
  try {
    await client.query(`create table if not exists schema_migration (
      number integer primary key, name text not null, applied_ms bigint not null)`);
    const from = await schemaVersionOf(client);
    if (from > SCHEMA_VERSION) throw new SchemaTooNewError(from, SCHEMA_VERSION);
    for (const [index, name] of migrationNames().entries())
      if (index >= from) await apply(client, index + 1, name);
    return { from, to: SCHEMA_VERSION };
  } finally {
    await client.query("select pg_advisory_unlock($1)", [LOCK_KEY]);
  }
}

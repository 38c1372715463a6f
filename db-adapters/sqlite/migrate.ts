/**
 * Brings the schema up to date. `user_version` counts the migrations applied and is written in the same
 * transaction as each, so that a database which is current costs one pragma and no look at the folder.
 */
import { readFileSync } from "node:fs";
import { SchemaTooNewError } from "./errors.ts";
import type { Connection } from "./sql.ts";

/** Number of migrations that this release knows. A test compares it with the folder. */
export const SCHEMA_VERSION = 6;

/** In the bundle the migrations lie beside it (scripts/build.ts). */
const FOLDER = new URL(
  import.meta.url.endsWith(".ts") ? "./migrations/" : "./migrations/sqlite/",
  import.meta.url,
);
const BREAKPOINT = "--> statement-breakpoint";

/** Names of the migrations, in order. */
export function migrationNames(): string[] {
  const journal: unknown = JSON.parse(readFileSync(new URL("meta/_journal.json", FOLDER), "utf8"));
  return (journal as { entries: { tag: string }[] }).entries.map((entry) => entry.tag);
}

export function schemaVersionOf(connection: Connection): number {
  return Number(connection.pragma("user_version", { simple: true }));
}

/**
 * Applies what is missing, each migration whole or not at all.
 * @throws SchemaTooNewError when the file was written by a newer release
 */
export function migrate(connection: Connection): { from: number; to: number } {
  const from = schemaVersionOf(connection);
  if (from > SCHEMA_VERSION) throw new SchemaTooNewError(from, SCHEMA_VERSION);
  if (from === SCHEMA_VERSION) return { from, to: from };
  for (const [index, name] of migrationNames().entries()) {
    if (index < from) continue;
    const text = readFileSync(new URL(`${name}.sql`, FOLDER), "utf8");
    connection.transaction(() => {
      for (const statement of text.split(BREAKPOINT)) connection.exec(statement);
      connection.pragma(`user_version = ${index + 1}`);
    })();
  }
  return { from, to: SCHEMA_VERSION };
}

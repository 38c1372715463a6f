/** A look at a closed database, for `doctor`: nothing is migrated and nothing is written. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { tryLock } from "./instance-lock.ts";
import { SCHEMA_VERSION, schemaVersionOf } from "./migrate.ts";
import { type Owner, readOwnerSync } from "./owner-record.ts";

export interface Inspection {
  readonly schemaVersion: number;
  readonly programSchemaVersion: number;
  /** The settings table's values by key. */
  readonly settings: ReadonlyMap<string, string>;
}

/** Null when there is no database at `path`. Call it only while nobody holds the folder. */
export function inspectDatabase(path: string): Inspection | null {
  if (!existsSync(path)) return null;
  const connection = new SqliteDatabase(path, { readonly: true });
  try {
    const schemaVersion = schemaVersionOf(connection);
    const rows = schemaVersion === 0 ? [] : connection.prepare("select key, value from setting").all();
    const settings = new Map(
      (rows as { key: string; value: string }[]).map(({ key, value }) => [key, value]),
    );
    return { schemaVersion, programSchemaVersion: SCHEMA_VERSION, settings };
  } finally {
    connection.close();
  }
}

/** The live instance that holds a data folder; null when nobody does, whatever the record says. */
export function findInstance(dir: string): Owner | null {
  const lockPath = join(dir, "instance.lock");
  if (!existsSync(lockPath)) return null;
  const lock = tryLock(lockPath);
  if (lock === null) return readOwnerSync(join(dir, "instance.json"));
  lock.release();
  return null;
}

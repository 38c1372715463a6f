import { mkdtemp, rm } from "node:fs/promises";
import { enableCompileCache } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Database } from "../../../db-adapters/contract.ts";
import { openSqlite, type SqliteOptions } from "../../../db-adapters/sqlite/open.ts";
import type { TestDatabase } from "../../conformance/database.ts";

enableCompileCache(); // hundreds of threads start here: stripping the same types each time is most of their start

/** A folder that goes when the test ends. */
export async function makeTempDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "statehouse-db-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** Opens a database and closes it when the test ends. */
export async function openFor(options: SqliteOptions): Promise<Database> {
  const db = await openSqlite(options);
  onTestFinished(() => db.close());
  return db;
}

/** An empty database in a folder of its own. */
export async function makeSqlite(options: Partial<SqliteOptions> = {}): Promise<TestDatabase> {
  const path = join(await makeTempDir(), "test.db");
  const db = await openFor({ ...options, path });
  return {
    db,
    reopen: async () => {
      await db.close();
      return openFor({ ...options, path });
    },
  };
}

/**
 * Runs the whole suite on the steps without their thread, notes every statement, and asks SQLite how it runs
 * each: no step may scan a table that grows.
 */
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Database, DatabaseUnavailableError } from "../../../db-adapters/contract.ts";
import {
  type ConnectionOptions,
  describeConnection,
  openConnection,
} from "../../../db-adapters/sqlite/connection.ts";
import { type Connection, Sql } from "../../../db-adapters/sqlite/sql.ts";
import { allSteps, STEP_NAMES } from "../../../db-adapters/sqlite/steps/index.ts";
import { describeDatabase, type TestDatabase } from "../../conformance/database.ts";
import { makeTempDir } from "./support.ts";

const statements = new Set<string>();

function recorded(connection: Connection): Connection {
  return new Proxy(connection, {
    get(target, key) {
      if (key !== "prepare") return Reflect.get(target, key);
      return (text: string) => {
        statements.add(text);
        return target.prepare(text);
      };
    },
  });
}

function openHere(options: ConnectionOptions): Database {
  const connection = openConnection(options);
  const steps = allSteps(new Sql(recorded(connection)));
  let isClosed = false;
  const guarded = async (run: () => unknown) => {
    if (isClosed) throw new DatabaseUnavailableError("closed");
    return run();
  };
  const entries = STEP_NAMES.map((name) => {
    const step = steps[name] as (...args: unknown[]) => unknown;
    const inTransaction = (...args: unknown[]) => guarded(connection.transaction(() => step(...args)));
    return [name, inTransaction] as const;
  });
  return {
    ...Object.fromEntries(entries),
    describe: () => guarded(() => describeConnection(connection, options)),
    ping: () => guarded(() => undefined),
    close: async () => {
      isClosed = true;
      connection.close();
    },
  } as unknown as Database;
}

async function makeHere(): Promise<TestDatabase> {
  const journaling = { journalMode: "wal", synchronous: "full", lockingMode: "normal", why: "test" } as const;
  const options = { path: join(await makeTempDir(), "a.db"), journaling, busyWaitMs: 0 };
  const open = () => {
    const db = openHere(options);
    onTestFinished(() => db.close());
    return db;
  };
  const db = open();
  return {
    db,
    reopen: async () => {
      await db.close();
      return open();
    },
  };
}

/** What may be walked from end to end: five counters, the running updates, an index's first rows, a page, a few found before. */
const ALLOWED = [
  /^SCAN counter$/,
  /^SCAN stack_update USING COVERING INDEX stack_update_(running|lease)/,
  /^SCAN (gc_run|stack) USING (COVERING )?INDEX (gc_run_started|stack_deleted)$/,
  /^SCAN (page|few|\(subquery-\d+\))$/,
];

describeDatabase("sqlite steps without their thread", makeHere);

describe("query plans", () => {
  it("walk no table that grows", async () => {
    const { db } = await makeHere();
    const { path = "" } = await db.describe();
    await db.close();
    const journaling = { journalMode: "wal", synchronous: "full", lockingMode: "normal", why: "" } as const;
    const connection = openConnection({ path, journaling, busyWaitMs: 0 });
    const scans: string[] = [];
    for (const text of statements) {
      const plan = connection.prepare(`explain query plan ${text}`);
      const values = Array<null>(text.match(/\?/g)?.length ?? 0).fill(null);
      const rows = plan.all(...(text.includes("?1") ? [{ ...[null, ...values] }] : values));
      for (const { detail } of rows as { detail: string }[])
        if (detail.startsWith("SCAN") && !ALLOWED.some((allowed) => allowed.test(detail)))
          scans.push(`${detail} <- ${text}`);
    }
    connection.close();
    expect(statements.size).toBeGreaterThan(90);
    expect(scans).toEqual([]);
  });
});

/**
 * The whole suite again, each call on the other one of two replicas. Notes every statement, and asks Postgres how
 * it runs each: no step may scan a table that grows.
 */

import { describe, expect, it } from "vitest";
import type { Database } from "../../../db-adapters/contract.ts";
import { STEP_NAMES } from "../../../db-adapters/sqlite/steps/index.ts";
import { describeDatabase, type TestDatabase } from "../../conformance/database.ts";
import { makeDatabase, openFor, query } from "../../support/postgres.ts";

const statements = new Set<string>();

/** Calls take turns; both are closed by `close`. */
function inTurn(replicas: readonly [Database, Database]): Database {
  let calls = 0;
  const turn = () => {
    calls += 1;
    return replicas[calls % 2 === 0 ? 0 : 1];
  };
  const entries = [...STEP_NAMES, "describe", "ping"].map((name) => {
    const step = (...args: unknown[]) => Reflect.apply(Reflect.get(turn(), name), null, args);
    return [name, step] as const;
  });
  const close = async () => void (await Promise.all(replicas.map((replica) => replica.close())));
  return { ...Object.fromEntries(entries), close } as unknown as Database;
}

async function makeReplicas(): Promise<TestDatabase> {
  const url = await makeDatabase();
  const options = { url, onQuery: (text: string) => statements.add(text) };
  const open = async () => inTurn([await openFor(options), await openFor(options)]);
  const db = await open();
  return {
    db,
    reopen: async () => {
      await db.close();
      return open();
    },
  };
}

describeDatabase("postgres, two replicas", makeReplicas);

/** What may be read from end to end: the totals, 16 rows each. */
const ALLOWED = /Seq Scan on counter/;

describe("query plans", () => {
  it("walk no table that grows", async () => {
    const url = await makeDatabase();
    const [server] = await query<{ version: string }>(
      url,
      "select current_setting('server_version_num') as version",
    );
    if (Number(server?.version) < 160_000) return; // generic_plan came with 16
    const scans: string[] = [];
    for (const text of statements) {
      const explain = `explain (generic_plan) ${text}`;
      const lines = await query<{ "QUERY PLAN": string }>(url, "set enable_seqscan = off", explain);
      for (const { "QUERY PLAN": line } of lines)
        if (line.includes("Seq Scan") && !ALLOWED.test(line)) scans.push(`${line.trim()} <- ${text}`);
    }
    expect(statements.size).toBeGreaterThan(70);
    expect(scans).toEqual([]);
  });
});

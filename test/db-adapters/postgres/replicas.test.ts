/** The whole suite again, each call on the other one of two replicas. */

import type { Database } from "../../../db-adapters/contract.ts";
import { STEP_NAMES } from "../../../db-adapters/sqlite/steps/index.ts";
import { describeDatabase, type TestDatabase } from "../../conformance/database.ts";
import { makeDatabase, openFor } from "../../support/postgres.ts";

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
  const open = async () => inTurn([await openFor({ url }), await openFor({ url })]);
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

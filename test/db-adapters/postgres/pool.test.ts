import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { openDatabase } from "../../../db-adapters/open.ts";
import { SCHEMA_VERSION } from "../../../db-adapters/postgres/migrate.ts";
import { times } from "../../conformance/database/support.ts";
import { makeDatabase, openFor, query, testCluster } from "../../support/postgres.ts";

/** Connections of the adapter to the database of `url`, as the server counts them. */
async function connectionsOf(url: string): Promise<number> {
  const name = new URL(url).pathname.slice(1);
  const text = `select count(*)::integer as total from pg_stat_activity
    where datname = '${name}' and application_name = 'statehouse'`;
  const [row] = await query<{ total: number }>(await testCluster(), text);
  return row?.total ?? -1;
}

describe("the pool", () => {
  it("has no connection after open, few under load, and none once idle", async () => {
    const url = await makeDatabase();
    const db = await openFor({ url, poolMax: 3, idleMs: 150 });
    await sleep(50);
    expect(await connectionsOf(url)).toBe(0);
    await times(40, () => db.ping());
    expect(await connectionsOf(url)).toBe(3);
    await sleep(400);
    expect(await connectionsOf(url)).toBe(0);
    await db.ping();
  });

  it("asks nothing while nobody asks", async () => {
    const texts: string[] = [];
    const url = await makeDatabase();
    const db = await openFor({ url, onQuery: (text) => texts.push(text) });
    await db.ping();
    expect(texts).toEqual(["select 1"]);
    const last = () =>
      query<{ at: Date }>(
        url,
        "select max(state_change) as at from pg_stat_activity where application_name = 'statehouse'" +
          " and datname = current_database()",
      );
    const [before] = await last();
    await sleep(1_500);
    expect(texts).toHaveLength(1);
    expect((await last())[0]).toEqual(before);
  });

  it("answers the hot steps in one statement each", async () => {
    const texts: string[] = [];
    const url = await makeDatabase();
    const db = await openFor({ url, onQuery: (text) => texts.push(text) });
    const statements = async (step: () => Promise<unknown>) => {
      texts.length = 0;
      await step();
      return texts.length;
    };
    const name = { organization: "acme", project: "p", stack: "s" };
    const ref = { ...name, updateId: "u" };
    const held = { ref, tokenHash: "t", nowMs: 1 };
    const batch = { ...held, digest: "d", body: new Uint8Array(9) };
    await db.createOrganization({ id: "o", name: "acme", nowMs: 1 });
    await db.createStack({ id: "s", name, tags: { a: "b" }, state: null, nowMs: 1 });
    const update = { id: "u", stackId: "s", kind: "update", dryRun: false, actor: "a" } as const;
    await db.createUpdate({ ...update, config: null, metadata: "{}", nowMs: 1 });
    const lease = { ref, leaseTokenHash: "t", leaseExpiresMs: 9, journalVersion: 1, cliVersion: null };
    const sizes = { entryCount: 1, sizeBytes: 9, journalBytesMax: 99 };
    const sequence = { firstSequence: 0, lastSequence: 1, resourceChanges: null };
    const end = { updateId: "u", tokenHash: "t", status: "succeeded", ending: null } as const;
    const state = { kind: "unchanged" } as const;
    const counts = [
      await statements(() => db.findIdentity("h", 1)),
      await statements(() => db.findStack(name)),
      await statements(() => db.startUpdate({ ...lease, tags: { a: "b" }, nowMs: 1 })),
      await statements(() => db.findUpdateScope(ref)),
      await statements(() => db.renewLease({ ...held, expiresMs: 20 })),
      await statements(() => db.appendJournal({ ...batch, ...sizes })),
      await statements(() => db.appendEvents({ ...batch, ...sequence })),
      await statements(() => db.readFold("u", "t")),
      await statements(() => db.finishUpdate({ ...end, state, keepJournal: false, revision: 3, nowMs: 2 })),
    ];
    expect(counts).toEqual(Array(9).fill(1));
    expect(await db.findUpdate(ref)).toMatchObject({ status: "succeeded" });
  });

  it("is what openDatabase gives for kind postgres", async () => {
    const db = await openDatabase({ kind: "postgres", url: await makeDatabase() });
    expect(await db.describe()).toMatchObject({
      engine: "postgres",
      schema: String(SCHEMA_VERSION),
      tls: "no",
    });
    await db.close();
  });
});

describe("what Postgres can't hold", () => {
  it("is kept legible: NUL in a text", async () => {
    const db = await openFor({ url: await makeDatabase() });
    await db.createUser({ id: "u", login: "alice", name: "A\0B", email: "", nowMs: 1 });
    expect((await db.findUser("alice"))?.name).toBe("A\ufffdB");
  });
});

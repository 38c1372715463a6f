import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { describe, expect, it, onTestFinished } from "vitest";
import { DatabaseUnavailableError } from "../../../db-adapters/contract.ts";
import { Calls } from "../../../db-adapters/postgres/calls.ts";
import { clientConfigOf } from "../../../db-adapters/postgres/connection.ts";
import { Sql } from "../../../db-adapters/postgres/sql.ts";
import { makeEmptyDatabase, query, testCluster } from "../../support/postgres.ts";

const CALL_WITHIN_MS = 4_700;

/** `flaky(n, state)` fails n - 1 times with an SQLSTATE; its counter outlives a rollback. */
const FLAKY = [
  "create sequence tries",
  "create table kept (id integer primary key)",
  `create function flaky(needed integer, state text) returns integer language plpgsql as $$ begin
     if nextval('tries') < needed then raise exception 'flaky' using errcode = state; end if;
     return currval('tries');
   end $$`,
];

async function makeSql() {
  const url = await makeEmptyDatabase();
  await query(url, ...FLAKY);
  const pool = new pg.Pool({ ...clientConfigOf({ url }), max: 4 });
  pool.on("error", () => undefined).on("connect", (client) => client.on("error", () => undefined));
  const calls = new Calls(pool, CALL_WITHIN_MS);
  onTestFinished(() => calls.close());
  const kept = async () => (await query(url, "select id from kept")).length;
  return { url, sql: new Sql(calls, undefined), kept };
}

describe("what the server took back", () => {
  it.each(["40001", "40P01", "25006"])("is done again (%s)", async (state) => {
    const { sql, kept } = await makeSql();
    expect(await sql.changeOnce("select flaky(3, $1) as tries", state)).toEqual({ tries: 3 });
    const tries = sql.transaction(async (tx) => {
      tx.post("insert into kept values (1)");
      return tx.get("select flaky(5, $1) as tries", state);
    });
    expect(await tries).toEqual({ tries: 5 });
    expect(await kept()).toBe(1);
  });

  it("is given up in the end", async () => {
    const { sql, kept } = await makeSql();
    await expect(sql.changeOnce("select flaky(99, '40001')")).rejects.toThrow(DatabaseUnavailableError);
    const posted = sql.transaction(async (tx) => {
      tx.post("insert into kept values (1)");
      tx.post("select flaky(99, '40001')"); // nobody waits for it but the commit
    });
    await expect(posted).rejects.toThrow(/flaky \(40001\)/);
    expect(await kept()).toBe(0);
    expect(await sql.get("select currval('tries')::integer as tries").catch(() => null)).toEqual({
      tries: 10,
    });
  });

  it.each(["57014", "55P03", "53100"])("is not when that won't help (%s)", async (state) => {
    const { sql } = await makeSql();
    await expect(sql.get("select flaky(2, $1)", state)).rejects.toThrow(DatabaseUnavailableError);
    expect(await sql.get("select flaky(2, $1) as tries", state)).toEqual({ tries: 2 });
  });
});

describe("a mistake", () => {
  it("is thrown as it is, leaves nothing behind and keeps the connection", async () => {
    const { sql, kept } = await makeSql();
    await sql.changeOnce("insert into kept values (1)");
    const twice = sql.transaction(async (tx) => {
      tx.post("insert into kept values (2)");
      tx.post("insert into kept values (1)");
    });
    await expect(twice).rejects.toMatchObject({ code: "23505" });
    const thrown = sql.transaction(async (tx) => {
      tx.post("insert into kept values (3)");
      throw new Error("ours");
    });
    await expect(thrown).rejects.toThrow("ours");
    expect(await kept()).toBe(1);
  });
});

describe("connections that are cut", () => {
  it("are not noticed by what may be sent again", async () => {
    const { sql, url, kept } = await makeSql();
    const name = new URL(url).pathname.slice(1);
    const cut = `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = '${name}' and application_name = 'statehouse'`;
    let isOver = false;
    let done = 0;
    const lanes = [0, 1, 2].map(async (lane) => {
      for (let i = 0; !isOver; i += 1, done += 1) {
        const id = lane * 1_000_000 + i;
        await sql.change("insert into kept values ($1) on conflict do nothing", id);
        expect(await sql.get("select id from kept where id = $1", id)).toEqual({ id });
      }
    });
    for (let i = 0; i < 15; i += 1) {
      await sleep(60);
      await query(await testCluster(), cut);
    }
    isOver = true;
    await Promise.all(lanes);
    expect(await kept()).toBe(done);
  });

  it("end a change that may have been applied, and a transaction is begun again", async () => {
    const { sql, kept } = await makeSql();
    const suicide = "select pg_terminate_backend(pg_backend_pid())";
    await expect(sql.changeOnce(suicide)).rejects.toThrow(DatabaseUnavailableError);
    let tries = 0;
    await sql.transaction(async (tx) => {
      tries += 1;
      await tx.run("insert into kept values (1)");
      if (tries < 3) await tx.run(suicide);
    });
    expect([tries, await kept()]).toEqual([3, 1]);
  });
});

import { describe, expect, it } from "vitest";
import { SchemaTooNewError } from "../../../db-adapters/errors.ts";
import { migrationNames, SCHEMA_VERSION } from "../../../db-adapters/postgres/migrate.ts";
import { openPostgres, type PostgresLogLine } from "../../../db-adapters/postgres/open.ts";
import { migrationNames as sqliteMigrationNames } from "../../../db-adapters/sqlite/migrate.ts";
import { makeDatabase, makeEmptyDatabase, openFor, query } from "../../support/postgres.ts";

const ROUNDS = 20;
const APPLIED = "select number, name from schema_migration order by number";

describe("migrations", () => {
  it("are as many as the code says, and SQLite's by number and name", () => {
    expect(migrationNames()).toHaveLength(SCHEMA_VERSION);
    expect(migrationNames()).toEqual(sqliteMigrationNames());
  });

  it("run once, from empty, and not again", async () => {
    const url = await makeEmptyDatabase();
    const lines: PostgresLogLine[] = [];
    for (let i = 0; i < 2; i += 1) await openFor({ url, log: (line) => lines.push(line) });
    expect(lines.map(({ from, to }) => [from, to])).toEqual([
      [0, SCHEMA_VERSION],
      [SCHEMA_VERSION, SCHEMA_VERSION],
    ]);
    expect((await query(url, APPLIED)).map((row) => row.name)).toEqual(migrationNames());
  });

  it(`succeed for all of four starters at once on an empty database, ${ROUNDS} times`, async () => {
    const url = await makeEmptyDatabase();
    for (let round = 0; round < ROUNDS; round += 1) {
      const starters = await Promise.all(Array.from({ length: 4 }, () => openPostgres({ url, poolMax: 2 })));
      await Promise.all(
        starters.map((db, i) => db.createOrganization({ id: `o${i}`, name: `n${i}`, nowMs: 1 })),
      );
      expect((await starters[0]?.statistics())?.organizations).toBe(4);
      await Promise.all(starters.map((db) => db.close()));
      expect(await query(url, APPLIED)).toHaveLength(SCHEMA_VERSION);
      await query(url, "drop schema public cascade", "create schema public");
    }
  }, 90_000);

  it("refuse a database from a newer release, and leave it alone", async () => {
    const url = await makeEmptyDatabase();
    await openFor({ url });
    const newer = SCHEMA_VERSION + 1;
    await query(url, `insert into schema_migration values (${newer}, 'later', 1)`);
    await expect(openPostgres({ url })).rejects.toThrow(SchemaTooNewError);
    await expect(openPostgres({ url })).rejects.toMatchObject({ found: newer, known: SCHEMA_VERSION });
    expect(await query(url, APPLIED)).toHaveLength(newer);
  });

  it("leave statements of another release working", async () => {
    const url = await makeDatabase();
    const db = await openFor({ url, poolMax: 1 });
    await db.createOrganization({ id: "o", name: "acme", nowMs: 1 });
    for (let i = 0; i < 8; i += 1) await db.findOrganization("acme"); // the server has a plan of its own by now
    await query(url, "alter table organization add column later integer");
    expect(await db.findOrganization("acme")).toEqual({ id: "o", name: "acme", createdMs: 1 });
    await query(url, "alter table organization drop column later");
  });
});

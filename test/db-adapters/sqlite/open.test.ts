import { readdirSync } from "node:fs";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { DatabaseUnavailableError } from "../../../db-adapters/contract.ts";
import { openDatabase } from "../../../db-adapters/open.ts";
import { SchemaTooNewError, WalRefusedError } from "../../../db-adapters/sqlite/errors.ts";
import { migrate, migrationNames, SCHEMA_VERSION } from "../../../db-adapters/sqlite/migrate.ts";
import { openSqlite, type SqliteLogLine } from "../../../db-adapters/sqlite/open.ts";
import { makeSqlite, makeTempDir, openFor } from "./support.ts";

const NFS = { type: "nfs4", mountPoint: "/data", kind: "network" } as const;

describe("opening a SQLite database", () => {
  it("says how it keeps its data, and why", async () => {
    const lines: SqliteLogLine[] = [];
    const { db } = await makeSqlite({ fileSystem: NFS, log: (line) => lines.push(line) });
    expect(await db.describe()).toMatchObject({
      ...{ engine: "sqlite", schema: String(SCHEMA_VERSION), journalMode: "truncate" },
      ...{ synchronous: "full", lockingMode: "exclusive", why: "/data is nfs4 (network)" },
    });
    expect(lines).toMatchObject([{ level: "info", msg: "SQLite opened", journalMode: "truncate" }]);
  });

  it("refuses WAL on a network file system before it touches the file", async () => {
    const dir = await makeTempDir();
    const opening = openSqlite({ path: join(dir, "a.db"), journalMode: "wal", fileSystem: NFS });
    await expect(opening).rejects.toThrow(WalRefusedError);
    expect(readdirSync(dir)).toEqual([]);
  });

  it("takes a file that was in WAL mode over to a rollback journal, data and all", async () => {
    const path = join(await makeTempDir(), "a.db");
    const local = await openFor({ path, journalMode: "wal" });
    await local.createOrganization({ id: "o", name: "acme", nowMs: 1 });
    await local.close();
    const remote = await openFor({ path, fileSystem: NFS });
    expect((await remote.findOrganization("acme"))?.id).toBe("o");
    expect((await remote.describe()).journalMode).toBe("truncate");
  });

  it("keeps others out of the file on a network", async () => {
    const path = join(await makeTempDir(), "a.db");
    await openFor({ path, fileSystem: NFS });
    const second = openSqlite({ path, fileSystem: NFS, busyWaitMs: 50 });
    await expect(second).rejects.toThrow(DatabaseUnavailableError);
  });

  it("lets a backup tool read beside it on a local disk", async () => {
    const path = join(await makeTempDir(), "a.db");
    const db = await openFor({ path, journalMode: "wal" });
    await db.createOrganization({ id: "o", name: "acme", nowMs: 1 });
    const other = new SqliteDatabase(path, { readonly: true });
    expect(other.prepare("select name from organization").pluck().all()).toEqual(["acme"]);
    other.close();
  });

  it("refuses what isn't a database", async () => {
    const dir = await makeTempDir();
    await expect(openSqlite({ path: dir })).rejects.toThrow(DatabaseUnavailableError);
  });

  it("is what openDatabase gives for kind sqlite", async () => {
    const db = await openDatabase({ kind: "sqlite", path: join(await makeTempDir(), "sub", "a.db") });
    expect((await db.describe()).engine).toBe("sqlite");
    await db.close();
  });
});

describe("migrations", () => {
  it("are as many as the code says", () => {
    expect(migrationNames()).toHaveLength(SCHEMA_VERSION);
  });

  it("run once, from empty, and not again", async () => {
    const connection = new SqliteDatabase(join(await makeTempDir(), "a.db"));
    expect(migrate(connection)).toEqual({ from: 0, to: SCHEMA_VERSION });
    const tables = connection.prepare("select name, sql from sqlite_schema order by name").all();
    expect(migrate(connection)).toEqual({ from: SCHEMA_VERSION, to: SCHEMA_VERSION });
    expect(connection.prepare("select name, sql from sqlite_schema order by name").all()).toEqual(tables);
    expect(connection.pragma("foreign_key_check")).toEqual([]);
    connection.close();
  });

  it("refuse a database from a newer release, and leave it alone", async () => {
    const { db, reopen } = await makeSqlite();
    const { path = "" } = await db.describe();
    await db.close();
    const connection = new SqliteDatabase(path);
    connection.pragma(`user_version = ${SCHEMA_VERSION + 1}`);
    connection.close();
    await expect(reopen()).rejects.toThrow(SchemaTooNewError);
    await expect(openSqlite({ path })).rejects.toMatchObject({
      ...{ found: SCHEMA_VERSION + 1, known: SCHEMA_VERSION },
    });
  });
});

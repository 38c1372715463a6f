/** Rows and proof without a network's luck: a source over HTTP, a SQLite target that the test holds in its hand. */
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import type { BulkRow, Database } from "../../db-adapters/contract.ts";
import { openSqlite } from "../../db-adapters/sqlite/open.ts";
import { createDocumentStore } from "../../server/blobs/documents.ts";
import { progressText, TransferProgress } from "../../server/cli/transfer-progress.ts";
import { digestRows, readRow, spellRow } from "../../server/rules/bulk-rows.ts";
import { copyBlobs, presentBlobs } from "../../server/transfer/blobs.ts";
import { reconcile } from "../../server/transfer/rows.ts";
import { Source } from "../../server/transfer/source.ts";
import type { Target } from "../../server/transfer/target.ts";
import { verify } from "../../server/transfer/verify.ts";
import { openLocalDisk } from "../../storage-adapters/local-disk.ts";
import { freshStack, up } from "../support/journal.ts";
import { ADMIN_TOKEN, makeTempDir, startTestServer, type TestServer } from "../support/server.ts";

async function makeTarget(server: TestServer): Promise<Target> {
  const dir = await makeTempDir();
  const db = await openSqlite({ path: join(dir, "statehouse.db") });
  const blobs = await openLocalDisk({ root: join(dir, "blobs") });
  onTestFinished(async () => {
    await db.close();
    await blobs.close();
  });
  const { keyring } = server.ctx;
  return {
    db,
    blobs,
    keyring,
    documents: createDocumentStore(blobs, keyring),
    keys: [],
    ownKeys: [],
    otherKeys: [],
  };
}

async function copied() {
  const server = await startTestServer();
  await up(await freshStack(server), ["a"]);
  await up(await freshStack(server), ["b"]);
  const source = new Source(server.url, ADMIN_TOKEN);
  const target = await makeTarget(server);
  const overview = await source.overview();
  await copyBlobs(source, target, await presentBlobs(target), () => undefined);
  const settle = () => reconcile(source, target, overview.tables, () => undefined);
  await settle();
  await target.db.writeTotals(overview);
  return { server, source, target, overview, settle };
}

async function change(db: Database, table: string, column: string, values: readonly (string | number)[]) {
  const { tables } = await db.describeBulk();
  const at = tables.find(({ name }) => name === table)?.columns.indexOf(column) ?? -1;
  const rows = await db.readRows({ table, after: null, through: null, limit: 100, bytesMax: 1_000_000 });
  const changed = rows.map((row, index): BulkRow => row.with(at, values[index % values.length] ?? null));
  expect(await db.writeRows(table, changed)).toBe(0);
}

it("finds nothing wrong with a true copy", async () => {
  const { target, overview } = await copied();
  const result = await verify(target, overview, () => undefined);
  expect(result).toMatchObject({ versions: 2, stacks: 2, problems: [] });
  expect(result.rows).toEqual(overview.rows);
});

it("notices a tampered row, and puts it right", async () => {
  const { target, overview, settle } = await copied();
  await change(target.db, "state_version", "sha256", ["0".repeat(64)]);
  const { problems } = await verify(target, overview, () => undefined);
  expect(problems.map(({ what }) => what)).toEqual([
    expect.stringContaining("other bytes"),
    expect.stringContaining("other bytes"),
  ]);
  await settle();
  expect((await verify(target, overview, () => undefined)).problems).toEqual([]);
});

it("notices a missing row and a wrong total", async () => {
  const { target, overview } = await copied();
  await target.db.writeTotals({ counters: { ...overview.counters, stack: 7 }, sequences: {} });
  const [row] = await target.db.readRows({
    table: "audit_event",
    after: null,
    through: null,
    limit: 1,
    bytesMax: 1,
  });
  const events = overview.tables.find(({ name }) => name === "audit_event");
  if (row !== undefined)
    await target.db.deleteRows("audit_event", [[row[events?.columns.indexOf("id") ?? 0] ?? null]]);
  const { problems } = await verify(target, overview, () => undefined);
  expect(problems.map(({ what }) => what).join()).toContain("total stack: 7, the source has 2");
  if (row !== undefined) expect(problems.map(({ what }) => what).join()).toContain("audit_event");
});

it("settles rows that stand in each other's way: two stacks that swapped their names", async () => {
  const { server, target, settle } = await copied();
  await change(server.ctx.db, "stack", "name", ["x", "y"]);
  await settle();
  await change(server.ctx.db, "stack", "name", ["z", "x"]);
  await change(server.ctx.db, "stack", "name", ["y", "x"]);
  await settle();
  const page = { table: "stack", after: null, through: null, limit: 9, bytesMax: 1_000_000 };
  expect(await target.db.readRows(page)).toEqual(await server.ctx.db.readRows(page));
});

it("refuses what a mode refuses, on every table at once", async () => {
  const { server } = await copied();
  const { db } = server.ctx;
  await db.setServingState({ mode: "read_only", message: "a moment" });
  const write = db.createOrganization({ id: "o", name: "new-one", nowMs: 1 });
  await expect(write).rejects.toMatchObject({
    name: "DatabaseReadOnlyError",
    message: "a moment",
    isMoved: false,
  });
  await db.setServingState({ mode: "moved", message: "it's elsewhere" });
  const later = db.createOrganization({ id: "o", name: "new-one", nowMs: 1 });
  await expect(later).rejects.toMatchObject({ message: "it's elsewhere", isMoved: true });
  await db.setServingState({ mode: "open", message: "" });
  expect(await db.createOrganization({ id: "o", name: "new-one", nowMs: 1 })).toBe("created");
});

it("spells rows so that bytes and numbers come back", () => {
  const row = ["text", 2 ** 52, null, new Uint8Array([0, 255])];
  expect(readRow(JSON.parse(JSON.stringify(spellRow(row))))).toEqual(row);
  expect(digestRows([["a\0"]])).toBe(digestRows([["a\ufffd"]]));
  expect(() => readRow([true])).toThrow(TypeError);
});

it("shows how far it is: a bar on a terminal, lines elsewhere", () => {
  const progress = { phase: "blobs", done: 50, total: 200, doneBytes: 3_000_000 } as const;
  expect(progressText(progress, 10_000)).toBe(
    "blobs       [######..................] 25 %  50/200  3.0 MB  5/s  30 s left",
  );
  for (const isTTY of [true, false]) {
    const out: string[] = [];
    let nowMs = 0;
    const shown = new TransferProgress({ write: (text) => out.push(text), isTTY }, () => nowMs);
    for (let done = 0; done <= 100; done += 1) {
      nowMs += 100;
      shown.show({ ...progress, done, total: 100 });
    }
    shown.end();
    expect(out.length).toBe(isTTY ? 102 : 3);
  }
});

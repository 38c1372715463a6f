/**
 * What `statehouse transfer` reads of a server, for the holder of the admin token: rows, blobs and the switch that
 * stops writes. Between two programs of one release, so not in the API document.
 */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import type { BulkRow } from "../../db-adapters/contract.ts";
import { BlobNotFoundError } from "../../storage-adapters/contract.ts";
import { AppError } from "../errors.ts";
import { check, readJson, sendJson } from "../http/json.ts";
import { adminRoute, type Route } from "../http/route.ts";
import { CARRIED_KEYS_SETTING, digestRows, readRow, spellRow } from "../rules/bulk-rows.ts";
import { ADMIN_PATH } from "./fields.ts";

export const TRANSFER_PATH = `${ADMIN_PATH}/transfer`;

const PAGE_ROWS_MAX = 1_000;
const PAGE_BYTES_MAX = 4 * 1024 * 1024;

const Key = z
  .array(z.unknown())
  .max(16)
  .transform((key): BulkRow => readRow(key))
  .nullable();

const RowsRequest = z.strictObject({
  table: z.string().max(100),
  after: Key,
  through: Key,
  /** Without the rows themselves: enough to see that a page is there already. */
  digestOnly: z.boolean(),
});

const ServingRequest = z.strictObject({
  mode: z.enum(["open", "draining", "read_only", "moved"]),
  message: z.string().max(500),
});

const BlobQuery = z.looseObject({ key: z.string().min(1).max(512) });

async function* lines(items: AsyncIterable<object>): AsyncGenerator<string> {
  for await (const item of items) yield `${JSON.stringify(item)}\n`;
}

export const transferRoutes: readonly Route[] = [
  adminRoute("get", TRANSFER_PATH, async (ctx, _access, _req, res) => {
    const overview = await ctx.db.describeBulk();
    const rows: Record<string, number> = {};
    for (const { name } of overview.tables) rows[name] = await ctx.db.countRows(name);
    // Sealed: whoever has not this side's key can do nothing with it.
    const carriedKeys = await ctx.db.findSetting(CARRIED_KEYS_SETTING);
    sendJson(res, 200, { ...overview, rows, carriedKeys, serving: await ctx.db.findServingState() });
  }),

  adminRoute("post", `${TRANSFER_PATH}/rows`, async (ctx, _access, req, res) => {
    const { table, after, through, digestOnly } = await readJson(req, RowsRequest, ctx.config);
    const { tables } = await ctx.db.describeBulk();
    const known = tables.find((it) => it.name === table);
    if (known === undefined) throw new AppError("INVALID_REQUEST", {}, { detail: "there is no such table" });
    const page = { table, after, through, limit: PAGE_ROWS_MAX, bytesMax: PAGE_BYTES_MAX };
    const rows = await ctx.db.readRows(page);
    const last = rows.at(-1);
    const lastKey = last && known.key.map((name) => last[known.columns.indexOf(name)] ?? null);
    sendJson(res, 200, {
      count: rows.length,
      digest: digestRows(rows),
      last: lastKey === undefined ? null : spellRow(lastKey),
      rows: digestOnly ? [] : rows.map(spellRow),
    });
  }),

  adminRoute("get", `${TRANSFER_PATH}/blobs`, async (ctx, _access, _req, res) => {
    res.writeHead(200, { "content-type": "application/x-ndjson" });
    await pipeline(Readable.from(lines(ctx.blobs.list(""))), res);
  }),

  adminRoute("get", `${TRANSFER_PATH}/blob`, async (ctx, _access, req, res) => {
    const { key } = check(BlobQuery, req.query);
    try {
      const body = await ctx.blobs.open(key);
      res.writeHead(200, { "content-type": "application/octet-stream" });
      await pipeline(Readable.from(body), res);
    } catch (error) {
      if (!(error instanceof BlobNotFoundError)) throw error;
      throw new AppError("ROUTE_NOT_FOUND");
    }
  }),

  adminRoute("put", `${TRANSFER_PATH}/serving`, async (ctx, _access, req, res) => {
    const state = await readJson(req, ServingRequest, ctx.config);
    const result = await ctx.db.setServingState(state);
    ctx.log.warn({ mode: state.mode, result: result.kind }, "transfer: what writes are answered was changed");
    sendJson(res, 200, result);
  }),
];

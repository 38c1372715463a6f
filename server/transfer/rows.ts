/**
 * Makes the target's tables what the source's are, page by page in key order. A page whose digest is the same on
 * both sides costs no more than two reads; so a second look at everything is cheap, and after a kill the work
 * goes on where it differs. Rows that others stand in the way of (a name that moved on, a parent that came later,
 * what a trigger changed) are settled by the next round: a round without a difference is the proof.
 */
import type { BulkRow, BulkTable } from "../../db-adapters/contract.ts";
import { digestRows, rowText } from "../rules/bulk-rows.ts";
import { TransferError } from "./errors.ts";
import type { Source } from "./source.ts";
import type { Target } from "./target.ts";

const PAGE_ROWS = 1_000;
const PAGE_BYTES = 4 * 1024 * 1024;
const ROUNDS_MAX = 12;

export interface RoundResult {
  readonly compared: number;
  readonly changed: number;
  /** Left for the next round. */
  readonly refused: number;
}

type OnRows = (count: number) => void;

function keyOf(table: BulkTable, row: BulkRow): BulkRow {
  return table.key.map((name) => row[table.columns.indexOf(name)] ?? null);
}

/** Everything of the target in a range; the range is a page of the source, so it is small unless it is stale. */
async function readRange(target: Target, table: BulkTable, after: BulkRow | null, through: BulkRow | null) {
  const found: BulkRow[] = [];
  for (let from = after; ; ) {
    const range = { table: table.name, after: from, through, limit: PAGE_ROWS, bytesMax: PAGE_BYTES };
    const rows = await target.db.readRows(range);
    const last = rows.at(-1);
    if (last === undefined) return found;
    found.push(...rows);
    from = keyOf(table, last);
  }
}

async function reconcilePage(
  target: Target,
  table: BulkTable,
  wanted: readonly BulkRow[],
  present: readonly BulkRow[],
): Promise<{ changed: number; refused: number }> {
  const there = new Map(present.map((row) => [rowText(keyOf(table, row)), rowText(row)]));
  const missing = wanted.filter((row) => there.get(rowText(keyOf(table, row))) !== rowText(row));
  for (const row of wanted) there.delete(rowText(keyOf(table, row)));
  const extra = present.map((row) => keyOf(table, row)).filter((key) => there.has(rowText(key)));
  // Deletions first: what goes may hold a name that what comes has.
  let refused = extra.length === 0 ? 0 : await target.db.deleteRows(table.name, extra);
  if (missing.length > 0) refused += await target.db.writeRows(table.name, missing);
  return { changed: extra.length + missing.length - refused, refused };
}

async function reconcileTable(
  source: Source,
  target: Target,
  table: BulkTable,
  onRows: OnRows,
): Promise<RoundResult> {
  const total = { compared: 0, changed: 0, refused: 0 };
  for (let after: BulkRow | null = null; ; ) {
    const head = await source.page({ table: table.name, after, through: null }, true);
    const present = await readRange(target, table, after, head.last);
    let outcome = { changed: 0, refused: 0 };
    if (head.last === null) outcome = await reconcilePage(target, table, [], present);
    else if (digestRows(present) !== head.digest) {
      const { rows } = await source.page({ table: table.name, after, through: head.last }, false);
      outcome = await reconcilePage(target, table, rows, present);
    }
    total.compared += head.count;
    total.changed += outcome.changed;
    total.refused += outcome.refused;
    onRows(head.count);
    if (head.last === null) return total;
    after = head.last;
  }
}

/** One look at all tables, parents first. */
export async function reconcileOnce(
  source: Source,
  target: Target,
  tables: readonly BulkTable[],
  onRows: OnRows,
): Promise<RoundResult> {
  const total = { compared: 0, changed: 0, refused: 0 };
  for (const table of tables) {
    const result = await reconcileTable(source, target, table, onRows);
    total.compared += result.compared;
    total.changed += result.changed;
    total.refused += result.refused;
  }
  return total;
}

async function clear(target: Target, tables: readonly BulkTable[]): Promise<void> {
  for (const table of tables.toReversed())
    for (;;) {
      const range = { table: table.name, after: null, through: null, limit: PAGE_ROWS, bytesMax: PAGE_BYTES };
      const rows = await target.db.readRows(range);
      if (rows.length === 0) break;
      await target.db.deleteRows(
        table.name,
        rows.map((row) => keyOf(table, row)),
      );
    }
}

/**
 * Until a whole round finds no difference. The source takes no writes meanwhile.
 * @throws TransferError never_settled
 */
export async function reconcile(
  source: Source,
  target: Target,
  tables: readonly BulkTable[],
  onRows: OnRows,
): Promise<RoundResult> {
  let hasCleared = false;
  for (let round = 1; round <= ROUNDS_MAX; round += 1) {
    const result = await reconcileOnce(source, target, tables, onRows);
    if (result.changed === 0 && result.refused === 0) return result;
    if (result.changed > 0 || hasCleared) continue;
    // Rows that stand in each other's way (two names that were swapped): into empty tables they all fit.
    await clear(target, tables);
    hasCleared = true;
  }
  throw new TransferError(
    "never_settled",
    `After ${ROUNDS_MAX} rounds the rows still differ from the source's.`,
  );
}

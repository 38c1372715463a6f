/** What both engines' bulk steps share: the order of tables, the statements, and how writes are refused. */
import type { BulkRow, BulkTable, BulkValue, ServingState } from "./contract.ts";

/** A table as an engine's catalogue has it. */
export interface CatalogTable extends BulkTable {
  /** Tables that its foreign keys name. */
  readonly parents: readonly string[];
  /** Columns of bytes: the only ones that are large. */
  readonly bytes: readonly string[];
}

/** Totals are written as such; migrations and the engine's own tables are no data. */
const NO_DATA = /^(counter|rate_count|schema_migration|sqlite_.*)$/;
/** Notes of a transfer about one side, which the other must not get. */
export const TRANSFER_SETTINGS = "transfer ";
export const SERVING_SETTING = `${TRANSFER_SETTINGS}serving state`;

const REFUSAL = /statehouse (read_only|moved): (.*)/s;

export function isDataTable(name: string): boolean {
  return !NO_DATA.test(name);
}

/** Parents first; of equal rank by name, so that both engines agree. */
export function inOrder(tables: readonly CatalogTable[]): CatalogTable[] {
  const byName = new Map(tables.map((table) => [table.name, table]));
  const rankOf = (table: CatalogTable): number => {
    const parents = table.parents.filter((name) => name !== table.name).map((name) => byName.get(name));
    return 1 + Math.max(0, ...parents.map((parent) => (parent === undefined ? 0 : rankOf(parent))));
  };
  const ranked = tables.map((table) => ({ table, rank: rankOf(table) }));
  ranked.sort((a, b) => a.rank - b.rank || (a.table.name < b.table.name ? -1 : 1));
  return ranked.map(({ table }) => table);
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function list(names: readonly string[]): string {
  return names.map(quoted).join(", ");
}

/** Marks of parameters from number `first` on, as an engine writes them. */
export type Marks = (first: number, count: number) => readonly string[];

/** The rows that belong to the data: all, except in `setting`. */
function onlyData(table: BulkTable): string[] {
  const { length } = TRANSFER_SETTINGS;
  return table.name === "setting" ? [`substr(key, 1, ${length}) <> '${TRANSFER_SETTINGS}'`] : [];
}

export interface Range {
  readonly after: BulkRow | null;
  readonly through: BulkRow | null;
  readonly limit: number;
}

/** A page by key. `select` is what it reads, ready to be used. */
export function pageQuery(
  table: CatalogTable,
  select: string,
  { after, through, limit }: Range,
  marks: Marks,
): { text: string; values: BulkValue[] } {
  const values: BulkValue[] = [];
  const bound = (operator: string, key: BulkRow) => {
    const text = `(${list(table.key)}) ${operator} (${marks(values.length + 1, key.length).join(", ")})`;
    values.push(...key);
    return text;
  };
  const conditions = onlyData(table);
  if (after !== null) conditions.push(bound(">", after));
  if (through !== null) conditions.push(bound("<=", through));
  const where = conditions.length === 0 ? "" : ` where ${conditions.join(" and ")}`;
  const page = ` order by ${list(table.key)} limit ${Math.trunc(limit)}`;
  return { text: `select ${select} from ${quoted(table.name)}${where}${page}`, values };
}

export function selectRows(table: CatalogTable): string {
  return list(table.columns);
}

/** The key columns, then the size of the row's bytes as `bulk_bytes`. */
export function selectSizes(table: CatalogTable, lengthOf: string): string {
  const sizes = table.bytes.map((name) => `coalesce(${lengthOf}(${quoted(name)}), 0)`);
  return `${list(table.key)}, ${sizes.join(" + ")} as bulk_bytes`;
}

/** Of pages of sizes, the key up to which they fit; null when all do. */
export function fittingKey(
  rows: readonly { readonly key: BulkRow; readonly sizeBytes: number }[],
  bytesMax: number,
): BulkRow | null {
  let total = 0;
  for (const [index, row] of rows.entries()) {
    total += row.sizeBytes;
    if (total > bytesMax) return (rows[Math.max(0, index - 1)] ?? row).key;
  }
  return null;
}

export function countQuery(table: CatalogTable): string {
  const conditions = onlyData(table);
  const where = conditions.length === 0 ? "" : ` where ${conditions.join(" and ")}`;
  return `select count(*) as value from ${quoted(table.name)}${where}`;
}

export function upsertQuery(table: CatalogTable, marks: Marks): string {
  const others = table.columns.filter((name) => !table.key.includes(name));
  const changes = others.map((name) => `${quoted(name)} = excluded.${quoted(name)}`).join(", ");
  const action = others.length === 0 ? "nothing" : `update set ${changes}`;
  return (
    `insert into ${quoted(table.name)} (${list(table.columns)}) ` +
    `values (${marks(1, table.columns.length).join(", ")}) on conflict (${list(table.key)}) do ${action}`
  );
}

export function deleteQuery(table: CatalogTable, marks: Marks): string {
  const key = marks(1, table.key.length).join(", ");
  return `delete from ${quoted(table.name)} where (${list(table.key)}) = (${key})`;
}

/** Data tables whose rows may change even so: the notes about the transfer itself lie there. */
export function isAlwaysWritable(name: string): boolean {
  return name === "setting";
}

/** What a trigger raises. Read back by `refusalOf`. */
export function refusalText({ mode, message }: ServingState): string {
  return `statehouse ${mode === "moved" ? "moved" : "read_only"}: ${message}`;
}

export function refusalOf(errorMessage: string): { message: string; isMoved: boolean } | null {
  const match = REFUSAL.exec(errorMessage);
  return match === null ? null : { message: match[2] ?? "", isMoved: match[1] === "moved" };
}

export function literal(text: string): string {
  return `'${text.replaceAll("\0", "").replaceAll("'", "''")}'`;
}

export function servingStateOf(stored: string | null): ServingState {
  return stored === null ? { mode: "open", message: "" } : (JSON.parse(stored) as ServingState);
}

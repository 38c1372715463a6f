/** Lists for people: aligned columns, nothing that a terminal could take for a command. */
import type { Item } from "./admin-api.ts";
import type { CommandLineDeps } from "./deps.ts";

export interface Column {
  readonly title: string;
  /** The first of these that an item has is shown. */
  readonly keys: readonly string[];
}

/** Columns from titles; `"Created:createdAt"` names the key when it isn't the title in lower case. */
export function columns(...specs: readonly string[]): Column[] {
  return specs.map((spec) => {
    const [title = "", keys = title.toLowerCase()] = spec.split(":");
    return { title, keys: keys.split("|") };
  });
}

/** A list as a table, or as JSON when asked; an empty table says so on stderr. */
export function printList(
  deps: CommandLineDeps,
  list: { readonly items: readonly Item[]; readonly truncated: boolean },
  shape: { readonly columns: readonly Column[]; readonly json: boolean; readonly none: string },
): void {
  if (shape.json) deps.stdout.write(`${JSON.stringify(list.items, null, 2)}\n`);
  else if (list.items.length === 0) deps.stderr.write(`${shape.none}\n`);
  else deps.stdout.write(formatTable(shape.columns, list.items));
  if (list.truncated) deps.stderr.write(`Only the first ${list.items.length} are shown.\n`);
}

export function formatTable(shape: readonly Column[], items: readonly Item[]): string {
  const rows = items.map((item) => shape.map(({ keys }) => cell(firstOf(item, keys))));
  return alignRows([shape.map(({ title }) => title.toUpperCase()), ...rows]);
}

/** Rows of text with each column as wide as its widest cell. */
export function alignRows(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, text] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, text.length);
  }
  const lines = rows.map((row) => row.map((text, index) => text.padEnd(widths[index] ?? 0)).join("  "));
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}

/** Takes control characters out: a name must not move the cursor or colour the terminal. */
export function plainText(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, "?");
}

function firstOf(item: Item, keys: readonly string[]): unknown {
  return keys.map((key) => item[key]).find((value) => value !== undefined && value !== null);
}

function cell(value: unknown): string {
  if (value === undefined || value === null || value === "") return "-";
  const time = typeof value === "string" ? /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)/.exec(value) : null;
  if (time !== null) return `${time[1]} ${time[2]}`;
  return plainText(typeof value === "object" ? JSON.stringify(value) : String(value));
}

/** Rows of any table as JSON and back, bytes included; one spelling, so that equal rows have equal digests. */
import { createHash } from "node:crypto";
import type { BulkRow, BulkValue } from "../../db-adapters/contract.ts";

/** Keys of other masters, sealed under this side's own. A note of a transfer: it never goes to another side as it is. */
export const CARRIED_KEYS_SETTING = "transfer carried keys";

type Spelt = string | number | null | { readonly b64: string };

/** Postgres holds no NUL in a text, and its adapter stores U+FFFD in place of it: so does every copy. */
function spell(value: BulkValue): Spelt {
  if (value instanceof Uint8Array) return { b64: Buffer.from(value).toString("base64") };
  return typeof value === "string" ? value.replaceAll("\0", "\ufffd") : value;
}

export function spellRow(row: BulkRow): Spelt[] {
  return row.map(spell);
}

function read(value: unknown): BulkValue {
  if (value === null || typeof value === "string" || typeof value === "number") return value;
  if (typeof value === "object" && "b64" in value && typeof value.b64 === "string") {
    return new Uint8Array(Buffer.from(value.b64, "base64"));
  }
  throw new TypeError("not a value of a row");
}

/** @throws TypeError for what `spellRow` doesn't make */
export function readRow(row: unknown): BulkRow {
  if (!Array.isArray(row)) throw new TypeError("not a row");
  return row.map(read);
}

export function rowText(row: BulkRow): string {
  return JSON.stringify(spellRow(row));
}

/** SHA-256 over rows in their order, hex. */
export function digestRows(rows: readonly BulkRow[]): string {
  const hash = createHash("sha256");
  for (const row of rows) hash.update(rowText(row)).update("\n");
  return hash.digest("hex");
}

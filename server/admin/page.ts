/** Lists in pages: `{items, nextCursor?}`, by key, so that a page never repeats or skips what stays. */
import { z } from "zod";
import type { PageRequest } from "../../db-adapters/contract.ts";

export const PAGE_LIMIT = { max: 200, initial: 50 } as const;

/** The last key of a page, wrapped so that nobody builds one by hand. */
function encodeCursor(key: string): string {
  return Buffer.from(key, "utf8").toString("base64url");
}

const Cursor = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,1024}$/, { error: "take it from the page before" })
  .transform((cursor) => Buffer.from(cursor, "base64url").toString("utf8"))
  // Postgres refuses NUL in text, which would be our error and not the client's.
  .refine((key) => /^\P{Cc}+$/u.test(key), { error: "take it from the page before" })
  .optional()
  .meta({ description: "`nextCursor` of the page before; none for the first page" });

export const Limit = z.coerce
  .number()
  .int()
  .min(1)
  .max(PAGE_LIMIT.max)
  .default(PAGE_LIMIT.initial)
  .meta({ description: "Items in a page" });

/** The query of every list. */
export const PageQuery = z.strictObject({ cursor: Cursor, limit: Limit });

/** A list's answer; `id` is its name in the API document. */
export function pageOf<Item extends z.ZodType>(id: string, item: Item) {
  const nextCursor = z.string().optional().meta({ description: "Absent on the last page" });
  return z.strictObject({ items: z.array(item), nextCursor }).meta({ id });
}

/**
 * One page. Asks for one item more than it gives: whether that one is there decides if a page follows, so
 * that the last page never points to an empty one.
 */
export async function readPage<Row, View>(
  query: z.output<typeof PageQuery>,
  list: (page: PageRequest) => Promise<readonly Row[]>,
  keyOf: (row: Row) => string,
  viewOf: (row: Row) => View,
): Promise<{ items: View[]; nextCursor?: string }> {
  const rows = await list({ after: query.cursor ?? null, limit: query.limit + 1 });
  const shown = rows.slice(0, query.limit);
  const last = shown.at(-1);
  const items = shown.map(viewOf);
  return rows.length > shown.length && last !== undefined
    ? { items, nextCursor: encodeCursor(keyOf(last)) }
    : { items };
}

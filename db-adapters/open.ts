/** The one place that knows which adapters there are. */
import type { Database } from "./contract.ts";
import { openSqlite, type SqliteOptions } from "./sqlite/open.ts";

export type DatabaseOptions = { readonly kind: "sqlite" } & SqliteOptions;

/** Opens the database that the options name; its schema is up to date on return. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  switch (options.kind) {
    case "sqlite":
      return openSqlite(options);
    default:
      return options.kind satisfies never;
  }
}

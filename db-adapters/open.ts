/** The one place that knows which adapters there are. */
import type { SharedDatabase } from "./contract.ts";
import { inProcessBus, inProcessCronLock, noSharedRates } from "./in-process-bus.ts";
import type { PostgresOptions } from "./postgres/open.ts";
import { openSqlite, type SqliteOptions } from "./sqlite/open.ts";

export type DatabaseOptions =
  | ({ readonly kind: "sqlite" } & SqliteOptions)
  | ({ readonly kind: "postgres" } & PostgresOptions);

/** Opens the database that the options name; its schema is up to date on return. */
export async function openDatabase(options: DatabaseOptions): Promise<SharedDatabase> {
  switch (options.kind) {
    case "sqlite":
      return {
        ...(await openSqlite(options)),
        ...inProcessBus(),
        ...inProcessCronLock(),
        ...noSharedRates(),
      };
    case "postgres": {
      // The driver is loaded where it is asked for: the other shape starts without it.
      const { openPostgres } = await import("./postgres/open.ts");
      return openPostgres(options);
    }
    default:
      return options satisfies never;
  }
}

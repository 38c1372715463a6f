/** A look at a database, for `doctor`: nothing is migrated and nothing is written. */
import type { Inspection } from "../sqlite/inspect.ts";
import {
  type ConnectionOptions,
  clientConfigOf,
  connectWithin,
  describeConnection,
  end,
} from "./connection.ts";
import { SCHEMA_VERSION, schemaVersionOf } from "./migrate.ts";

export interface ServerInspection extends Inspection {
  /** What it is, for people. */
  readonly server: string;
}

/** @throws PostgresUrlError | DatabaseUnavailableError */
export async function inspectPostgres(options: ConnectionOptions): Promise<ServerInspection> {
  const client = await connectWithin(clientConfigOf(options), 0);
  try {
    const { version = "", database = "", tls } = await describeConnection(client);
    const schemaVersion = await schemaVersionOf(client);
    const text = "select key, value from setting";
    const { rows } =
      schemaVersion === 0 ? { rows: [] } : await client.query<{ key: string; value: string }>(text);
    return {
      server: `Postgres ${version}, database ${database}, ${tls === "yes" ? "TLS" : "no TLS"}`,
      schemaVersion,
      programSchemaVersion: SCHEMA_VERSION,
      settings: new Map(rows.map(({ key, value }) => [key, value])),
    };
  } finally {
    await end(client);
  }
}

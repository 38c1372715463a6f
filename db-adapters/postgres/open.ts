import pg from "pg";
import type { SharedDatabase } from "../contract.ts";
import { guardSteps } from "./adapter.ts";
import { Calls } from "./calls.ts";
import {
  type ClientConfig,
  type ConnectionOptions,
  clientConfigOf,
  connectWithin,
  describeConnection,
  end,
  unboundedConfigOf,
} from "./connection.ts";
import { advisoryCronLock } from "./cron-lock.ts";
import { NotifyBus } from "./event-bus.ts";
import { migrate, SCHEMA_VERSION, schemaVersionOf } from "./migrate.ts";
import { sharedRates } from "./rates.ts";
import { type QueryObserver, Sql } from "./sql.ts";
import { allSteps } from "./steps/index.ts";

export interface PostgresOptions extends ConnectionOptions {
  /** Connections at most; of this replica alone. */
  readonly poolMax?: number;
  /** An unused connection is closed after this time: a database that may pause then can. */
  readonly idleMs?: number;
  /** How long to wait at open for a database that starts or resumes. */
  readonly connectWaitMs?: number;
  readonly onQuery?: QueryObserver;
  readonly log?: (line: PostgresLogLine) => void;
}

export interface PostgresLogLine {
  readonly level: "info" | "warn";
  readonly msg: string;
  readonly [field: string]: string | number | null;
}

const POOL_MAX = 10;
const IDLE_MS = 30_000;
const CONNECT_WAIT_MS = 60_000;
/** To a call's own connection, so that its answer comes in time; longer only at open. */
const POOL_CONNECT_MS = 4_000;
/** A call is answered this much after its statement's bound. */
const CALL_GRACE_MS = 200;

async function prepare(config: ClientConfig, waitMs: number): Promise<{ from: number; to: number }> {
  const client = await connectWithin(unboundedConfigOf(config), waitMs);
  try {
    return await migrate(client);
  } finally {
    await end(client);
  }
}

/**
 * Opens a Postgres database, waiting for one that starts, and migrates it as needed.
 * @throws PostgresUrlError | SchemaTooNewError | DatabaseUnavailableError
 */
export async function openPostgres(options: PostgresOptions): Promise<SharedDatabase> {
  const startedMs = performance.now();
  const config = clientConfigOf(options);
  const { from, to } = await prepare(config, options.connectWaitMs ?? CONNECT_WAIT_MS);
  const pool = new pg.Pool({
    ...config,
    max: options.poolMax ?? POOL_MAX,
    idleTimeoutMillis: options.idleMs ?? IDLE_MS,
    connectionTimeoutMillis: POOL_CONNECT_MS,
  });
  pool.on("connect", (client) => client.on("error", () => undefined)); // its query fails too, and says so
  pool.on("error", (error) => {
    options.log?.({ level: "warn", msg: "Postgres closed an idle connection", error: error.message });
  });
  const calls = new Calls(pool, (config.query_timeout ?? 0) + CALL_GRACE_MS);
  const sql = new Sql(calls, options.onQuery);
  const bus = new NotifyBus(sql, unboundedConfigOf(config));
  const described = () =>
    calls.run({ isRepeatable: true }, async ({ client }) => ({
      ...(await describeConnection(client)),
      schema: String(await schemaVersionOf(client)),
      poolMax: String(pool.options.max),
    }));
  const steps = { ...allSteps(sql), describe: described, ping: async () => void (await sql.get("select 1")) };
  const database = guardSteps(steps, async () => {
    await bus.close();
    await calls.close();
  });
  const openedMs = Math.round(performance.now() - startedMs);
  options.log?.({ level: "info", msg: "Postgres opened", schema: SCHEMA_VERSION, from, to, openedMs });
  return {
    ...database,
    publish: (topic, payload) => bus.publish(topic, payload),
    subscribe: (topic, onEvent) => bus.subscribe(topic, onEvent),
    ...advisoryCronLock(config),
    ...sharedRates(sql),
  };
}

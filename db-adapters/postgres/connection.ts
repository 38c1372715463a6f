/** How every connection is made: where to, how TLS is checked, and the bounds that hold on it. */
import { readFileSync } from "node:fs";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import pg from "pg";
import { DatabaseUnavailableError } from "../contract.ts";
import { failureKindOf, PostgresUrlError, unavailable } from "./errors.ts";

export type Client = pg.Client;
export type ClientConfig = pg.ClientConfig;

export interface ConnectionOptions {
  /** `postgres://user:password@host:port/database?sslmode=verify-full` */
  readonly url: string;
  /** Certificates that the server's must come from, PEM; `sslrootcert` in the URL says the same. */
  readonly caFile?: string;
  /** How long one statement may take on the server. */
  readonly statementTimeoutMs?: number;
}

const STATEMENT_TIMEOUT_MS = 4_000;
/** The client gives up this much later than the server: a server that is gone says nothing at all. */
const ANSWER_GRACE_MS = 500;
/** One attempt to connect, while the whole wait at open may be much longer. */
const CONNECT_TIMEOUT_MS = 10_000;
const RETRY_CONNECT_MS = 250;
/** A server that is gone doesn't hang up: its silence must not keep us from closing. */
const END_WITHIN_MS = 1_000;
const INT8 = 20;

/** Every number in the schema is below 2^53. */
const types: pg.CustomTypesConfig = {
  getTypeParser(id, format): (value: string) => unknown {
    if (id === INT8 && format !== "binary") return Number;
    return format === "binary" ? pg.types.getTypeParser(id, format) : pg.types.getTypeParser(id, "text");
  },
};

function tlsOf(parameters: URLSearchParams, caFile: string | undefined): TlsOptions | false {
  const mode = parameters.get("sslmode") ?? (caFile === undefined ? "disable" : "verify-full");
  const rootFile = caFile ?? parameters.get("sslrootcert") ?? "system";
  const [certFile, keyFile] = [parameters.get("sslcert"), parameters.get("sslkey")];
  const tls: TlsOptions = {
    rejectUnauthorized: true,
    ...(rootFile === "system" ? {} : { ca: readFileSync(rootFile, "utf8") }),
    ...(certFile === null ? {} : { cert: readFileSync(certFile, "utf8") }),
    ...(keyFile === null ? {} : { key: readFileSync(keyFile, "utf8") }),
  };
  switch (mode) {
    case "disable":
      return false;
    case "require": // libpq wouldn't look at the certificate; here encrypted always means verified
    case "verify-full":
      return tls;
    case "verify-ca":
      return { ...tls, checkServerIdentity: () => undefined };
    default:
      throw new PostgresUrlError(
        `sslmode=${mode} would use a connection that nobody has verified. Use sslmode=verify-full ` +
          "(with sslrootcert for a private authority), or sslmode=disable on a network you trust.",
      );
  }
}

/** @throws PostgresUrlError */
export function clientConfigOf(options: ConnectionOptions): ClientConfig {
  if (!URL.canParse(options.url) || !/^postgres(ql)?:/.test(options.url))
    throw new PostgresUrlError("Not a Postgres URL: it starts with postgres://");
  const url = new URL(options.url);
  const ssl = tlsOf(url.searchParams, options.caFile);
  for (const name of ["sslmode", "sslrootcert", "sslcert", "sslkey"]) url.searchParams.delete(name);
  const statementMs = options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS;
  return {
    connectionString: url.href,
    ssl,
    types,
    application_name: "statehouse",
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: statementMs,
    lock_timeout: statementMs,
    idle_in_transaction_session_timeout: 2 * statementMs,
    query_timeout: statementMs + ANSWER_GRACE_MS,
    pipeline: true,
  };
}

/** The same without bounds on statements: for migrations, locks and listening. */
export function unboundedConfigOf(config: ClientConfig): ClientConfig {
  const { statement_timeout: _, lock_timeout: __, query_timeout: ___, ...rest } = config;
  return { ...rest, idle_in_transaction_session_timeout: 0 };
}

/** A connection beside the pool. Its end by the other side is told to `onLost` or forgotten. */
export async function connect(config: ClientConfig, onLost: () => void = () => undefined): Promise<Client> {
  const client = new pg.Client(config);
  client.on("error", onLost); // without a listener it would end the process
  await client.connect();
  return client;
}

/** Closes a connection or a pool, politely for as long as that makes sense. */
export async function end(connection: Pick<pg.Pool, "end">): Promise<void> {
  const { promise: tooLong, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, END_WITHIN_MS);
  await Promise.race([connection.end(), tooLong]).finally(() => clearTimeout(timer));
}

/**
 * Connects, and waits for a database that starts or resumes.
 * @throws DatabaseUnavailableError when it isn't there by then, or when waiting won't help
 */
export async function connectWithin(config: ClientConfig, waitMs: number): Promise<Client> {
  const deadline = performance.now() + waitMs;
  for (;;)
    try {
      return await connect(config);
    } catch (error) {
      const leftMs = deadline - performance.now();
      if (failureKindOf(error) !== "lost" || leftMs <= 0) throw unavailable(error);
      await new Promise((resolve) => setTimeout(resolve, Math.min(RETRY_CONNECT_MS, leftMs)));
    }
}

export async function describeConnection(client: Pick<Client, "query">): Promise<Record<string, string>> {
  const text = `select current_setting('server_version') as version, current_database() as database,
    (select ssl from pg_stat_ssl where pid = pg_backend_pid()) as tls`;
  const { rows } = await client.query<{ version: string; database: string; tls: boolean | null }>(text);
  const [row] = rows;
  if (row === undefined) throw new DatabaseUnavailableError("Postgres answered nothing");
  return {
    engine: "postgres",
    version: row.version,
    database: row.database,
    tls: row.tls === true ? "yes" : "no",
  };
}

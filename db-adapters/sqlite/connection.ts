import SqliteDatabase from "better-sqlite3";
import { DatabaseUnavailableError } from "../contract.ts";
import type { Journaling } from "./journal-mode.ts";
import { migrate, schemaVersionOf } from "./migrate.ts";
import type { Connection } from "./sql.ts";

export interface ConnectionOptions {
  readonly path: string;
  readonly journaling: Journaling;
  /** How long another process's lock is waited for. */
  readonly busyWaitMs: number;
}

/** Page cache of the one connection. */
const CACHE_KIB = 32 * 1024;
/** The WAL is copied into the database at this size: pages that change often are copied once then. */
const CHECKPOINT_PAGES = 4_000;
/** A journal or WAL that one large commit blew up is cut back to this. */
const JOURNAL_KEPT_BYTES = 16 * 1024 * 1024;

function configure(connection: Connection, journaling: Journaling): void {
  // The locking mode first: with it, a file left in WAL mode opens without shared memory.
  connection.pragma(`locking_mode = ${journaling.lockingMode}`);
  const mode = connection.pragma(`journal_mode = ${journaling.journalMode}`, { simple: true });
  if (mode !== journaling.journalMode)
    throw new DatabaseUnavailableError(`SQLite stays in journal mode ${String(mode)}`);
  connection.pragma(`synchronous = ${journaling.synchronous}`);
  connection.pragma("foreign_keys = on");
  connection.pragma(`cache_size = -${CACHE_KIB}`);
  connection.pragma(`journal_size_limit = ${JOURNAL_KEPT_BYTES}`);
  connection.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  connection.pragma("temp_store = memory");
  // With locking_mode exclusive this takes the lock for good; else it proves that the file can be read.
  connection.exec("begin immediate; commit");
}

/**
 * Opens and configures the file, and brings its schema up to date.
 * @throws SchemaTooNewError
 * @throws DatabaseUnavailableError when the file can't be opened or another process holds it
 */
export function openConnection(options: ConnectionOptions): Connection {
  let connection: Connection | null = null;
  try {
    connection = new SqliteDatabase(options.path, { timeout: options.busyWaitMs });
    configure(connection, options.journaling);
    migrate(connection);
    return connection;
  } catch (error) {
    connection?.close();
    if (!(error instanceof SqliteDatabase.SqliteError)) throw error;
    throw new DatabaseUnavailableError(`${options.path}: ${error.message} (${error.code})`, { cause: error });
  }
}

export function describeConnection(
  connection: Connection,
  { path, journaling }: ConnectionOptions,
): Record<string, string> {
  const version = connection.prepare<[], string>("select sqlite_version()").pluck().get() ?? "unknown";
  return {
    engine: "sqlite",
    version,
    schema: String(schemaVersionOf(connection)),
    path,
    journalMode: journaling.journalMode,
    synchronous: journaling.synchronous,
    lockingMode: journaling.lockingMode,
    why: journaling.why,
  };
}

/** What an error of the driver or the server means for the step that met it. */
import { refusalOf } from "../bulk-tables.ts";
import { DatabaseReadOnlyError, DatabaseUnavailableError } from "../contract.ts";

/** The URL asks for what can't be done, or done safely. */
export class PostgresUrlError extends Error {
  override readonly name = "PostgresUrlError";
}

/**
 * - `aborted`: the server took everything back; the same again may succeed
 * - `stale`: nothing was done, and this connection won't ever do it: again on a new one
 * - `lost`: the connection broke or the server goes away; what was sent may have been done
 * - `busy`: the server gave up waiting or lacks something; nothing was done, and again now won't help
 * - `other`: a mistake in a statement or a rule that it broke
 */
export type FailureKind = "aborted" | "stale" | "lost" | "busy" | "other";

const BY_SQLSTATE: readonly (readonly [RegExp, FailureKind])[] = [
  [/^40(001|P01)$/, "aborted"], // serialization failure, deadlock
  [/^25006$/, "stale"], // read-only: after a failover this connection ends at a reader
  [/^(08|57P|58)/, "lost"], // connection exceptions; shutdown, crash, starting up; the system below
  [/^53300$/, "lost"], // too many connections: refused at connect, before anything was sent
  [/^(53|55P03|57014)/, "busy"], // no disk, no memory; lock and statement time-outs
];

const LOST_CODES =
  /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENOENT)$/;
const LOST_WORDS =
  /^(Connection terminated|Connection ended|timeout e|Query read timeout|Client (has encountered|was closed))/;

export function sqlStateOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

export function failureKindOf(error: unknown): FailureKind {
  if (!(error instanceof Error)) return "other";
  const code = sqlStateOf(error);
  // Another release changed a table that this connection has statements for.
  if (code === "0A000" && error.message.startsWith("cached plan")) return "stale";
  if (LOST_CODES.test(code) || LOST_WORDS.test(error.message)) return "lost";
  return BY_SQLSTATE.find(([pattern]) => pattern.test(code))?.[1] ?? "other";
}

/** Whether an insert or update met a row with the same key in this unique index. */
export function isTaken(error: unknown, index: string): boolean {
  return (
    sqlStateOf(error) === "23505" &&
    error instanceof Error &&
    "constraint" in error &&
    error.constraint === index
  );
}

/** What the triggers of data that takes no writes say (bulk.ts). */
export function readOnlyErrorOf(error: unknown): DatabaseReadOnlyError | null {
  const refusal = error instanceof Error ? refusalOf(error.message) : null;
  return refusal && new DatabaseReadOnlyError(refusal.message, refusal.isMoved, { cause: error });
}

export function unavailable(error: unknown): DatabaseUnavailableError {
  if (error instanceof DatabaseUnavailableError) return error;
  const code = sqlStateOf(error);
  const words = error instanceof Error && error.message !== "" ? error.message : "no connection";
  return new DatabaseUnavailableError(`Postgres: ${words}${code === "" ? "" : ` (${code})`}`, {
    cause: error,
  });
}

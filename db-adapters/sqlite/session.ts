/** The connection with its steps and batches: what a thread of its own runs, or the caller's. */
import { DatabaseUnavailableError } from "../contract.ts";
import { Batches, failureOf, type SendAnswers } from "./batch.ts";
import { describeConnection, openConnection } from "./connection.ts";
import { SchemaTooNewError } from "./errors.ts";
import { Fence } from "./fence.ts";
import type { Failure, StepRequest, WorkerInput } from "./protocol.ts";
import { Sql } from "./sql.ts";
import { allSteps } from "./steps/index.ts";

export interface Session {
  /** Runs what waited, its writes in one commit; `send` gets the answers before it returns. */
  run(requests: readonly StepRequest[], send: SendAnswers): void;
  close(): void;
}

/** @throws SchemaTooNewError | DatabaseUnavailableError and SQLite's own errors; `refusalOf` names them */
export function openSession(input: WorkerInput): Session {
  const connection = openConnection(input);
  const sql = new Sql(connection);
  const steps = {
    ...allSteps(sql),
    describe: () => describeConnection(connection, input),
    ping: () => void sql.get("select 1 from counter limit 1"),
  };
  const batches = new Batches(connection, steps, input.fence === null ? null : new Fence(input.fence));
  return {
    run: (requests, send) => batches.run(requests, send),
    close: () => void connection.close(),
  };
}

export function refusalOf(error: unknown): Failure {
  if (error instanceof SchemaTooNewError)
    return { kind: "schema_too_new", message: error.message, found: error.found, known: error.known };
  if (error instanceof DatabaseUnavailableError) return { kind: "unavailable", message: error.message };
  return failureOf(error);
}

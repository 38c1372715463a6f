/** The thread that owns the one connection. Nothing else ever opens the database. */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { DatabaseUnavailableError } from "../contract.ts";
import { Batches, failureOf } from "./batch.ts";
import { describeConnection, openConnection } from "./connection.ts";
import { SchemaTooNewError } from "./errors.ts";
import { Fence } from "./fence.ts";
import type { Failure, Message, Request, StepRequest, WorkerInput } from "./protocol.ts";
import { type Connection, Sql } from "./sql.ts";
import { allSteps } from "./steps/index.ts";

/** Requests that share a commit at most: bounds the time until the first of them is answered. */
const BATCH_MAX = 512;

const port = parentPort;
if (port === null) throw new Error("worker.ts runs as a worker thread");
const input = workerData as WorkerInput;

function send(message: Message): void {
  port?.postMessage(message);
}

function refusalOf(error: unknown): Failure {
  if (error instanceof SchemaTooNewError)
    return { kind: "schema_too_new", message: error.message, found: error.found, known: error.known };
  if (error instanceof DatabaseUnavailableError) return { kind: "unavailable", message: error.message };
  return failureOf(error);
}

function serve(connection: Connection): void {
  const sql = new Sql(connection);
  const steps = {
    ...allSteps(sql),
    describe: () => describeConnection(connection, input),
    ping: () => void sql.get("select 1 from counter limit 1"),
  };
  const batches = new Batches(connection, steps, input.fence === null ? null : new Fence(input.fence));

  const runBatch = (requests: readonly StepRequest[]) => {
    if (requests.length > 0)
      batches.run(requests, (answers, commit) => send({ kind: "answers", answers, commit }));
  };

  /** The first request has arrived as an event; the others that wait are taken along. */
  const takeBatch = (first: Request) => {
    const requests: StepRequest[] = [];
    let next: Request | undefined = first;
    while (next !== undefined) {
      if (next.step === "close") {
        runBatch(requests);
        connection.close();
        send({ kind: "answers", answers: [{ id: next.id, ok: true, value: null }], commit: null });
        port?.close();
        return;
      }
      requests.push(next);
      const waiting = requests.length < BATCH_MAX && port !== null ? receiveMessageOnPort(port) : undefined;
      next = waiting?.message as Request | undefined;
    }
    runBatch(requests);
  };
  port?.on("message", takeBatch);
}

try {
  const connection = openConnection(input);
  serve(connection);
  send({ kind: "opened" });
} catch (error) {
  send({ kind: "refused", failure: refusalOf(error) });
}

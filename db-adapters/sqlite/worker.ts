/** The thread that owns the one connection. Nothing else ever opens the database. */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type { Message, Request, StepRequest, WorkerInput } from "./protocol.ts";
import { openSession, refusalOf, type Session } from "./session.ts";

/** Requests that share a commit at most: bounds the time until the first of them is answered. */
const BATCH_MAX = 512;

const port = parentPort;
if (port === null) throw new Error("worker.ts runs as a worker thread");

function send(message: Message): void {
  port?.postMessage(message);
}

function serve(session: Session): void {
  const runBatch = (requests: readonly StepRequest[]) => {
    if (requests.length > 0)
      session.run(requests, (answers, commit) => send({ kind: "answers", answers, commit }));
  };

  /** The first request has arrived as an event; the others that wait are taken along. */
  const takeBatch = (first: Request) => {
    const requests: StepRequest[] = [];
    let next: Request | undefined = first;
    while (next !== undefined) {
      if (next.step === "close") {
        runBatch(requests);
        session.close();
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
  serve(openSession(workerData as WorkerInput));
  send({ kind: "opened" });
} catch (error) {
  send({ kind: "refused", failure: refusalOf(error) });
}

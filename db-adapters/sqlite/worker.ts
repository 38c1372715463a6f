/** A thread with a connection of its own, the only one in use while anything is posted here. */
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

  const close = ({ id }: Request) => {
    session.close();
    send({ kind: "answers", answers: [{ id, ok: true, value: null }], commit: null });
    port?.close();
  };

  /** The first requests have arrived as an event; the others that wait are taken along. */
  const take = (first: readonly Request[]) => {
    let steps: StepRequest[] = [];
    let next: readonly Request[] | undefined = first;
    while (next !== undefined) {
      for (const request of next) {
        if (request.step === "close") {
          runBatch(steps);
          close(request);
          return;
        }
        steps.push(request);
        if (steps.length === BATCH_MAX) {
          runBatch(steps);
          steps = [];
        }
      }
      const waiting = port === null ? undefined : receiveMessageOnPort(port);
      next = waiting?.message as readonly Request[] | undefined;
    }
    runBatch(steps);
  };
  port?.on("message", take);
}

try {
  serve(openSession(workerData as WorkerInput));
  send({ kind: "opened" });
} catch (error) {
  send({ kind: "refused", failure: refusalOf(error) });
}

/** The other side of replayer.ts: replays one journal at a time, asks for the base and gives the document. */
import { parentPort } from "node:worker_threads";
import { ReplayError, replayJournal } from "../deployment/journal.ts";
import type { FromWorker, ToWorker } from "./replay-messages.ts";

if (parentPort === null) throw new Error("replay-worker.ts runs as a worker thread");
const port = parentPort;

const waiting = new Map<number, (bytes: Uint8Array | null) => void>();
let lastStreamId = 0;
let document: AsyncIterator<Uint8Array> | null = null;

function send(message: FromWorker): void {
  port.postMessage(message);
}

async function* openBase(): AsyncGenerator<Uint8Array> {
  const streamId = ++lastStreamId;
  for (;;) {
    const bytes = await new Promise<Uint8Array | null>((resolve) => {
      waiting.set(streamId, resolve);
      send({ kind: "pull_base", streamId });
    });
    if (bytes === null) return;
    yield bytes;
  }
}

async function start(job: Extract<ToWorker, { kind: "start" }>): Promise<void> {
  try {
    const replayed = await replayJournal({
      openBase: job.hasBase ? openBase : null,
      batches: job.batches,
      cliVersion: job.cliVersion,
      now: new Date(job.nowMs),
    });
    if (replayed.kind === "unchanged") {
      send({ kind: "unchanged" });
      return;
    }
    document = replayed.document()[Symbol.asyncIterator]();
    send({ kind: "changed", warnings: replayed.warnings });
  } catch (error) {
    if (error instanceof ReplayError) {
      send({
        kind: "replay_error",
        reason: error.reason,
        message: error.message,
        sequenceId: error.sequenceId,
      });
    } else {
      send({ kind: "error", message: error instanceof Error ? error.message : String(error) });
    }
  }
}

async function pullDocument(): Promise<void> {
  try {
    const next = await document?.next();
    if (next === undefined || next.done === true) {
      document = null;
      send({ kind: "document_end" });
    } else send({ kind: "document_chunk", bytes: next.value });
  } catch (error) {
    send({ kind: "error", message: error instanceof Error ? error.message : String(error) });
  }
}

port.on("message", (message: ToWorker) => {
  switch (message.kind) {
    case "start":
      void start(message);
      return;
    case "base_chunk":
      waiting.get(message.streamId)?.(message.bytes);
      return;
    case "base_end":
      waiting.get(message.streamId)?.(null);
      return;
    case "pull_document":
      void pullDocument();
      return;
    default:
      message satisfies never;
  }
});

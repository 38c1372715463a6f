/**
 * The connection in a thread of its own: for rollback journals, where SQLite itself waits for several fsyncs in
 * each commit, and on a network for each read of a page as well; and anywhere while many clients write at once.
 */
import { getCompileCacheDir } from "node:module";
import { Worker } from "node:worker_threads";
import { DatabaseUnavailableError } from "../contract.ts";
import type { Channel, ChannelEvents, Opening } from "./channel.ts";
import type { Message, Request, WorkerInput } from "./protocol.ts";

/** A view of a larger buffer (a slice of a socket's) would be copied with all of that buffer. */
function compact(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  let copy: Record<string, unknown> | null = null;
  for (const [key, member] of Object.entries(value))
    if (member instanceof Uint8Array && member.byteLength < member.buffer.byteLength) {
      copy ??= { ...value };
      copy[key] = new Uint8Array(member);
    }
  return copy ?? value;
}

function compactArgs(request: Request): Request {
  return "args" in request && request.args.length === 1
    ? { ...request, args: [compact(request.args[0])] }
    : request;
}

/** Waits for the worker's first word: opened, or why not. */
async function firstWordOf(worker: Worker): Promise<Message> {
  return await new Promise<Message>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", () => reject(new DatabaseUnavailableError("the database thread ended at its start")));
  });
}

/**
 * A request goes at once when the thread has nothing to do; what is posted while it works crosses together at the
 * end of this turn of the event loop: a message costs more than what is in it.
 */
export class ThreadChannel implements Channel {
  readonly #worker: Worker;
  readonly #events: ChannelEvents;
  #waiting: Request[] = [];
  #inFlight = 0;

  constructor(worker: Worker, events: ChannelEvents) {
    this.#worker = worker;
    this.#events = events;
  }

  /** Whether every call was answered. */
  get isIdle(): boolean {
    return this.#inFlight === 0;
  }

  post(request: Request): void {
    this.#inFlight += 1;
    if (this.#inFlight === 1) {
      this.#send([compactArgs(request)]);
      return;
    }
    if (this.#waiting.length === 0) setImmediate(() => this.#send(this.#waiting.splice(0)));
    this.#waiting.push(compactArgs(request));
  }

  receive(message: Message): void {
    if (message.kind === "answers") this.#inFlight -= message.answers.length;
    this.#events.onMessage(message);
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #send(requests: readonly Request[]): void {
    try {
      this.#worker.postMessage(requests);
    } catch (error) {
      if (requests.length > 1) for (const request of requests) this.#send([request]);
      else this.#refuse(requests, error);
    }
  }

  /** Not everything can be sent to a thread. */
  #refuse(requests: readonly Request[], error: unknown): void {
    const failure = { kind: "other", message: String(error) } as const;
    const answers = requests.map(({ id }) => ({ id, ok: false, failure }) as const);
    this.receive({ kind: "answers", answers, commit: null });
  }
}

export async function openThread(input: WorkerInput, events: ChannelEvents): Promise<Opening<ThreadChannel>> {
  // A thread doesn't inherit the main thread's compile cache: without it, stripping types doubles its start.
  const cacheDir = getCompileCacheDir();
  const env = cacheDir === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: cacheDir };
  // The bundle keeps all its entries in one folder (scripts/build.ts).
  const entry = new URL(
    import.meta.url.endsWith(".ts") ? "./worker.ts" : "./sqlite-worker.js",
    import.meta.url,
  );
  const worker = new Worker(entry, { workerData: input, name: "sqlite", env });
  const first = await firstWordOf(worker);
  if (first.kind === "refused") {
    await worker.terminate();
    return { failure: first.failure };
  }
  const channel = new ThreadChannel(worker, events);
  worker.on("message", (message: Message) => channel.receive(message));
  worker.on("error", (error) => events.onEnd(`the database thread died: ${String(error)}`));
  worker.on("exit", () => events.onEnd("the database is closed"));
  return { channel };
}

/** The main thread's side: a `Database` whose calls are messages to the worker. */
import { getCompileCacheDir } from "node:module";
import { Worker } from "node:worker_threads";
import { type Database, DatabaseReadOnlyError, DatabaseUnavailableError } from "../contract.ts";
import { SchemaTooNewError } from "./errors.ts";
import type { Answer, Commit, Failure, Message, Request, StepRequest, WorkerInput } from "./protocol.ts";
import { STEP_NAMES } from "./steps/index.ts";

/** Told of each commit: how many writes shared it and how long it took, the fsync included. */
export type CommitObserver = (batchSize: number, durationMs: number) => void;

/** Calls that may wait for the worker at once; past it they are refused, so that memory stays bounded. */
const PENDING_MAX = 10_000;

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

function errorOf(failure: Failure): Error {
  switch (failure.kind) {
    case "unavailable":
      return new DatabaseUnavailableError(failure.message);
    case "read_only":
    case "moved":
      return new DatabaseReadOnlyError(failure.message, failure.kind === "moved");
    case "schema_too_new":
      return new SchemaTooNewError(failure.found ?? 0, failure.known ?? 0);
    case "other":
      return new Error(`SQLite step failed: ${failure.message}`);
    default:
      return failure.kind satisfies never;
  }
}

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

class WorkerClient {
  readonly #worker: Worker;
  readonly #onCommit: CommitObserver | undefined;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  /** Why calls are refused; null while they are not. */
  #closed: string | null = null;

  constructor(worker: Worker, onCommit: CommitObserver | undefined) {
    this.#worker = worker;
    this.#onCommit = onCommit;
    worker.on("message", (message: Message) => this.#receive(message));
    worker.on("error", (error) => this.#fail(`the database thread died: ${String(error)}`));
    worker.on("exit", () => this.#fail("the database is closed"));
  }

  call(step: StepRequest["step"], args: readonly unknown[]): Promise<unknown> {
    return this.#post({ step, args: args.length === 1 ? [compact(args[0])] : args });
  }

  async close(): Promise<void> {
    if (this.#closed !== null) return;
    const done = this.#post({ step: "close" });
    this.#closed = "the database is closed";
    await done;
    await this.#worker.terminate();
  }

  #post(request: Omit<StepRequest, "id"> | { step: "close" }): Promise<unknown> {
    if (this.#closed !== null) return Promise.reject(new DatabaseUnavailableError(this.#closed));
    if (this.#pending.size >= PENDING_MAX)
      return Promise.reject(new DatabaseUnavailableError(`${PENDING_MAX} calls are waiting already`));
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#worker.postMessage({ id, ...request } satisfies Request); // throws what can't be cloned
      this.#pending.set(id, { resolve, reject });
    });
  }

  #receive(message: Message): void {
    if (message.kind !== "answers") return;
    if (message.commit !== null) this.#observe(message.commit);
    for (const answer of message.answers) this.#settle(answer);
  }

  #observe({ batchSize, durationMs }: Commit): void {
    this.#onCommit?.(batchSize, durationMs);
  }

  #settle(answer: Answer): void {
    const pending = this.#pending.get(answer.id);
    this.#pending.delete(answer.id);
    if (answer.ok) pending?.resolve(answer.value);
    else pending?.reject(errorOf(answer.failure));
  }

  #fail(why: string): void {
    this.#closed ??= why;
    for (const pending of this.#pending.values()) pending.reject(new DatabaseUnavailableError(why));
    this.#pending.clear();
  }
}

/** Waits for the worker's first word: opened, or why not. */
async function whenOpened(worker: Worker): Promise<void> {
  const message = await new Promise<Message>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", () => reject(new DatabaseUnavailableError("the database thread ended at its start")));
  });
  if (message.kind !== "refused") return;
  await worker.terminate();
  throw errorOf(message.failure);
}

/**
 * Starts the thread, opens the file there and brings its schema up to date.
 * @throws SchemaTooNewError | DatabaseUnavailableError
 */
export async function startAdapter(input: WorkerInput, onCommit?: CommitObserver): Promise<Database> {
  // A thread doesn't inherit the main thread's compile cache: without it, stripping types doubles its start.
  const cacheDir = getCompileCacheDir();
  const env = cacheDir === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: cacheDir };
  // The bundle keeps all its entries in one folder (scripts/build.ts).
  const entry = new URL(
    import.meta.url.endsWith(".ts") ? "./worker.ts" : "./sqlite-worker.js",
    import.meta.url,
  );
  const worker = new Worker(entry, { workerData: input, name: "sqlite", env });
  await whenOpened(worker);
  const client = new WorkerClient(worker, onCommit);
  const steps = [...STEP_NAMES, "describe", "ping"] as const;
  const entries = steps.map((step) => [step, (...args: unknown[]) => client.call(step, args)] as const);
  // STEP_KINDS names every step of the contract, and the worker's steps are typed by it.
  return { ...Object.fromEntries(entries), close: () => client.close() } as unknown as Database;
}

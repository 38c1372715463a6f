/** The caller's side: a `Database` whose calls are messages to whoever owns the connection. */
import { type Database, DatabaseReadOnlyError, DatabaseUnavailableError } from "../contract.ts";
import { openAdaptive } from "./adaptive-channel.ts";
import type { Channel, ChannelEvents, Opening } from "./channel.ts";
import { SchemaTooNewError } from "./errors.ts";
import { openInline } from "./inline-channel.ts";
import type { Answer, Failure, Message, Request, StepRequest, WorkerInput } from "./protocol.ts";
import { STEP_NAMES } from "./steps/index.ts";
import type { Thread } from "./thread.ts";
import { openThread } from "./thread-channel.ts";

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

const OPENERS: Readonly<
  Record<Thread, (input: WorkerInput, events: ChannelEvents) => Opening | Promise<Opening>>
> = {
  callers: openInline,
  own: openThread,
  either: openAdaptive,
};

interface Observers {
  readonly onCommit?: CommitObserver | undefined;
  /** A second thread was wanted and could not be had. */
  readonly onRefusedThread?: ((why: string) => void) | undefined;
}

class Client {
  readonly #observers: Observers;
  readonly #pending = new Map<number, Pending>();
  #channel: Channel | null = null;
  #lastId = 0;
  /** Why calls are refused; null while they are not. */
  #closed: string | null = null;

  constructor(observers: Observers) {
    this.#observers = observers;
  }

  /** @throws SchemaTooNewError | DatabaseUnavailableError */
  async open(input: WorkerInput, thread: Thread): Promise<void> {
    const events = {
      onMessage: (message: Message) => this.#receive(message),
      onEnd: (why: string) => this.#fail(why),
    };
    const opening = await OPENERS[thread](input, events);
    if ("failure" in opening) throw errorOf(opening.failure);
    this.#channel = opening.channel;
  }

  call(step: StepRequest["step"], args: readonly unknown[]): Promise<unknown> {
    return this.#post({ step, args });
  }

  async close(): Promise<void> {
    if (this.#closed !== null) return;
    const done = this.#post({ step: "close" });
    this.#closed = "the database is closed";
    await done;
    await this.#channel?.end();
  }

  #post(request: Omit<StepRequest, "id"> | { step: "close" }): Promise<unknown> {
    if (this.#closed !== null) return Promise.reject(new DatabaseUnavailableError(this.#closed));
    if (this.#pending.size >= PENDING_MAX)
      return Promise.reject(new DatabaseUnavailableError(`${PENDING_MAX} calls are waiting already`));
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject }); // first: the answer may come before `post` returns
      this.#channel?.post({ id, ...request } satisfies Request);
    });
  }

  #receive(message: Message): void {
    if (message.kind === "refused") this.#observers.onRefusedThread?.(message.failure.message);
    if (message.kind !== "answers") return;
    const { answers, commit } = message;
    if (commit !== null) this.#observers.onCommit?.(commit.batchSize, commit.durationMs);
    for (const answer of answers) this.#settle(answer);
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

/**
 * Opens the file, in a thread of its own or in the caller's, and brings its schema up to date.
 * @throws SchemaTooNewError | DatabaseUnavailableError
 */
export async function startAdapter(
  input: WorkerInput,
  options: { readonly thread: Thread } & Observers,
): Promise<Database> {
  const client = new Client(options);
  await client.open(input, options.thread);
  const steps = [...STEP_NAMES, "describe", "ping"] as const;
  const entries = steps.map((step) => [step, (...args: unknown[]) => client.call(step, args)] as const);
  // STEP_KINDS names every step of the contract, and the worker's steps are typed by it.
  return { ...Object.fromEntries(entries), close: () => client.close() } as unknown as Database;
}

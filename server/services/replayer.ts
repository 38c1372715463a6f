/**
 * Where journals are replayed: small ones here, at once; large ones in a worker thread, so that other requests
 * go on. Blobs and keys stay on this side; the worker sees plain bytes and gives plain bytes back, a chunk
 * at a time on demand, so that neither side holds a large document.
 */
import { Worker } from "node:worker_threads";
import { type ReplayBatch, ReplayError, type Replayed, replayJournal } from "../deployment/journal.ts";
import type { FromWorker, ToWorker } from "./replay-messages.ts";

/** About 10 ms of work; a message to the worker costs less, but starting one costs 50 ms. */
const INLINE_BYTES_MAX = 1024 * 1024;
/** An idle worker is given up after this long. */
const IDLE_MS = 60_000;
/** A document that nobody starts to read (its store failed) makes way for the next job after this long. */
const UNREAD_MS = 30_000;

/** The bundle keeps all its entries in one folder (scripts/build.ts). */
const ENTRY = new URL(`./replay-worker${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url);

export interface ReplayJob {
  readonly base: {
    readonly sizeBytes: number;
    readonly open: () => Promise<AsyncIterable<Uint8Array>>;
  } | null;
  /** Of the plain bodies of all batches together. */
  readonly journalBytes: number;
  /** The batches as they were read when they came, when that is at hand. */
  readonly kept: readonly ReplayBatch[] | null;
  /** Their plain bodies, in order of arrival. */
  readonly readBatches: () => Promise<readonly Uint8Array[]>;
  readonly cliVersion: string | null;
  readonly now: Date;
}

export interface Replayer {
  /** @throws ReplayError when the journal doesn't fit its base */
  replay(job: ReplayJob): Promise<Replayed>;
  close(): Promise<void>;
}

type Observe = (where: "inline" | "worker", durationMs: number) => void;

export function createReplayer(observe: Observe): Replayer {
  const pool = new ReplayWorker();
  return {
    async replay(job) {
      const startedMs = performance.now();
      const weight = job.journalBytes + (job.base?.sizeBytes ?? 0);
      const where = weight <= INLINE_BYTES_MAX ? "inline" : "worker";
      try {
        return where === "inline" ? await replayInline(job) : await pool.replay(job);
      } finally {
        observe(where, performance.now() - startedMs);
      }
    },
    close: () => pool.close(),
  };
}

async function replayInline(job: ReplayJob): Promise<Replayed> {
  const base = job.base === null ? null : await Array.fromAsync(await job.base.open());
  return replayJournal({
    openBase: base === null ? null : () => each(base),
    batches: job.kept ?? (await job.readBatches()),
    cliVersion: job.cliVersion,
    now: job.now,
  });
}

async function* each(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

/** One worker, one job at a time: a replay uses a whole core, and there is one to spare. */
class ReplayWorker {
  #worker: Worker | null = null;
  #idleTimer: NodeJS.Timeout | null = null;
  #queue: Promise<unknown> = Promise.resolve();

  /** The job's turn ends when its document was read to the end, or given up. */
  replay(job: ReplayJob): Promise<Replayed> {
    const session = new Session(job);
    const answer = this.#queue.then(async () => session.start(this.#acquire(), await job.readBatches()));
    this.#queue = answer.then(
      () => session.done.finally(() => this.#release(session)),
      () => this.#release(session),
    );
    return answer;
  }

  #acquire(): Worker {
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#worker ??= new Worker(ENTRY, { name: "replay" });
    return this.#worker;
  }

  #release(session: Session): void {
    if (session.isBroken) {
      void this.#worker?.terminate();
      this.#worker = null;
      return;
    }
    this.#idleTimer = setTimeout(() => void this.close(), IDLE_MS);
    this.#idleTimer.unref();
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }
}

/** The conversation about one job. */
class Session {
  readonly #job: ReplayJob;
  readonly #bases = new Map<number, AsyncIterator<Uint8Array>>();
  readonly #waiting = new Map<string, (message: FromWorker) => void>();
  readonly #finish: () => void;
  #worker: Worker | null = null;
  #giveUp: NodeJS.Timeout | null = null;
  #fail: (error: unknown) => void = () => undefined;
  /** The worker died or was left in the middle of something: it isn't reused. */
  isBroken = false;
  readonly done: Promise<void>;

  constructor(job: ReplayJob) {
    this.#job = job;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.#finish = resolve;
  }

  async start(worker: Worker, batches: readonly Uint8Array[]): Promise<Replayed> {
    this.#worker = worker;
    worker.on("message", this.#onMessage);
    worker.once("error", this.#onError);
    const result = new Promise<FromWorker>((resolve, reject) => {
      this.#waiting.set("result", resolve);
      this.#fail = reject;
    });
    const { cliVersion, now, base } = this.#job;
    this.#send({
      kind: "start",
      batches: [...batches],
      hasBase: base !== null,
      cliVersion,
      nowMs: now.getTime(),
    });
    try {
      const message = await result;
      if (message.kind === "changed") {
        this.#giveUp = setTimeout(() => this.#abandon(), UNREAD_MS).unref();
        return { kind: "changed", warnings: message.warnings, document: () => this.#document() };
      }
      this.#end();
      if (message.kind === "unchanged") return { kind: "unchanged" };
      throw message.kind === "replay_error"
        ? new ReplayError(message.reason, message.sequenceId, message.message)
        : new Error(message.kind === "error" ? message.message : "the replay worker answered out of turn");
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  /** Pulls the document out of the worker, chunk by chunk; can be read once. */
  async *#document(): AsyncGenerator<Uint8Array> {
    let isComplete = false;
    if (this.#giveUp !== null) clearTimeout(this.#giveUp);
    try {
      for (;;) {
        const message = await new Promise<FromWorker>((resolve, reject) => {
          this.#waiting.set("document", resolve);
          this.#fail = reject;
          this.#send({ kind: "pull_document" });
        });
        if (message.kind === "document_end") {
          isComplete = true;
          return;
        }
        if (message.kind === "error") throw new Error(message.message);
        if (message.kind === "document_chunk") yield message.bytes;
      }
    } finally {
      this.isBroken = !isComplete;
      this.#end();
    }
  }

  #abandon(): void {
    this.isBroken = true;
    this.#end();
  }

  readonly #onError = (error: unknown): void => {
    this.isBroken = true;
    this.#fail(error);
    this.#end();
  };

  readonly #onMessage = (message: FromWorker): void => {
    switch (message.kind) {
      case "pull_base":
        void this.#sendBase(message.streamId);
        return;
      case "document_chunk":
      case "document_end":
        this.#waiting.get("document")?.(message);
        return;
      case "error":
        for (const resolve of this.#waiting.values()) resolve(message);
        return;
      default:
        this.#waiting.get("result")?.(message);
    }
  };

  async #sendBase(streamId: number): Promise<void> {
    try {
      let base = this.#bases.get(streamId);
      if (base === undefined) {
        if (this.#job.base === null) throw new Error("there is no base");
        base = (await this.#job.base.open())[Symbol.asyncIterator]();
        this.#bases.set(streamId, base);
      }
      const next = await base.next();
      this.#send(
        next.done === true
          ? { kind: "base_end", streamId }
          : { kind: "base_chunk", streamId, bytes: next.value },
      );
    } catch (error) {
      this.isBroken = true;
      this.#fail(error);
    }
  }

  #send(message: ToWorker): void {
    this.#worker?.postMessage(message);
  }

  #end(): void {
    this.#worker?.off("message", this.#onMessage);
    this.#worker?.off("error", this.#onError);
    this.#finish();
  }
}

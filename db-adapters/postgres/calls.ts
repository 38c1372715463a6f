/**
 * One call of the adapter on the pool: takes a connection, tries again where that is safe, and answers within
 * its bound whatever the server does.
 *
 * A lost connection leaves open whether a sent statement was applied. What only reads or may be applied twice is
 * sent again; a transaction is sent again until its COMMIT was on the way; everything else is answered
 * DatabaseUnavailableError, and the client's own retry finds out.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { DatabaseUnavailableError } from "../contract.ts";
import { end } from "./connection.ts";
import { type FailureKind, failureKindOf, readOnlyErrorOf, unavailable } from "./errors.ts";

const ATTEMPTS_MAX = 5;
const FIRST_DELAY_MS = 20;
/** Calls at once; past it they are refused, so that memory stays bounded. */
const CALLS_MAX = 10_000;

export interface Attempt {
  readonly client: pg.PoolClient;
  /** Set before the first byte that the server could act upon for good. */
  isSent: boolean;
}

export interface CallOptions {
  /** Applied twice it does what it does once: it may be sent again without knowing of the first time. */
  readonly isRepeatable: boolean;
}

interface Call extends CallOptions {
  /** The caller has its answer: no further attempt. */
  isOver: boolean;
}

const KEEPS_CONNECTION: readonly FailureKind[] = ["aborted", "busy", "other"];

export class Calls {
  readonly #pool: pg.Pool;
  /** From the call to its answer, waiting for a connection included. */
  readonly #answerWithinMs: number;
  #running = 0;
  #isClosed = false;
  #onIdle: (() => void) | null = null;

  constructor(pool: pg.Pool, answerWithinMs: number) {
    this.#pool = pool;
    this.#answerWithinMs = answerWithinMs;
  }

  /** @throws DatabaseUnavailableError, or the server's error when the statement itself is wrong */
  async run<T>(options: CallOptions, work: (attempt: Attempt) => Promise<T>): Promise<T> {
    if (this.#running >= CALLS_MAX)
      throw new DatabaseUnavailableError(`${CALLS_MAX} calls are waiting already`);
    const call: Call = { ...options, isOver: false };
    this.#running += 1;
    const attempts = this.#attempts(call, work).finally(() => this.#ended());
    return await new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        call.isOver = true;
        reject(new DatabaseUnavailableError(`Postgres: no answer within ${this.#answerWithinMs} ms`));
      }, this.#answerWithinMs);
      attempts.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  /** Waits for what runs, then closes the pool. Steps are refused by then (adapter.ts). */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#running > 0)
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    await end(this.#pool);
  }

  #ended(): void {
    this.#running -= 1;
    if (this.#running === 0) this.#onIdle?.();
  }

  async #attempts<T>(call: Call, work: (attempt: Attempt) => Promise<T>): Promise<T> {
    for (let attempts = 1; ; attempts += 1) {
      const sent = { isSent: false };
      try {
        return await this.#attempt(call, sent, work);
      } catch (error) {
        const kind = error instanceof DatabaseUnavailableError ? "lost" : failureKindOf(error);
        if (kind === "other") throw readOnlyErrorOf(error) ?? error;
        const isUndone = kind !== "lost" || !sent.isSent;
        const mayRepeat = kind !== "busy" && (isUndone || call.isRepeatable);
        if (!mayRepeat || call.isOver || attempts === ATTEMPTS_MAX) throw unavailable(error);
        await sleep(FIRST_DELAY_MS * 2 ** attempts * (0.5 + Math.random()));
      }
    }
  }

  async #attempt<T>(
    call: Call,
    sent: { isSent: boolean },
    work: (attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    const client = await this.#acquire();
    let isBroken = false;
    try {
      if (call.isOver) throw new DatabaseUnavailableError("Postgres: no connection in time");
      return await work(Object.assign(sent, { client }));
    } catch (error) {
      isBroken = !KEEPS_CONNECTION.includes(failureKindOf(error));
      throw error;
    } finally {
      client.release(isBroken);
    }
  }

  /** Whatever keeps a connection from being made, the database can't be reached. */
  async #acquire(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw unavailable(error);
    }
  }
}

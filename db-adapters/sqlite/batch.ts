/**
 * Group commit. What waits when a commit ends shares the next one: the reads are answered first, from committed
 * data alone; then all writes run in one transaction and are answered once the commit is durable. One fsync then
 * serves everybody who waited. Should a write fail, nothing of that transaction stays and each of them gets one of
 * its own: a savepoint for each would keep the others too, but costs more than all that fail so seldom.
 */
import { performance } from "node:perf_hooks";
import type { Statement } from "better-sqlite3";
import { refusalOf } from "../bulk-tables.ts";
import type { Fence } from "./fence.ts";
import type { Answer, Commit, Failure, StepRequest } from "./protocol.ts";
import type { Connection } from "./sql.ts";
import { isWriteStep } from "./steps/index.ts";
import type { Steps } from "./steps/sync.ts";

/** What the connection itself answers. */
export interface OwnSteps {
  describe(): Record<string, string>;
  ping(): void;
}

/** Called once for the reads of a batch and once for its writes. */
export type SendAnswers = (answers: Answer[], commit: Commit | null) => void;

type AnyStep = (...args: readonly unknown[]) => unknown;

/** SQLite's codes for a database that can't serve at present, as against a mistake in a statement. */
const UNAVAILABLE =
  /^SQLITE_(FULL|IOERR|BUSY|LOCKED|READONLY|CANTOPEN|CORRUPT|NOTADB|NOMEM|PROTOCOL|AUTH|PERM)/;

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { kind: "other", message: String(error) };
  const code = "code" in error ? String(error.code) : "";
  if (!code.startsWith("SQLITE_")) return { kind: "other", message: error.message };
  const refusal = refusalOf(error.message);
  if (refusal !== null) return { kind: refusal.isMoved ? "moved" : "read_only", message: refusal.message };
  const message = `${error.message} (${code})`;
  return { kind: UNAVAILABLE.test(code) ? "unavailable" : "other", message };
}

export class Batches {
  readonly #connection: Connection;
  readonly #steps: Steps & OwnSteps;
  readonly #fence: Fence | null;
  readonly #control: Readonly<Record<"begin" | "commit" | "rollback", Statement>>;

  constructor(connection: Connection, steps: Steps & OwnSteps, fence: Fence | null) {
    this.#connection = connection;
    this.#steps = steps;
    this.#fence = fence;
    this.#control = {
      begin: connection.prepare("begin immediate"),
      commit: connection.prepare("commit"),
      rollback: connection.prepare("rollback"),
    };
  }

  run(requests: readonly StepRequest[], send: SendAnswers): void {
    const writes = requests.filter(isWrite);
    if (writes.length < requests.length) {
      const reads = requests.filter((request) => !isWrite(request));
      send(
        reads.map((request) => this.#answer(request)),
        null,
      );
    }
    if (writes.length > 0) this.#write(writes, send);
  }

  #write(writes: readonly StepRequest[], send: SendAnswers): void {
    const startedMs = performance.now();
    let answers: Answer[] | null;
    try {
      answers = this.#commit(writes);
    } catch (error) {
      this.#rollback();
      const failure: Failure = { kind: "unavailable", message: failureOf(error).message };
      send(
        writes.map(({ id }) => ({ id, ok: false, failure })),
        null,
      );
      return;
    }
    if (answers === null) for (const write of writes) this.#write([write], send);
    else send(answers, { batchSize: writes.length, durationMs: performance.now() - startedMs });
  }

  #rollback(): void {
    if (this.#connection.inTransaction) this.#control.rollback.run();
  }

  #answer(request: StepRequest): Answer {
    try {
      const step = this.#steps[request.step] as AnyStep;
      return { id: request.id, ok: true, value: step(...request.args) };
    } catch (error) {
      return { id: request.id, ok: false, failure: failureOf(error) };
    }
  }

  /**
   * Null when one of several writes failed: nothing is stored, and each is to run again by itself.
   * @throws what made the transaction fail as a whole: nothing of it is stored then
   */
  #commit(writes: readonly StepRequest[]): Answer[] | null {
    this.#checkFence();
    this.#control.begin.run();
    const answers: Answer[] = [];
    for (const write of writes) {
      const answer = this.#answer(write);
      answers.push(answer);
      // A full disk may make SQLite roll the whole transaction back by itself.
      if (!this.#connection.inTransaction)
        throw new Error(answer.ok ? "rolled back" : answer.failure.message);
      if (answer.ok) continue;
      this.#rollback();
      return writes.length === 1 ? answers : null;
    }
    this.#checkFence(); // the steps may have taken long, or the process slept meanwhile
    this.#control.commit.run();
    return answers;
  }

  #checkFence(): void {
    const refusal = this.#fence?.refusal() ?? null;
    if (refusal !== null) throw new Error(refusal);
  }
}

function isWrite({ step }: StepRequest): boolean {
  return isWriteStep(step);
}

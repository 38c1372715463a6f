/**
 * One of many clients that want the same few stacks. It does at random what CLIs and people do, notes each request
 * and its answer, and never trusts that an answer comes.
 */
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../crash/random.ts";
import { deploymentOf, emptyState, PROJECT, resourceOf } from "../crash/state-model.ts";
import { ADMIN_TOKEN, ORG } from "../support/server.ts";
import type { Operation, OperationKind, Outcome, Result } from "./history.ts";
import { NOBODY_THERE } from "./round-robin.ts";

const LEASE_SECONDS = 300;
const SHORT_LEASE_SECONDS = 1;
/** A replica that stands still for longer than this has cut us off. */
const ANSWER_WITHIN_MS = 10_000;
const TRIES_MAX = 4;

interface Held {
  readonly stack: string;
  readonly updateId: string;
  readonly token: string;
  readonly isJournal: boolean;
  sequence: number;
  /** Of a checkpoint update: what its next checkpoint repeats. */
  names: readonly string[];
}

/** What the clients share: the history, and who may be holding what. */
export interface Arena {
  readonly url: string;
  readonly stacks: readonly string[];
  readonly history: Operation[];
  /** Updates that were asked to start and are not known to have ended, by stack. */
  readonly open: ReadonlyMap<string, Set<string>>;
}

interface Reply {
  /** 0 when none came. */
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  readonly body: any;
  readonly isNobodyThere: boolean;
}

export class LockClient {
  readonly #arena: Arena;
  readonly #random: Random;
  readonly #id: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 2 });
  #held: Held | null = null;
  /** Updates of ours that we left, or lost, and of which we may still believe that we hold them. */
  #left: Held[] = [];
  #names = 0;
  #done = 0;

  constructor(arena: Arena, random: Random, id: number) {
    this.#arena = arena;
    this.#random = random;
    this.#id = id;
  }

  /** Until it has made so many requests that are in the history. */
  async run(operations: number): Promise<void> {
    while (this.#done < operations) await this.#turn();
    this.#agent.destroy();
  }

  #turn(): Promise<void> {
    const zombie = this.#left[0];
    if (zombie !== undefined && this.#random.chance(0.1)) return this.#haunt(zombie);
    return this.#held === null ? this.#start() : this.#work(this.#held);
  }

  // ---------------------------------------------------------------- what it does

  async #start(): Promise<void> {
    const stack = this.#random.pick(this.#arena.stacks);
    const path = this.#path(stack);
    const created = await this.#send("POST", `${path}/update`, { options: {}, config: {}, metadata: {} });
    if (created.status !== 200) return this.#breathe();
    const updateId = created.body.updateID as string;
    const isJournal = this.#random.chance(0.7);
    this.#arena.open.get(stack)?.add(updateId);
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const started = await this.#attempt(
        { kind: "start", stack, updateId, leaseMs: LEASE_SECONDS * 1000 },
        "POST",
        `${path}/update/${updateId}`,
        isJournal ? { journalVersion: 1 } : {},
      );
      if (started.outcome === "done") {
        const { token } = started.body;
        this.#held = { stack, updateId, token, isJournal, sequence: 1, names: [] };
        return;
      }
      if (started.outcome === "refused") {
        // Of a start that was cut before nobody knows yet whether it counted: it stays on the list.
        if (tries === 0) this.#arena.open.get(stack)?.delete(updateId);
        if (this.#random.chance(0.1)) return this.#cancelAny(stack);
        return this.#breathe();
      }
      if (this.#random.chance(0.2)) return; // gives up without knowing
    }
  }

  /** As a person who is tired of waiting. */
  async #cancelAny(stack: string): Promise<void> {
    const [oldest] = this.#arena.open.get(stack) ?? [];
    if (oldest !== undefined) await this.cancel(stack, oldest);
  }

  async cancel(stack: string, updateId: string): Promise<Outcome> {
    const path = `${this.#path(stack)}/update/${updateId}/cancel`;
    const { outcome } = await this.#attempt({ kind: "cancel", stack, updateId }, "POST", path);
    if (outcome !== "unknown") this.#arena.open.get(stack)?.delete(updateId);
    return outcome;
  }

  async #work(held: Held): Promise<void> {
    const dice = this.#random.next();
    if (dice < 0.6) return this.#write(held);
    if (dice < 0.72) return this.#renew(held, LEASE_SECONDS);
    if (dice < 0.76) {
      await this.#renew(held, SHORT_LEASE_SECONDS);
      return this.#leave(held);
    }
    if (dice < 0.78) return this.#leave(held); // until somebody cancels it
    return this.#complete(held);
  }

  /** A client that comes back after a long sleep, and goes on as if it held its stack still. */
  async #haunt(zombie: Held): Promise<void> {
    if (this.#random.chance(0.7)) await this.#write(zombie);
    else await this.#complete(zombie);
    if (this.#random.chance(0.3)) this.#forget(zombie);
  }

  async #write(held: Held): Promise<void> {
    const name = `c${this.#id}n${++this.#names}`;
    const { stack, updateId, isJournal } = held;
    const path = `${this.#path(stack)}/update/${updateId}`;
    if (!isJournal) {
      const names = [...held.names, name];
      const state = { ...emptyState(stack), resources: new Map(names.map((it) => [it, 1])) };
      const body = { isInvalid: false, version: 3, deployment: deploymentOf(state) };
      const save = { kind: "checkpoint", stack, updateId, names } as const;
      if (await this.#persist(held, save, "PATCH", `${path}/checkpoint`, body)) held.names = names;
      return;
    }
    const sequence = held.sequence;
    held.sequence += 2;
    const resource = resourceOf(stack, name, 1);
    const common = { version: 1, operationID: sequence, removeOld: null, removeNew: null };
    const entries = [
      { ...common, kind: 0, sequenceID: sequence, operation: { resource, type: "creating" } },
      { ...common, kind: 1, sequenceID: sequence + 1, state: resource },
    ];
    const save = { kind: "journal", stack, updateId, names: [name] } as const;
    await this.#persist(held, save, "PATCH", `${path}/journalentries`, { entries });
  }

  async #renew(held: Held, seconds: number): Promise<void> {
    const { stack, updateId } = held;
    const path = `${this.#path(stack)}/update/${updateId}/renew_lease`;
    const renewal = { kind: "renew", stack, updateId, leaseMs: seconds * 1000 } as const;
    await this.#persist(held, renewal, "POST", path, { token: "", duration: seconds });
  }

  async #complete(held: Held): Promise<void> {
    const { stack, updateId } = held;
    const status: Result = this.#random.chance(0.8) ? "succeeded" : "failed";
    const path = `${this.#path(stack)}/update/${updateId}/complete`;
    const isEnded = await this.#persist(held, { kind: "complete", stack, updateId, status }, "POST", path, {
      status,
    });
    if (isEnded) this.#arena.open.get(stack)?.delete(updateId);
    this.#forget(held); // one whose end is not known is left to whoever cancels it
  }

  #leave(held: Held): void {
    this.#held = null;
    this.#left = [...this.#left.slice(-2), held];
  }

  #forget(held: Held): void {
    if (this.#held === held) this.#held = null;
    this.#left = this.#left.filter((it) => it !== held);
  }

  /** Sends the same again until there is an answer, as CLIs do, or gives up. Whether it was acknowledged. */
  async #persist(held: Held, what: Noted, method: string, path: string, body: unknown): Promise<boolean> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const { outcome } = await this.#attempt(what, method, path, body, held.token);
      if (outcome === "done") return true;
      if (outcome === "refused") {
        this.#forget(held);
        return false;
      }
      if (this.#random.chance(0.2)) break;
    }
    return false;
  }

  #breathe(): Promise<void> {
    return sleep(this.#random.between(20, 100));
  }

  // ---------------------------------------------------------------- requests

  #path(stack: string): string {
    return `/api/stacks/${ORG}/${PROJECT}/${stack}`;
  }

  /** One request, noted unless it reached nobody. */
  async #attempt(what: Noted, method: string, path: string, body?: unknown, lease?: string) {
    for (;;) {
      const invokedMs = performance.now();
      const reply = await this.#send(method, path, body, lease);
      const endedMs = performance.now();
      if (reply.isNobodyThere) {
        await sleep(50);
        continue;
      }
      const outcome = outcomeOf(reply.status, what.kind);
      const version = what.kind === "start" && outcome === "done" ? { version: reply.body.version } : {};
      this.#arena.history.push({ client: this.#id, ...what, ...version, invokedMs, endedMs, outcome });
      this.#done++;
      return { outcome, body: reply.body };
    }
  }

  #send(method: string, path: string, body?: unknown, lease?: string): Promise<Reply> {
    const bytes = body === undefined ? "" : JSON.stringify(body);
    const authorization = lease === undefined ? `token ${ADMIN_TOKEN}` : `update-token ${lease}`;
    const headers = {
      ...{ authorization, "content-type": "application/json" },
      "content-length": Buffer.byteLength(bytes),
    };
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
    return new Promise((resolve) => {
      const none = () => resolve({ status: 0, body: null, isNobodyThere: false });
      const call = request(`${this.#arena.url}${path}`, { method, headers, signal, agent: this.#agent });
      call.once("error", none);
      call.once("response", (answer) => {
        text(answer).then((said) => {
          const isNobodyThere = answer.headers[NOBODY_THERE] !== undefined;
          resolve({ status: answer.statusCode ?? 0, body: parsed(said), isNobodyThere });
        }, none);
      });
      call.end(bytes);
    });
  }
}

type Noted = Pick<Operation, "kind" | "stack" | "updateId" | "leaseMs" | "names" | "status">;

/** What a refusal of each kind looks like; any other answer below 500 is a fault that nobody expects. */
const REFUSALS: Readonly<Record<OperationKind, readonly number[]>> = {
  start: [409],
  renew: [403],
  journal: [403],
  checkpoint: [403],
  complete: [403],
  cancel: [409],
};

function outcomeOf(status: number, kind: OperationKind): Outcome {
  if (status >= 200 && status < 300) return "done";
  if (status === 0 || status >= 500) return "unknown";
  if (REFUSALS[kind].includes(status)) return "refused";
  throw new Error(`${kind} was answered ${status}`);
}

function parsed(said: string): unknown {
  try {
    return JSON.parse(said);
  } catch {
    return null;
  }
}

/**
 * A client with one stack. It does at random what people and CLIs do, one request at a time, and remembers
 * what was acknowledged. When the server dies under a request, only that request may have gone either way.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Answer, StackClient, send, UpdateClient } from "../support/client.ts";
import { ORG } from "../support/server.ts";
import type { Random } from "./random.ts";
import { deploymentOf, emptyState, PROJECT, resourceOf, type State, whichOf } from "./state-model.ts";

/** The connection broke: whether the request was carried out is not known. */
export class ServerGone extends Error {
  override readonly name = "ServerGone";
}

/** Kinds of journal entries. */
const BEGIN = 0;
const SUCCESS = 1;
const SAVES: ReadonlySet<string> = new Set(["journal", "checkpoint"]);
const VERSIONS_MAX = 9;
const PLAINTEXT_BYTES_MAX = 200;
/** A lease of a second, so that one which nobody renews is over soon; a little more for the clock. */
const SHORT_LEASE_MS = 1_200;

interface Running {
  readonly client: UpdateClient;
  readonly isJournal: boolean;
  /** What was acknowledged; what the request in flight would make of it. */
  saved: State;
  maybe: State | null;
  /** Saved anything at all: else the version is the base's again, or there is none. */
  hasSaves: boolean;
  nextSequence: number;
  /** Operations begun in earlier batches, by resource. */
  readonly open: Map<string, number>;
  events: number;
  /** Set once nobody will renew its lease: when that is over. */
  overAtMs: number | null;
}

/** Its address changes with each start. */
export interface LiveServer {
  readonly url: string;
  readonly isRunning: boolean;
}

/** The request that was in flight when the server died. */
type Unknown =
  | { readonly kind: "create" | "delete" }
  | { readonly kind: "import"; readonly state: State }
  | { readonly kind: "rename"; readonly to: string }
  /** Anything that a CLI sends again as it is, and that must be accepted then. */
  | { readonly kind: "retry"; readonly what: string; readonly again: () => Promise<void> };

export interface Tally {
  acknowledged: Map<string, number>;
  unknown: Map<string, number>;
  /** Told of each acknowledgement in the moment that it is noted. */
  onAcknowledged: () => void;
}

export class StackActor {
  readonly #server: LiveServer;
  readonly #random: Random;
  readonly #tally: Tally;
  readonly #id: string;
  #generation = 0;
  #names = 0;
  #name = "";
  #exists = false;
  #version = 0;
  /** Versions that have a state. */
  #states = new Map<number, State>();
  #results = new Map<number, string>();
  #secrets: { plaintext: string; ciphertext: string }[] = [];
  #events = new Map<string, number>();
  #running: Running | null = null;
  #unknown: Unknown | null = null;
  /** Stacks that are gone for good. */
  readonly #deleted: string[] = [];

  constructor(server: LiveServer, random: Random, id: string, tally: Tally) {
    this.#server = server;
    this.#random = random;
    this.#id = id;
    this.#tally = tally;
  }

  get #stack(): StackClient {
    return new StackClient(this.#server, PROJECT, this.#name);
  }

  get #latest(): State | null {
    const last = Math.max(-1, ...this.#states.keys());
    return this.#states.get(last) ?? null;
  }

  /** Until the server dies. */
  async live(): Promise<void> {
    try {
      await this.#settle();
      for (;;) await this.#act();
    } catch (error) {
      if (!(error instanceof ServerGone)) throw error;
    }
  }

  // ---------------------------------------------------------------- requests

  async #call(
    what: string,
    request: () => Promise<Answer>,
    unknown: Unknown | null = null,
    alsoFine: readonly number[] = [],
  ): Promise<Answer> {
    this.#unknown = unknown;
    const answer = await this.#ask(request).catch((error: unknown) => {
      if (unknown !== null) count(this.#tally.unknown, what);
      throw error;
    });
    if (answer.status >= 300 && !alsoFine.includes(answer.status)) {
      throw new Error(`${this.#id}: ${what} on ${this.#name} was answered ${answer.status} ${answer.text}`);
    }
    this.#unknown = null;
    count(this.#tally.acknowledged, what);
    this.#tally.onAcknowledged();
    return answer;
  }

  async #ask(request: () => Promise<Answer>): Promise<Answer> {
    try {
      return await request();
    } catch (error) {
      throw new ServerGone("the connection broke", { cause: error });
    }
  }

  /** A request that is simply sent again after a crash. `done` notes what its acknowledgement means. */
  async #persist(
    what: string,
    request: () => Promise<Answer>,
    done: (answer: Answer) => Promise<void> | void = () => undefined,
  ): Promise<void> {
    const again = async () => {
      const unknown = { kind: "retry", what, again } as const;
      const answer = await this.#call(what, request, unknown);
      this.#unknown = unknown; // until its consequences are noted, too
      await done(answer);
      this.#unknown = null;
    };
    await again();
  }

  // ---------------------------------------------------------------- what it does

  async #act(): Promise<void> {
    if (!this.#exists) return this.#create();
    if (this.#running !== null) return this.#workOn(this.#running);
    if (this.#version >= VERSIONS_MAX && this.#random.chance(0.5)) return this.#delete();
    const deeds = ["update", "update", "update", "import", "rename", "encrypt", "delete", "sweep"] as const;
    switch (this.#random.pick(deeds)) {
      case "update":
        return this.#begin();
      case "import":
        return this.#import();
      case "rename":
        return this.#rename();
      case "encrypt":
        return this.#encrypt();
      case "delete":
        return this.#random.chance(0.2) ? this.#delete() : undefined;
      case "sweep":
        return this.#sweep();
    }
  }

  async #create(): Promise<void> {
    this.#name = `${this.#id}-${++this.#generation}`;
    const path = `/api/stacks/${ORG}/${PROJECT}`;
    const request = () => send(this.#server, "POST", path, { stackName: this.#name });
    await this.#call("create", request, { kind: "create" });
    this.#exists = true;
  }

  async #delete(): Promise<void> {
    await this.#call("delete", () => this.#stack.send("DELETE", "?force=true"), { kind: "delete" });
    this.#forget();
  }

  #forget(): void {
    this.#deleted.push(this.#name);
    this.#exists = false;
    this.#version = 0;
    this.#states = new Map();
    this.#results = new Map();
    this.#secrets = [];
    this.#events = new Map();
  }

  async #import(): Promise<void> {
    const names = Array.from({ length: this.#random.between(0, 12) }, () => this.#newName());
    const resources = new Map(names.map((name) => [name, this.#random.between(0, 999)]));
    const plain: State = { ...emptyState(this.#name), resources };
    // Blanks and an unknown member: what comes back must be these bytes and no others.
    const text = JSON.stringify(
      { version: 3, x: "\u00e9 ", deployment: deploymentOf(plain) },
      null,
      this.#random.between(0, 3),
    );
    const state: State = { ...plain, text };
    await this.#call("import", () => this.#stack.send("POST", "/import", text), { kind: "import", state });
    this.#advance(state, "succeeded");
  }

  async #rename(): Promise<void> {
    const to = `${this.#id}-${++this.#generation}`;
    const request = () => this.#stack.send("POST", "/rename", { newName: to });
    await this.#call("rename", request, { kind: "rename", to });
    this.#renamed(to);
  }

  #renamed(to: string): void {
    const latest = this.#latest;
    this.#deleted.push(this.#name);
    this.#name = to;
    this.#advance(latest === null ? null : { ...latest, stack: to, text: null }, "succeeded");
  }

  async #encrypt(): Promise<void> {
    const bytes = Array.from({ length: this.#random.between(0, PLAINTEXT_BYTES_MAX) }, () =>
      this.#random.between(0, 255),
    );
    const plaintext = Buffer.from(bytes).toString("base64");
    const { body } = await this.#call("encrypt", () => this.#stack.send("POST", "/encrypt", { plaintext }));
    this.#secrets.push({ plaintext, ciphertext: body.ciphertext as string });
  }

  /** Starts an update; one before it whose lease is over has to make way. */
  async #begin(): Promise<void> {
    const request = { options: {}, config: {}, metadata: { message: "", environment: {} } };
    const { body } = await this.#call("create update", () => this.#stack.send("POST", "/update", request));
    const updateId = body.updateID as string;
    const isJournal = this.#random.chance(0.7);
    await this.#persist(
      "start",
      () => this.#stack.start(updateId, isJournal),
      async ({ body: started }) => {
        if (this.#running !== null) await this.#readEnd(this.#running);
        const version = started.version as number;
        if (version !== this.#version + 1) {
          throw new Error(`${this.#name}: version ${version} was started after ${this.#version}`);
        }
        this.#running = {
          client: new UpdateClient(this.#stack, updateId, started.token as string, version),
          saved: { ...(this.#latest ?? emptyState(this.#name)), text: null },
          ...{ isJournal, maybe: null, hasSaves: false, nextSequence: 1, events: 0, overAtMs: null },
          open: new Map(),
        };
      },
    );
  }

  async #workOn(running: Running): Promise<void> {
    if (running.overAtMs !== null) return this.#outlive(running, running.overAtMs);
    const dice = this.#random.next();
    if (dice < 0.62) return running.isJournal ? this.#journal(running) : this.#checkpoint(running);
    if (dice < 0.74) return this.#appendEvents(running);
    if (dice < 0.8) return this.#renew(running);
    if (dice < 0.85) return this.#cancel(running);
    if (dice < 0.87) return this.#abandon(running);
    return this.#complete(running);
  }

  #renew(running: Running): Promise<void> {
    return this.#persist("renew", () => running.client.send("POST", "/renew_lease", { duration: 300 }));
  }

  /** One batch: some creations whole, some only begun, some begun earlier and now done. */
  async #journal(running: Running): Promise<void> {
    const { stack, resources, pending } = running.saved;
    const next = { resources: new Map(resources), pending: new Set(pending) };
    const entries: Record<string, unknown>[] = [];
    for (let made = this.#random.between(1, 4); made > 0; made--) {
      const name = this.#newName();
      const operationID = running.nextSequence++;
      const operation = { resource: resourceOf(stack, name, 0), type: "creating" };
      entries.push(entry(operationID, BEGIN, operationID, { operation }));
      next.pending.add(name);
      running.open.set(name, operationID);
    }
    for (const [name, operationID] of running.open) {
      if (this.#random.chance(0.3)) continue;
      const value = this.#random.between(0, 999);
      entries.push(
        entry(running.nextSequence++, SUCCESS, operationID, { state: resourceOf(stack, name, value) }),
      );
      next.pending.delete(name);
      next.resources.set(name, value);
      running.open.delete(name);
    }
    await this.#save(running, "journal", { ...running.saved, ...next }, () =>
      running.client.journal(entries),
    );
  }

  async #checkpoint(running: Running): Promise<void> {
    const resources = new Map(running.saved.resources);
    for (let made = this.#random.between(1, 4); made > 0; made--) {
      resources.set(this.#newName(), this.#random.between(0, 999));
    }
    const next: State = { ...running.saved, resources };
    await this.#save(running, "checkpoint", next, () => running.client.checkpoint(deploymentOf(next)));
  }

  async #save(running: Running, what: string, next: State, request: () => Promise<Answer>): Promise<void> {
    running.maybe = next;
    await this.#persist(what, request, () => {
      running.saved = next;
      running.hasSaves = true;
      running.maybe = null;
    });
  }

  async #appendEvents(running: Running): Promise<void> {
    const events = Array.from({ length: this.#random.between(1, 5) }, (_, index) => ({
      sequence: running.events + index,
      timestamp: 1,
      stdoutEvent: { message: "hello", color: "never" },
    }));
    await this.#persist(
      "events",
      () => running.client.send("POST", "/events/batch", { events }),
      () => {
        running.events += events.length;
        this.#events.set(running.client.id, running.events);
      },
    );
  }

  async #complete(running: Running): Promise<void> {
    const result = this.#random.chance(0.8) ? "succeeded" : "failed";
    await this.#persist(
      "complete",
      () => running.client.complete(result),
      () => {
        this.#ended(running, running.saved, running.hasSaves, result);
      },
    );
  }

  async #cancel(running: Running): Promise<void> {
    const path = `/update/${running.client.id}/cancel`;
    await this.#persist(
      "cancel",
      () => this.#stack.send("POST", path),
      () => this.#readEnd(running),
    );
  }

  /** From here on nobody renews: the sweep or the next update has to free the stack. */
  /**
   * From here on nobody renews: the sweep or the next update has to free the stack. If the answer is lost, the
   * lease may be over already when it is asked again, and somebody's sweep may have come.
   */
  async #abandon(running: Running, mayBeOver = false): Promise<void> {
    const shorten = () => running.client.send("POST", "/renew_lease", { duration: 1 });
    const again = () => this.#abandon(running, true);
    await this.#call("abandon", shorten, { kind: "retry", what: "abandon", again }, mayBeOver ? [403] : []);
    running.overAtMs = Date.now() + SHORT_LEASE_MS;
  }

  #ended(running: Running, state: State, hasSaves: boolean, result: string): void {
    this.#running = null;
    this.#advance(hasSaves ? state : this.#latest, result);
    this.#events.set(running.client.id, running.events);
  }

  #advance(state: State | null, result: string): void {
    this.#version += 1;
    this.#results.set(this.#version, result);
    if (state !== null) this.#states.set(this.#version, state);
  }

  #newName(): string {
    return `r${++this.#names}`;
  }

  // ---------------------------------------------------------------- after a crash

  /** Whatever was under way: gone on with, cancelled or left to the sweep. */
  async #settle(): Promise<void> {
    const unknown = this.#unknown;
    if (unknown === null) return;
    if (unknown.kind !== "retry") throw new Error(`${this.#id}: ${unknown.kind} should be known by now`);
    const running = this.#running;
    if (running !== null && SAVES.has(unknown.what)) {
      if (this.#random.chance(0.3)) return this.#cancel(running);
      if (this.#random.chance(0.3)) return this.#abandon(running);
    }
    await unknown.again();
  }

  /** Waits out a lease that nobody renews, then has the stack freed by a sweep or by the next update. */
  async #outlive(running: Running, overAtMs: number): Promise<void> {
    while (Date.now() < overAtMs) {
      if (!this.#server.isRunning) throw new ServerGone("while waiting");
      await sleep(20);
    }
    if (this.#random.chance(0.5)) return this.#begin();
    await this.#sweep();
    await this.#readEnd(running);
  }

  async #sweep(): Promise<void> {
    await this.#call("sweep", () => send(this.#server, "POST", "/api/admin/v1/gc-runs", {}));
  }

  /** The version that an update left which ended without its client. */
  async #readEnd(running: Running): Promise<void> {
    const version = this.#version + 1;
    const candidates = [running.saved, ...(running.maybe === null ? [] : [running.maybe])];
    const answer = await this.#ask(() => this.#stack.send("GET", `/export/${version}`));
    if (answer.status === 404 && !running.hasSaves && this.#latest === null) {
      this.#ended(running, running.saved, false, "failed");
      return;
    }
    if (answer.status !== 200) throw new Error(`${this.#name}/${version}: ${answer.status} ${answer.text}`);
    const base = running.hasSaves ? null : this.#latest;
    const all = base === null ? candidates : [base, ...candidates];
    const state = whichOf(answer.text, all, `${this.#name} version ${version}, ended without its client`);
    this.#ended(running, state, true, "failed");
  }

  /** Reads what can be read, changes nothing: run while nobody kills the server. */
  async check(isThorough: boolean): Promise<void> {
    await this.#observe();
    for (const name of this.#deleted.slice(isThorough ? 0 : -2)) {
      const gone = await new StackClient(this.#server, PROJECT, name).send("GET", "");
      if (gone.status !== 404) throw new Error(`${name} was deleted and answers ${gone.status}`);
    }
    if (!this.#exists) return;
    await this.#checkHistory();
    await this.#checkSecrets(isThorough);
    const known = [...this.#states.keys()];
    const versions = isThorough ? known : [...known.slice(-2), ...known.slice(0, 1)];
    for (const version of versions) await this.#checkVersion(version, `/export/${version}`);
    const latest = known.at(-1);
    // The takeover or the sweep of an update that is over may have come already.
    if (latest !== undefined && this.#running === null) await this.#checkVersion(latest, "/export");
    await this.#checkEvents(isThorough);
  }

  /** What became of the request in flight, for those whose repetition would not be harmless. */
  async #observe(): Promise<void> {
    const unknown = this.#unknown;
    switch (unknown?.kind) {
      case undefined:
      case "retry":
        return;
      case "create":
        this.#exists = (await this.#find(this.#name)) !== null;
        break;
      case "delete":
        if ((await this.#find(this.#name)) === null) this.#forget();
        break;
      case "import": {
        const answer = await this.#stack.send("GET", "");
        if (answer.body.version === this.#version + 1) this.#advance(unknown.state, "succeeded");
        break;
      }
      case "rename": {
        const [from, to] = [await this.#find(this.#name), await this.#find(unknown.to)];
        if ((from === null) === (to === null)) {
          throw new Error(`half renamed: ${this.#name} ${from}, ${unknown.to} ${to}`);
        }
        if (to !== null) this.#renamed(unknown.to);
        else this.#deleted.push(unknown.to);
        break;
      }
    }
    this.#unknown = null;
  }

  async #find(name: string): Promise<unknown> {
    const { status, body } = await new StackClient(this.#server, PROJECT, name).send("GET", "");
    if (status !== 200 && status !== 404) throw new Error(`${name}: ${status}`);
    return status === 200 ? body.id : null;
  }

  async #checkHistory(): Promise<void> {
    const { body } = await this.#stack.send("GET", "/updates?pageSize=100&page=1");
    const found = (body.updates as { version: number; result: string }[]).map(
      (it) => `${it.version} ${it.result}`,
    );
    const expected = Array.from({ length: this.#version }, (_, index) => this.#version - index).map(
      (version) => `${version} ${this.#results.get(version)}`,
    );
    const isMaybeStarted = this.#unknown?.kind === "retry" && this.#unknown.what === "start";
    const mayRun = this.#running !== null || isMaybeStarted;
    // An update that is under way, or whose start or end is not known yet, heads the list.
    const extra = found.length - expected.length;
    const extraMax = (this.#running === null ? 0 : 1) + (isMaybeStarted ? 1 : 0);
    if (extra > extraMax || found.slice(Math.max(extra, 0)).join() !== expected.join()) {
      throw new Error(`${this.#name}: history is ${found.join(", ")} instead of ${expected.join(", ")}`);
    }
    const { body: stack } = await this.#stack.send("GET", "");
    if (!mayRun && stack.currentOperation !== undefined) throw new Error(`${this.#name} stays locked`);
  }

  async #checkVersion(version: number, path: string): Promise<void> {
    const state = this.#states.get(version);
    const { status, text } = await this.#stack.send("GET", path);
    if (status !== 200 || state === undefined) throw new Error(`${this.#name}${path}: ${status} ${text}`);
    whichOf(text, [state], `${this.#name}${path}`);
  }

  async #checkSecrets(isThorough: boolean): Promise<void> {
    const some = isThorough ? this.#secrets : this.#secrets.slice(-5);
    if (some.length === 0) return;
    const ciphertexts = some.map((it) => it.ciphertext);
    const { body, text } = await this.#stack.send("POST", "/batch-decrypt", { ciphertexts });
    for (const { plaintext, ciphertext } of some) {
      if (body.plaintexts?.[ciphertext] !== plaintext) {
        throw new Error(`${this.#name}: a ciphertext doesn't decrypt to what it was: ${text.slice(0, 200)}`);
      }
    }
  }

  async #checkEvents(isThorough: boolean): Promise<void> {
    const some = [...this.#events].slice(isThorough ? 0 : -1);
    for (const [updateId, sent] of some) {
      const { body } = await this.#stack.send("GET", `/update/${updateId}/events`);
      const sequences = (body.events as { sequence: number }[]).map((it) => it.sequence);
      const isInOrder = sequences.every((sequence, index) => sequence === index);
      // The batch in flight may have come through, too.
      if (!isInOrder || sequences.length < sent)
        throw new Error(`${this.#name}: events ${sequences.join()} of ${sent}`);
    }
  }

  /** Ends what is under way, so that nothing is left to chance at the end. */
  async finish(): Promise<void> {
    await this.#settle();
    while (this.#running !== null) {
      if (this.#running.overAtMs === null) await this.#complete(this.#running);
      else await this.#outlive(this.#running, this.#running.overAtMs);
    }
    await this.check(true);
  }
}

function count(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

function entry(sequenceID: number, kind: number, operationID: number, rest: Record<string, unknown>) {
  return { version: 1, kind, sequenceID, operationID, removeOld: null, removeNew: null, ...rest };
}

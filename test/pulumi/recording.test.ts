/**
 * A recorded session of the real CLI, sent again in its order. The requests are the specification; the recorded
 * answers are another server's, and right where DIFFERENCES does not say otherwise.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { type Answer, type SendOptions, send } from "../support/client.ts";
import { isOmitted, type RecordedRequest, readRecording } from "../support/recording.ts";
import { shareTestServer, type TestServer } from "../support/server.ts";

const ORG = "dev-org";

interface Difference {
  readonly reason: string;
  readonly applies: (request: RecordedRequest) => boolean;
  /** Ours; the recorded server said something else. */
  readonly status: number;
  /** How often it comes in the recording. */
  readonly times: number;
}

/** Where we answer with another status than the recorded server, and why. */
const DIFFERENCES: readonly Difference[] = [
  {
    reason: "decryptions are noted in the audit log; the other server has no such route",
    applies: ({ path }) => /\/decrypt\/log-(batch-)?decryption$/.test(path),
    status: 204,
    times: 11,
  },
  {
    reason: "the stack is taken at start, not at create (section 4.2)",
    applies: ({ method, path, status }) => method === "POST" && path.endsWith("/update") && status === 409,
    status: 200,
    times: 2,
  },
  {
    reason: "a stack with resources is not removed without force (section 6.6)",
    applies: ({ method, path }) => method === "DELETE" && path.includes("/full?"),
    status: 400,
    times: 1,
  },
  {
    reason: "the journal that emptied this stack is left out of the recording",
    applies: ({ method, path }) => method === "DELETE" && /\/prog\w+\/dev\?/.test(path),
    status: 400,
    times: 1,
  },
];

/** Scenarios after which the recorded server had the resources of a stack in another order than the engine. */
const OTHER_ORDER = [
  "node: a failing update fails, keeps the rest, is in history",
  "node: two updates at once: one conflict",
  "node: cancel from another terminal",
  "node: Ctrl-C leaves a usable stack",
  "node: kill -9 of the CLI, cancel, up again sees the pending operation",
];

interface Exchange {
  readonly request: RecordedRequest;
  readonly answer: Answer;
}

/** Sends recorded requests with the ids, lease tokens and ciphertexts of this server in place of the recorded ones. */
class Session {
  readonly #server: TestServer;
  readonly #token: string;
  readonly #updateIds = new Map<string, string>();
  readonly #leases = new Map<string, string>();
  readonly #ciphertexts = new Map<string, string>();

  constructor(server: TestServer, token: string) {
    this.#server = server;
    this.#token = token;
  }

  async send(request: RecordedRequest): Promise<Answer> {
    const path = request.path.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, (id) => this.#updateIds.get(id) ?? id);
    const body = request.req === undefined ? undefined : this.translated(request.req);
    const answer = await send(this.#server, request.method, path, body, {
      gzip: request.hdr["content-encoding"] === "gzip",
      headers: { "user-agent": request.ua, accept: request.hdr.accept ?? "" },
      ...this.#credentialOf(request),
    });
    if (answer.status < 300) this.#learn(request, answer);
    return answer;
  }

  translated(body: unknown): string {
    return JSON.stringify(body).replace(
      /[A-Za-z0-9+/]{16,}={0,2}/g,
      (text) => this.#ciphertexts.get(text) ?? text,
    );
  }

  /** Sets a stack's state to what the recorded server told the CLI, which then made its journal for it. */
  async setBase(stackPath: string, document: unknown): Promise<boolean> {
    const current = await send(this.#server, "GET", `${stackPath}/export`, undefined, { token: this.#token });
    if (urnsOf(current.body).join() === urnsOf(document).join()) return false;
    const body = this.translated(document);
    const answer = await send(this.#server, "POST", `${stackPath}/import`, body, { token: this.#token });
    expect(answer, answer.text).toMatchObject({ status: 200 });
    return true;
  }

  #credentialOf(request: RecordedRequest): SendOptions {
    if (request.auth === "update-token") {
      const [, recordedId = ""] = /\/update\/([0-9a-f-]+)\//.exec(request.path) ?? [];
      return { lease: this.#leases.get(recordedId) ?? "unknown" };
    }
    return { token: request.step === "login with a bad token" ? "not-a-token" : this.#token };
  }

  #learn({ path, res }: RecordedRequest, { body }: Answer): void {
    const recorded = res as Answer["body"];
    if (typeof recorded !== "object" || recorded === null) return;
    const recordedId = recorded.updateID ?? recorded.updateId;
    if (recordedId !== undefined) this.#updateIds.set(recordedId, body.updateID ?? body.updateId);
    const [, startedId] = /\/update\/([0-9a-f-]+)$/.exec(path) ?? [];
    if (startedId !== undefined && recorded.token !== undefined) this.#leases.set(startedId, body.token);
    const ciphertexts: string[] = recorded.ciphertexts ?? (recorded.ciphertext ? [recorded.ciphertext] : []);
    const ours: string[] = body?.ciphertexts ?? [body?.ciphertext];
    for (const [i, ciphertext] of ciphertexts.entries()) this.#ciphertexts.set(ciphertext, ours[i] ?? "");
  }
}

function urnsOf(document: Answer["body"]): string[] {
  return (document?.deployment?.resources ?? []).map((it: { urn: string }) => it.urn);
}

function stackPathOf(path: string): string {
  return /^\/api\/stacks\/[^/]+\/[^/]+\/[^/?]+/.exec(path)?.[0] ?? "";
}

/** The state that the CLI was given after a start: what the journal's indices refer to. */
function baseAfter(requests: readonly RecordedRequest[], at: number): unknown {
  const path = `${stackPathOf(requests[at]?.path ?? "")}/export`;
  return requests.slice(at + 1, at + 8).find((it) => it.path === path)?.res;
}

async function signUp(server: TestServer): Promise<string> {
  const path = "/api/admin/v1";
  await send(server, "POST", `${path}/users`, { login: "dev-user" });
  await send(server, "PUT", `${path}/organizations/${ORG}/members/dev-user`, { role: "member" });
  const { body } = await send(server, "POST", `${path}/tokens`, { name: "laptop", user: "dev-user" });
  return body.token as string;
}

const server = shareTestServer({ env: { STATEHOUSE_DEFAULT_ORG: ORG } });
const exchanges: Exchange[] = [];
/** Steps in which the state had to be put into the recorded order first. */
const reordered: string[] = [];

beforeAll(async () => {
  const session = new Session(server(), await signUp(server()));
  const requests = readRecording();
  for (const [at, request] of requests.entries()) {
    if (isOmitted(request.req)) continue;
    const isStart = request.method === "POST" && /\/update\/[0-9a-f-]+$/.test(request.path);
    const base = isStart ? baseAfter(requests, at) : undefined;
    const isKnown = base !== undefined && !isOmitted(base);
    if (isKnown && (await session.setBase(stackPathOf(request.path), base))) reordered.push(request.step);
    exchanges.push({ request, answer: await session.send(request) });
  }
});

function where({ request, answer }: Exchange): string {
  return `${request.id} (${request.step}) ${request.method} ${request.path}: ${answer.status} ${answer.text.slice(0, 200)}`;
}

function at(method: string, path: RegExp, isOk = true): Exchange[] {
  return exchanges.filter(
    ({ request, answer }) =>
      request.method === method && path.test(request.path) && answer.status < 300 === isOk,
  );
}

/** A call whose answer the CLI reads needs a document; for the others any 2xx will do. */
function readsAnswer({ res }: RecordedRequest): boolean {
  return typeof res === "object";
}

describe("the recorded session of the real CLI", () => {
  it("is answered with the statuses it expects", () => {
    expect(exchanges.length).toBeGreaterThan(1500);
    const seen = new Map<Difference, number>();
    for (const exchange of exchanges) {
      const { request, answer } = exchange;
      const difference = DIFFERENCES.find((it) => it.applies(request));
      if (difference !== undefined) seen.set(difference, (seen.get(difference) ?? 0) + 1);
      const status = difference?.status ?? request.status;
      const isEnough = status >= 300 || readsAnswer(request) ? status === answer.status : answer.status < 300;
      expect(isEnough, `${where(exchange)}; expected ${status}`).toBe(true);
    }
    for (const it of DIFFERENCES) expect(seen.get(it), it.reason).toBe(it.times);
  });

  it("gets the engine's order of resources, where the recorded server kept its own", () => {
    expect([...new Set(reordered)].sort()).toEqual([...OTHER_ORDER].sort());
  });

  it("is never told that a state failed verification", () => {
    for (const exchange of exchanges)
      expect(exchange.answer.headers.get("x-pulumi-warning"), where(exchange)).toBeNull();
    const bad = server().logLines.filter((line) => line.includes("failed verification"));
    expect(bad).toEqual([]);
  });

  it("gets an error body with the status as its code", () => {
    const failures = exchanges.filter(({ answer }) => answer.status >= 400);
    expect(failures.length).toBeGreaterThan(10);
    for (const { answer } of failures)
      expect(answer.body).toEqual({ code: answer.status, message: expect.stringMatching(/./) });
  });
});

describe("in the answers to the CLI", () => {
  const S = "/api/stacks/[^/]+/[^/]+/[^/?]+";

  it("a stack has what the CLI asserts on", () => {
    for (const exchange of at("GET", new RegExp(`^${S}$`))) {
      const { request, answer } = exchange;
      const [, , , orgName, projectName, stackName] = request.path.split("/");
      const tags = expect.any(Object);
      const wanted = { orgName, projectName, stackName, tags, id: expect.stringMatching(/./) };
      expect(answer.body, where(exchange)).toMatchObject(wanted);
      expect(typeof answer.body.activeUpdate).toBe("string");
      expect(Number.isInteger(answer.body.version)).toBe(true);
    }
  });

  it("an export is a document of version 3 or 4 with a time that parses", () => {
    const exports = at("GET", new RegExp(`^${S}/export`));
    expect(exports.length).toBeGreaterThan(90);
    for (const exchange of exports) {
      const { version, deployment } = exchange.answer.body;
      expect([3, 4]).toContain(version);
      expect(deployment.manifest.time, where(exchange)).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    }
  });

  it("a start grants a token, and journaling where it was offered", () => {
    for (const exchange of at("POST", new RegExp(`^${S}/update/[0-9a-f-]+$`))) {
      const offered = (exchange.request.req as { journalVersion?: number }).journalVersion;
      const { body } = exchange.answer;
      expect(body.token, where(exchange)).toMatch(/^\S{20,}$/);
      expect(Number.isInteger(body.version)).toBe(true);
      expect(body.tokenExpiration * 1000).toBeGreaterThan(Date.now());
      expect(body.journalVersion, where(exchange)).toBe(offered === 1 ? 1 : undefined);
    }
  });

  it("an import has succeeded at the first poll", () => {
    for (const { answer } of at("POST", /\/import$/)) expect(answer.body.updateId).toMatch(/./);
    const polls = at("GET", new RegExp(`^${S}/update/[0-9a-f-]+$`));
    expect(polls).toHaveLength(8);
    for (const { answer } of polls)
      expect(answer.body).toEqual({ status: "succeeded", events: [], continuationToken: null });
  });

  it("secrets come back as they went in", () => {
    for (const { request, answer } of at("POST", /\/decrypt$/)) expect(answer.body).toEqual(request.res);
    for (const { request, answer } of at("POST", /\/batch-encrypt$/)) {
      const { plaintexts } = request.req as { plaintexts: string[] };
      expect(answer.body.ciphertexts).toHaveLength(plaintexts.length);
    }
    const batches = at("POST", /\/batch-decrypt$/);
    expect(batches.length).toBeGreaterThan(50);
    for (const exchange of batches) {
      const { plaintexts } = exchange.request.res as { plaintexts: Record<string, string> };
      // Keyed by this server's ciphertexts, so only the plaintexts can be compared.
      const values = (map: Record<string, string>) => Object.values(map).sort();
      expect(values(exchange.answer.body.plaintexts), where(exchange)).toEqual(values(plaintexts));
    }
  });

  it("a version's own state is exported", () => {
    const [exchange] = at("GET", /\/export\/1$/);
    expect(urnsOf(exchange?.answer.body).length).toBeGreaterThan(3);
  });

  it("history tells of real updates alone, with the message that the CLI sent", () => {
    const pages = at("GET", /\/updates\?/);
    expect(pages).toHaveLength(5);
    for (const exchange of pages) {
      const updates: Answer["body"][] = exchange.answer.body.updates;
      expect(updates.length, where(exchange)).toBeGreaterThan(0);
      const kinds = updates.map((it) => it.kind);
      expect(kinds.filter((kind) => kind === "preview")).toEqual([]);
      for (const update of updates) {
        expect(["succeeded", "failed", "in-progress"]).toContain(update.result);
        expect(update.endTime).toBeGreaterThanOrEqual(update.startTime);
        expect(update.version).toBeGreaterThan(0);
      }
    }
    const told = pages.flatMap(({ answer }) => answer.body.updates.map((it: Answer["body"]) => it.message));
    expect(new Set(told)).toEqual(new Set(["", "second"]));
  });

  it("a removed tag is gone", () => {
    const removal = exchanges.findLastIndex(
      ({ request }) => request.method === "PATCH" && request.path.endsWith("/tags"),
    );
    const { request } = exchanges[removal] as Exchange;
    const next = exchanges
      .slice(removal)
      .find((it) => it.request.method === "GET" && it.request.path === stackPathOf(request.path));
    expect(next?.answer.body.tags).toEqual(request.req);
  });

  it("a renamed stack's state has its new name alone", () => {
    const [exchange] = at("GET", /\/new\/export$/);
    const urns = urnsOf(exchange?.answer.body);
    expect(urns.length).toBeGreaterThan(3);
    for (const urn of urns) expect(urn).toMatch(/^urn:pulumi:new::/);
    expect(exchange?.answer.text).not.toMatch(/urn:pulumi:old::|"stack":"old"/);
  });

  it("a CLI that was killed has left its pending operation", () => {
    const step = "node: kill -9 of the CLI, cancel, up again sees the pending operation";
    const documents = at("GET", /\/export$/).filter(({ request }) => request.step === step);
    const pending = documents.map(({ answer }) => answer.body.deployment.pending_operations ?? []);
    expect(pending.some((operations) => operations.length > 0)).toBe(true);
  });
});

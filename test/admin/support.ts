/** The admin API over real adapters and real HTTP. Every answer is checked against its declared schema. */
import { createHash, randomUUID, randomUUIDv7 } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import express from "express";
import pino from "pino";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";
import { openDatabase } from "../../db-adapters/open.ts";
import type { AdminDeps } from "../../server/admin/deps.ts";
import type { Operation } from "../../server/admin/endpoint.ts";
import { adminEndpoints } from "../../server/admin/routes.ts";
import { createDocumentStore } from "../../server/blobs/documents.ts";
import { readConfig } from "../../server/config/read.ts";
import type { Context } from "../../server/context.ts";
import { createKeyring } from "../../server/crypto/keyring.ts";
import { ERRORS } from "../../server/errors.ts";
import { failureHandler, notFound } from "../../server/http/failures.ts";
import { mount } from "../../server/http/route.ts";
import { Deadlines } from "../../server/jobs/deadlines.ts";
import { runGc } from "../../server/jobs/gc.ts";
import { createMetrics } from "../../server/metrics.ts";
import { cancelUpdateById } from "../../server/services/finish.ts";
import { createReplayer } from "../../server/services/replayer.ts";
import { SignInGuard } from "../../server/services/sign-in-guard.ts";
import { openBlobStore } from "../../storage-adapters/open.ts";

export const ADMIN_TOKEN = "sth_admin_for_tests_only_0123456789";
export const STARTED_MS = Date.parse("2026-03-01T12:00:00.000Z");
export const BASE = "/api/admin/v1";

// What the tests look for in answers; the schemas have checked the rest by then.
export interface Body {
  readonly [field: string]: unknown;
  readonly items?: readonly Body[];
  readonly nextCursor?: string;
  readonly id?: string;
  readonly token?: string;
  readonly message?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

export interface SendOptions {
  /** Null: no Authorization header. The admin token unless given. */
  readonly token?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** In place of a JSON body. */
  readonly rawBody?: string;
}

export interface TestApi {
  readonly ctx: Context;
  readonly operations: readonly Operation[];
  /** `path` begins after `/api/admin/v1`. */
  send(method: string, path: string, body?: unknown, options?: SendOptions): Promise<Answer>;
  /** Operation ids that have answered with success. */
  readonly succeeded: ReadonlySet<string>;
  advance(ms: number): void;
  close(): Promise<void>;
}

type Closers = (() => Promise<unknown>)[];

/** A context over a fresh folder. */
async function makeContext(
  nowMs: () => number,
  env: Readonly<Record<string, string>>,
  closers: Closers,
): Promise<Context> {
  const dir = await mkdtemp(join(tmpdir(), "statehouse-test-"));
  closers.push(() => rm(dir, { recursive: true, force: true }));
  const config = readConfig({ STATEHOUSE_DATA_DIR: dir, STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN, ...env });
  const db = await openDatabase({ kind: "sqlite", path: join(dir, "statehouse.db") });
  const blobs = await openBlobStore({ kind: "local-disk", root: join(dir, "blobs") });
  const keyring = createKeyring([{ id: 1, key: new Uint8Array(32).fill(7) }]);
  const replayer = createReplayer(() => undefined);
  const metrics = createMetrics();
  closers.push(
    async () => metrics.close(),
    () => replayer.close(),
    () => blobs.close(),
    () => db.close(),
  );
  return {
    ...{ config, db, blobs, keyring, replayer, metrics, nowMs },
    documents: createDocumentStore(blobs, keyring),
    deadlines: new Deadlines(),
    log: pino({ level: "silent" }),
    adminTokenHash: createHash("sha256").update(ADMIN_TOKEN).digest(),
    newId: randomUUID,
    newOrderedId: randomUUIDv7,
  };
}

/** The real app part on a free port. */
async function listen(
  ctx: Context,
  endpoints: ReturnType<typeof adminEndpoints>,
  closers: Closers,
): Promise<string> {
  const app = express();
  const guard = new SignInGuard(ctx.config.authFailuresPerMinute, ctx.nowMs, ctx.db);
  mount(
    app,
    { ctx, guard },
    endpoints.map((it) => it.route),
  );
  app.use(notFound);
  app.use(failureHandler(ctx.log, { isDraining: false, isStorageInDoubt: false }));
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function isAt(operation: Operation, method: string, path: string): boolean {
  const pattern = new RegExp(`^${operation.path.replace(/:\w+/g, "[^/]+").replaceAll(".", "\\.")}$`);
  return operation.method === method.toLowerCase() && pattern.test(path);
}

/** An answer is what the document says, success or failure. */
function checkAgainst(operation: Operation, { status, body, headers }: Answer): void {
  if (status >= 400) {
    const declared = operation.errors.map((code) => ERRORS[code].status as number);
    expect(declared, `${operation.operationId} answers ${status}: ${body.message}`).toContain(status);
    expect(body).toEqual({ code: status, message: expect.any(String) });
    return;
  }
  expect(status).toBe(operation.status);
  if (operation.response === null) {
    expect(body).toEqual({});
    return;
  }
  expect(headers.get("content-type")).toBe("application/json");
  expect(operation.response.safeParse(body).error, operation.operationId).toBeUndefined();
}

async function openAdminApi(env: Readonly<Record<string, string>>): Promise<TestApi> {
  let nowMs = STARTED_MS;
  const closers: Closers = [];
  const ctx = await makeContext(() => nowMs, env, closers);
  const deps: AdminDeps = {
    cancelUpdate: cancelUpdateById,
    runGc,
    status: async () => ({ version: "0.0.0-test", startedMs: STARTED_MS, owner: { host: "test" } }),
  };
  const endpoints = adminEndpoints(deps);
  const operations = endpoints.map((it) => it.operation);
  const url = await listen(ctx, endpoints, closers);
  const succeeded = new Set<string>();

  async function send(
    method: string,
    path: string,
    body?: unknown,
    { token = ADMIN_TOKEN, headers = {}, rawBody }: SendOptions = {},
  ): Promise<Answer> {
    const response = await fetch(`${url}${BASE}${path}`, {
      method,
      headers: { ...(token === null ? {} : { authorization: `token ${token}` }), ...headers },
      body: rawBody ?? (body === undefined ? null : JSON.stringify(body)),
    });
    const text = await response.text();
    const answer = {
      status: response.status,
      headers: response.headers,
      body: (text === "" ? {} : JSON.parse(text)) as Body,
    };
    const [pathname = ""] = `${BASE}${path}`.split("?");
    const operation = operations.find((it) => isAt(it, method, pathname));
    if (operation !== undefined) {
      checkAgainst(operation, answer);
      if (response.ok) succeeded.add(operation.operationId);
    }
    return answer;
  }

  return {
    ...{ ctx, operations, send, succeeded },
    advance: (ms) => {
      nowMs += ms;
    },
    close: async () => {
      for (const close of closers.toReversed()) await close();
    },
  };
}

/** Over an empty database of its own; closed when the test ends. */
export async function startAdminApi(env: Readonly<Record<string, string>> = {}): Promise<TestApi> {
  const api = await openAdminApi(env);
  onTestFinished(() => api.close());
  return api;
}

async function addPeople(api: TestApi): Promise<void> {
  await api.send("POST", "/organizations", { name: "acme" });
  await api.send("POST", "/users", { login: "alice", email: "alice@example.com" });
}

/** One organization `acme` and one user `alice`. */
export async function startWithPeople(env: Readonly<Record<string, string>> = {}): Promise<TestApi> {
  const api = await startAdminApi(env);
  await addPeople(api);
  return api;
}

/** The same, once for all tests of a file that change nothing: what is refused leaves no trace. */
export function shareWithPeople(): () => TestApi {
  let shared: TestApi | null = null;
  beforeAll(async () => {
    shared = await openAdminApi({});
    await addPeople(shared);
  });
  afterAll(() => shared?.close());
  return () => {
    if (shared === null) throw new Error("only inside a test");
    return shared;
  };
}

export const STACK = { organization: "acme", project: "web", stack: "prod" } as const;

/** A stack with an update that runs (or waits to be started), as a CLI would leave it. */
export async function makeUpdate(
  api: TestApi,
  { isStarted = true, stack = STACK.stack as string }: { isStarted?: boolean; stack?: string } = {},
): Promise<{ updateId: string; stackId: string; leaseExpiresMs: number }> {
  const { ctx } = api;
  const [stackId, updateId] = [ctx.newId(), ctx.newId()];
  const nowMs = ctx.nowMs();
  const name = { ...STACK, stack };
  await ctx.db.createStack({ id: stackId, name, tags: {}, state: null, nowMs });
  await ctx.db.createUpdate({
    ...{ id: updateId, stackId, kind: "update", dryRun: false, actor: "alice" },
    ...{ config: null, metadata: "{}", nowMs },
  });
  const leaseExpiresMs = nowMs + 300_000;
  if (isStarted) {
    const started = await ctx.db.startUpdate({
      ...{ ref: { ...name, updateId }, leaseTokenHash: "00".repeat(32), leaseExpiresMs },
      ...{ journalVersion: 0, cliVersion: null, tags: null, nowMs },
    });
    expect(started.kind).toBe("started");
  }
  return { updateId, stackId, leaseExpiresMs };
}

/** Actions in the audit log, newest first. */
export async function auditActions(api: TestApi): Promise<unknown[]> {
  const { body } = await api.send("GET", "/audit-events");
  return (body.items ?? []).map((it) => it.action);
}

/** What whoever operates the server relies on: probes, metrics, logs, traces, limits, a gentle stop. */
import { readFile } from "node:fs/promises";
import { Agent, createServer, get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pino from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Answer, StackClient, send } from "../support/client.ts";
import { freshStack } from "../support/journal.ts";
import { ADMIN_TOKEN, ORG, startTestServer, type TestServer } from "../support/server.ts";
import { RawClient } from "./raw.ts";

const ADMIN = "/api/admin/v1";
const METRICS_TOKEN = "metrics_token_for_tests";
const URN = "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev";
const RESOURCE = { urn: URN, custom: false, type: "pulumi:pulumi:Stack" };

function deployment(...resources: unknown[]) {
  return { manifest: { time: "", magic: "", version: "" }, resources, metadata: {} };
}

function begun(sequenceID: number, resource: unknown = RESOURCE) {
  const ids = { sequenceID, operationID: sequenceID, removeOld: null, removeNew: null };
  return { version: 1, kind: 0, ...ids, operation: { resource, type: "creating" } };
}

describe("probes", () => {
  it.each(["/livez", "/readyz", "/healthz"])("%s answers whoever asks, without a token", async (path) => {
    const server = await startTestServer();
    const answer = await send(server, "GET", path, undefined, { token: null });
    expect(answer).toMatchObject({ status: 200, body: { status: "ok" } });
    expect(answer.text).not.toContain(server.dataDir);
  });

  it("tell a server without its database from a dead one", async () => {
    const server = await startTestServer();
    await server.ctx.db.close();
    expect(await send(server, "GET", "/readyz")).toMatchObject({ status: 503, body: { code: 503 } });
    expect(await send(server, "GET", "/livez")).toMatchObject({ status: 200 });
    expect(await send(server, "GET", "/api/user/stacks")).toMatchObject({ status: 503, body: { code: 503 } });
  });
});

/** Sums the lines of a metric whose labels contain all of `labels`. */
function sumOf(text: string, name: string, ...labels: string[]): number {
  const lines = text.split("\n").filter((it) => it.startsWith(`${name}{`) || it.startsWith(`${name} `));
  const chosen = lines.filter((line) => labels.every((label) => line.includes(label)));
  return chosen.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

async function scrape(server: TestServer): Promise<string> {
  const { status, text, headers } = await send(server, "GET", "/metrics", undefined, { token: null });
  expect(status).toBe(200);
  expect(headers.get("content-type")).toContain("text/plain");
  return text;
}

describe("metrics", () => {
  it("move with what they count", async () => {
    const server = await startTestServer();
    const before = await scrape(server);
    const stack = await new StackClient(server, "shop", "secret-name").init();
    await stack.send("POST", "/import", { version: 3, deployment: deployment(RESOURCE) });
    const update = await stack.begin();
    await update.journal([begun(1)]);
    await send(server, "GET", "/api/user", undefined, { token: "sth_wrong" });
    await send(server, "POST", `${ADMIN}/gc-runs`, {});
    const during = await scrape(server);
    await update.complete();
    await stack.send("POST", "/import", {
      version: 3,
      deployment: deployment({ ...RESOURCE, parent: "gone" }),
    });
    const after = await scrape(server);
    const route = 'route="/api/stacks/:org/:project/:stack/update/:updateId/journalentries"';
    const requests = "statehouse_http_request_seconds_count";
    const grown = (name: string, ...labels: string[]) =>
      sumOf(after, name, ...labels) - sumOf(before, name, ...labels);
    expect(grown(requests, route, 'method="PATCH"', 'status="204"')).toBe(1);
    expect(grown(requests, 'route="/api/user"', 'status="401"')).toBe(1);
    expect(grown("statehouse_http_request_seconds_bucket", route, 'le="+Inf"')).toBe(1);
    expect(grown("statehouse_http_request_seconds_sum", route)).toBeGreaterThan(0);
    const leases = [before, during, after].map((text) => sumOf(text, "statehouse_active_leases"));
    expect(leases).toEqual([0, 1, 0]);
    expect(grown("statehouse_gc_runs_total", 'result="ok"')).toBe(1);
    expect(grown("statehouse_gc_seconds_count")).toBe(1);
    expect(during).toMatch(/statehouse_gc_items_total\{sweep="leasesEnded"\} 0/);
    expect(grown("statehouse_state_bytes")).toBeGreaterThan(100);
    expect(grown("statehouse_state_versions")).toBe(3);
    expect(grown("statehouse_stacks")).toBe(1);
    expect(grown("statehouse_group_commit_size_count")).toBeGreaterThan(4);
    expect(grown("statehouse_group_commit_seconds_sum")).toBeGreaterThan(0);
    expect(grown("statehouse_sign_in_failures_total")).toBe(1);
    expect(grown("statehouse_replay_seconds_count")).toBe(1);
    expect(grown("statehouse_bad_documents_total")).toBe(1);
    expect(sumOf(after, "statehouse_event_loop_lag_p99_seconds")).toBeGreaterThan(0);
    expect(sumOf(after, "process_resident_memory_bytes")).toBeGreaterThan(0);
  });

  it("name routes by their pattern: no stack, person or made-up path becomes a label", async () => {
    const server = await startTestServer();
    await new StackClient(server, "hush-project", "hush-stack").init();
    for (let made = 0; made < 50; made++) await send(server, "GET", `/hush-${made}`);
    const text = await scrape(server);
    expect(text).not.toContain("hush");
    expect(sumOf(text, "statehouse_http_request_seconds_count", 'route="none"', 'status="404"')).toBe(50);
  });

  it("ask for their token when there is one", async () => {
    const server = await startTestServer({ env: { STATEHOUSE_METRICS_TOKEN: METRICS_TOKEN } });
    const status = async (authorization: string | null) => {
      const headers = authorization === null ? {} : { authorization };
      return (await send(server, "GET", "/metrics", undefined, { token: null, headers })).status;
    };
    expect(await status(null)).toBe(401);
    expect(await status("Bearer wrong")).toBe(401);
    expect(await status(`Bearer ${ADMIN_TOKEN}`)).toBe(401);
    expect(await status(`Bearer ${METRICS_TOKEN}`)).toBe(200);
    expect(await send(server, "GET", "/livez", undefined, { token: null })).toMatchObject({ status: 200 });
  });
});

interface Line {
  readonly level?: number;
  readonly reqId?: string;
  readonly path?: string;
  readonly status?: number;
  readonly msg: string;
}

function linesOf(server: TestServer): Line[] {
  return server.logLines.map((line) => JSON.parse(line) as Line);
}

/** The log line of a request comes when its connection is through with it. */
async function lineOf(server: TestServer, reqId: string): Promise<Line | undefined> {
  for (let tries = 0; tries < 50; tries++) {
    const line = linesOf(server).find((it) => it.reqId === reqId && it.msg === "request");
    if (line !== undefined) return line;
    await sleep(10);
  }
  return undefined;
}

describe("a request's id", () => {
  it.each([
    { what: "a success", method: "GET", path: "/api/user", status: 200 },
    { what: "an unknown path", method: "GET", path: "/nowhere?token=hidden", status: 404 },
    { what: "a refusal", method: "GET", path: `/api/stacks/${ORG}/shop/none`, status: 404 },
    { what: "an empty answer", method: "HEAD", path: `/api/stacks/${ORG}/shop`, status: 404 },
  ])("of $what is in its answer and in its log line", async ({ method, path, status }) => {
    const server = await startTestServer();
    const answer = await send(server, method, path);
    expect(answer.status).toBe(status);
    const id = answer.headers.get("x-pulumi-request-id") ?? "";
    expect(id).toMatch(/^[A-Za-z0-9-]{8,64}$/);
    expect(await lineOf(server, id)).toMatchObject({ method, path: path.replace(/\?.*/, ""), status });
  });

  it("is new each time, and a proxy's where it sent one", async () => {
    const server = await startTestServer();
    const idFor = async (given?: string) => {
      const headers = given === undefined ? {} : { "x-request-id": given };
      return (await send(server, "GET", "/api/user", undefined, { headers })).headers.get(
        "x-pulumi-request-id",
      );
    };
    expect(await idFor()).not.toBe(await idFor());
    const uuid = "3d2c9a50-4b8f-4f5e-9f0a-2f6f3a1b7c11";
    expect(await idFor(uuid)).toBe(uuid);
    // What could forge a log line or a header, or fill the disk, is replaced.
    for (const bad of ["a b c d e f g h", '","level":"fatal', "x".repeat(65), "short"]) {
      expect(await idFor(bad)).not.toBe(bad);
    }
  });

  it("leads from an answer of 500 to what went wrong", async () => {
    const server = await startTestServer();
    await server.ctx.db.close();
    const answer = await send(server, "GET", "/api/user/stacks");
    const id = answer.headers.get("x-pulumi-request-id");
    const error = linesOf(server).find((it) => it.reqId === id && "err" in it);
    expect(error).toMatchObject({ err: { message: expect.stringContaining("closed") } });
    expect(answer.text).not.toContain("closed"); // the details are the log's alone
  });
});

describe("the log", () => {
  it("tells of a save at debug, of one that was refused and of all else at info", async () => {
    const server = await startTestServer();
    const stack = await freshStack(server);
    const update = await stack.begin();
    const [saved, refused, completed] = [
      await update.journal([begun(1)]),
      await update.journal([begun(0)]),
      await update.complete(),
    ];
    expect([saved.status, refused.status, completed.status]).toEqual([204, 400, 204]);
    const levelOf = async ({ headers }: Answer) =>
      (await lineOf(server, headers.get("x-pulumi-request-id") ?? ""))?.level;
    expect(await levelOf(saved)).toBe(pino.levels.values.debug);
    expect(await levelOf(refused)).toBe(pino.levels.values.info);
    expect(await levelOf(completed)).toBe(pino.levels.values.info);
    expect(sumOf(await scrape(server), "statehouse_http_request_seconds_count", "journalentries")).toBe(2);
  });

  it("never has a token, a secret's plaintext or ciphertext, or a key in it", async () => {
    const server = await startTestServer({ env: { STATEHOUSE_METRICS_TOKEN: METRICS_TOKEN } });
    const secrets = new Map<string, string>([["the admin token", ADMIN_TOKEN]]);
    secrets.set(
      "the encryption key",
      (await readFile(join(server.dataDir, "encryption.key"), "utf8")).trim(),
    );
    secrets.set("the metrics token", METRICS_TOKEN);
    const made = await send(server, "POST", `${ADMIN}/tokens`, {
      name: "ci",
      organization: ORG,
      role: "member",
    });
    secrets.set("an access token", made.body.token);
    secrets.set("a wrong token", "sth_wrong_but_perhaps_mistyped");
    secrets.set("a token in a query", "sth_in_a_query");
    secrets.set("a plaintext", "hunter2-plain");
    secrets.set("a plaintext in base64", Buffer.from("hunter2-plain").toString("base64"));
    secrets.set("a configuration value", "hunter2-config");
    secrets.set("a state's property", "hunter2-state");
    secrets.set("an event", "hunter2-event");
    secrets.set("a body that is no JSON", "hunter2-broken");
    secrets.set("a body of the wrong type", "hunter2-type");
    const secret = { ...RESOURCE, outputs: { password: "hunter2-state" } };

    const token = made.body.token as string;
    const stack = await new StackClient(server, "shop", "dev", { token }).init();
    const plaintext = Buffer.from("hunter2-plain").toString("base64");
    const { ciphertext } = (await stack.send("POST", "/encrypt", { plaintext })).body;
    const batch = (await stack.send("POST", "/batch-encrypt", { plaintexts: [plaintext] })).body;
    secrets.set("a ciphertext", ciphertext);
    secrets.set("another ciphertext", batch.ciphertexts[0]);
    await stack.send("POST", "/decrypt", { ciphertext });
    await stack.send("POST", "/batch-decrypt", { ciphertexts: [ciphertext, ...batch.ciphertexts] });
    const damaged = `${ciphertext.slice(0, -8)}AAAAAAA=`;
    secrets.set("a damaged ciphertext", damaged);
    await stack.send("POST", "/decrypt", { ciphertext: damaged });
    await stack.send("POST", "/decrypt", { ciphertext: "hunter2-type" });
    await stack.send("POST", "/encrypt", { plaintext: { deep: "hunter2-type" } });
    await stack.send("POST", "/import", { version: 3, deployment: deployment(secret) });
    await stack.send("POST", "/import", {
      version: 3,
      deployment: deployment({ ...secret, parent: "none" }),
    });
    await stack.send("POST", "/import", { version: 3, deployment: { resources: "hunter2-type" } });
    await stack.send("POST", "/import", '{"version":3,"deployment":{"resources":[{"hunter2-broken');
    await stack.send("PATCH", "/tags", { owner: ["hunter2-type"] });
    const config = { "shop:password": { string: "hunter2-config", secret: true } };
    const created = await stack.send("POST", "/update", { config, options: {}, metadata: {} });
    const started = await stack.start(created.body.updateID);
    secrets.set("a lease token", started.body.token);
    const lease = (method: string, path: string, body: unknown) =>
      stack.send(method, `/update/${created.body.updateID}${path}`, body, {
        lease: started.body.token,
        gzip: true,
      });
    await lease("PATCH", "/journalentries", { entries: [begun(1, secret)] });
    await lease("PATCH", "/journalentries", { entries: [{ ...begun(2, secret), kind: 99 }] });
    await lease("PATCH", "/journalentries", '{"entries":[{"hunter2-broken":');
    await lease("PATCH", "/checkpoint", { version: 3, deployment: deployment(secret) });
    await lease("PATCH", "/checkpoint", { version: 3, deployment: "hunter2-type" });
    const event = { sequence: 0, timestamp: 1, stdoutEvent: { message: "hunter2-event" } };
    await lease("POST", "/events/batch", { events: [event, { sequence: "hunter2-type" }] });
    await lease("POST", "/events/batch", { events: [event] });
    await lease("POST", "/complete", { status: "succeeded" });
    await send(server, "GET", "/api/user", undefined, { token: "sth_wrong_but_perhaps_mistyped" });
    await send(server, "GET", "/api/user?access_token=sth_in_a_query", undefined, { token: null });
    await send(server, "POST", `${ADMIN}/tokens`, {
      name: "x",
      user: "hunter2-type ",
      role: ["hunter2-type"],
    });
    const authorization = `Bearer ${METRICS_TOKEN}`;
    await send(server, "GET", "/metrics", undefined, { token: null, headers: { authorization } });
    await server.ctx.db.close(); // from here on everything fails, and errors are logged with their causes
    await stack.send("POST", "/decrypt", { ciphertext });
    await stack.send("POST", "/import", { version: 3, deployment: deployment(secret) });
    await lease("PATCH", "/journalentries", { entries: [begun(3, secret)] });
    await send(server, "POST", `${ADMIN}/tokens`, { name: "ci", organization: ORG, role: "member" });
    await server.stop();

    const log = server.logLines.join("");
    expect(server.logLines.length).toBeGreaterThan(40);
    const leaked = [...secrets].filter(([, value]) => log.includes(value)).map(([what]) => what);
    expect(leaked).toEqual([]);
    expect([...secrets.values()].every((it) => it.length > 8)).toBe(true);
  });
});

describe("failed sign-ins", () => {
  const signIn = async (server: TestServer, token: string, from?: string) => {
    const headers = from === undefined ? {} : { "x-forwarded-for": from };
    const { status, headers: answered } = await send(server, "GET", "/api/user", undefined, {
      token,
      headers,
    });
    return { status, retryAfter: answered.get("retry-after") };
  };

  async function startGuarded(env: Readonly<Record<string, string>> = {}) {
    const clock = { nowMs: Date.now() };
    const all = { STATEHOUSE_AUTH_FAILURES_PER_MINUTE: "3", ...env };
    return { clock, server: await startTestServer({ env: all, nowMs: () => clock.nowMs }) };
  }

  it("make an address wait out the minute", async () => {
    const { server, clock } = await startGuarded();
    for (const guess of ["one", "two", "three"]) expect((await signIn(server, guess)).status).toBe(401);
    clock.nowMs += 20_000;
    expect(await signIn(server, "four")).toEqual({ status: 429, retryAfter: "40" });
    clock.nowMs += 39_000;
    expect((await signIn(server, "four")).status).toBe(429);
    clock.nowMs += 2_000;
    expect((await signIn(server, "four")).status).toBe(401);
  });

  it("don't shut out who was signed in already, the administrator included", async () => {
    const { server } = await startGuarded();
    const { body } = await send(server, "POST", `${ADMIN}/tokens`, {
      name: "ci",
      organization: ORG,
      role: "viewer",
    });
    expect((await signIn(server, body.token)).status).toBe(200);
    for (let guess = 0; guess < 10; guess++) await signIn(server, `guess-${guess}`);
    expect((await signIn(server, "another")).status).toBe(429);
    expect((await signIn(server, body.token)).status).toBe(200);
    expect((await signIn(server, ADMIN_TOKEN)).status).toBe(200);
  });

  it("don't let a guess through that happens to be right, before the minute is over", async () => {
    const { server } = await startGuarded();
    for (let guess = 0; guess < 5; guess++) await signIn(server, `guess-${guess}`);
    expect((await signIn(server, ADMIN_TOKEN)).status).toBe(429);
  });

  it("are wrong lease tokens as well, and leases that were granted go on", async () => {
    const { server } = await startGuarded();
    const stack = await freshStack(server);
    const update = await stack.begin();
    const id = await stack.create();
    const renew = async (token: string, updateId = update.id) =>
      (await stack.send("POST", `/update/${updateId}/renew_lease`, { duration: 60 }, { lease: token }))
        .status;
    for (const updateId of [update.id, update.id, "0000-no-such-update"])
      expect(await renew("lease_guess", updateId)).toBe(403);
    expect(await renew("lease_guess")).toBe(429);
    expect((await signIn(server, "guess")).status).toBe(429);
    expect(await renew(update.token)).toBe(200);
    await update.complete();
    // Of an update that was started only now, by somebody who was signed in before.
    const { body } = await stack.start(id);
    expect(await renew(String(body.token), id)).toBe(200);
  });

  it("are not those whose lease has ended", async () => {
    const { server } = await startGuarded();
    const stack = await freshStack(server);
    const update = await stack.begin();
    await update.cancel();
    for (let i = 0; i < 6; i++) {
      const answer = await update.send("POST", "/renew_lease", { duration: 60 });
      expect(answer.status).toBe(403);
    }
    expect((await signIn(server, ADMIN_TOKEN)).status).toBe(200);
  });

  it("are wrong metrics tokens as well, and the right one goes on", async () => {
    const { server } = await startGuarded({ STATEHOUSE_METRICS_TOKEN: METRICS_TOKEN });
    const scrape = async (token: string) =>
      (await send(server, "GET", "/metrics", undefined, { token })).status;
    expect(await scrape(METRICS_TOKEN)).toBe(200);
    for (let guess = 0; guess < 3; guess++) expect(await scrape(`guess-${guess}`)).toBe(401);
    expect(await scrape("guess-3")).toBe(429);
    expect(await scrape(METRICS_TOKEN)).toBe(200);
  });

  it("are counted for each address behind a trusted proxy, and can't be blamed on others without one", async () => {
    const { server } = await startGuarded({ STATEHOUSE_TRUSTED_PROXY_HOPS: "1" });
    for (let guess = 0; guess < 4; guess++) await signIn(server, `guess-${guess}`, "203.0.113.7");
    expect((await signIn(server, "again", "203.0.113.7")).status).toBe(429);
    expect((await signIn(server, "again", "203.0.113.8")).status).toBe(401);
    const { server: direct } = await startGuarded();
    for (let guess = 0; guess < 4; guess++) await signIn(direct, `guess-${guess}`, `203.0.113.${guess}`);
    expect((await signIn(direct, "again", "203.0.113.99")).status).toBe(429);
  });
});

interface Span {
  readonly traceId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly attributes: readonly { key: string; value: { stringValue?: string; intValue?: number } }[];
  readonly status: { code: number };
}

/** What an OpenTelemetry collector is sent. */
async function startCollector(): Promise<{ url: string; spans: Span[]; paths: string[]; raw: () => string }> {
  const spans: Span[] = [];
  const paths: string[] = [];
  let all = "";
  const collector = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    all += text;
    paths.push(req.url ?? "");
    const { resourceSpans } = JSON.parse(text) as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] };
    spans.push(...resourceSpans.flatMap((it) => it.scopeSpans).flatMap((it) => it.spans));
    res.setHeader("content-type", "application/json").end("{}");
  });
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void collector.close());
  const { port } = collector.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, spans, paths, raw: () => all };
}

describe("traces", () => {
  it("go to the collector that is set, as parts of the caller's own", async () => {
    const collector = await startCollector();
    const server = await startTestServer({ env: { STATEHOUSE_OTLP_ENDPOINT: collector.url } });
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01` };
    await send(server, "GET", `/api/stacks/${ORG}/shop/none`, undefined, { headers });
    await server.ctx.db.close();
    await send(server, "GET", "/api/user/stacks?access_token=hidden-in-a-query");
    await server.stop(); // sends what still waits
    expect(new Set(collector.paths)).toEqual(new Set(["/v1/traces"]));
    const found = collector.spans.find((it) => it.traceId === traceId);
    expect(found).toMatchObject({
      name: "GET /api/stacks/:org/:project/:stack",
      parentSpanId: "b7ad6b7169203331",
      attributes: expect.arrayContaining([
        { key: "http.response.status_code", value: { intValue: 404 } },
        { key: "http.request.method", value: { stringValue: "GET" } },
      ]),
    });
    const failed = collector.spans.find((it) => it.name === "GET /api/user/stacks");
    expect(failed).toMatchObject({ status: { code: 2 } });
    for (const secret of [ADMIN_TOKEN, "hidden-in-a-query"]) expect(collector.raw()).not.toContain(secret);
  });

  it("are not missed: a collector that is away costs nothing but the traces", async () => {
    const server = await startTestServer({ env: { STATEHOUSE_OTLP_ENDPOINT: "http://127.0.0.1:9" } });
    expect(await send(server, "GET", "/api/user")).toMatchObject({ status: 200 });
    const startedMs = performance.now();
    await server.stop();
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });
});

describe("a client that takes its time", () => {
  const HEAD = `POST /api/stacks/${ORG}/shop HTTP/1.1\r\nhost: x\r\nauthorization: token ${ADMIN_TOKEN}\r\n`;

  it.each([
    { what: "its headers", start: "GET /api/user HTTP/1.1\r\nx-slow: ", rest: "a" },
    { what: "its body", start: `${HEAD}content-length: 100000\r\n\r\n`, rest: " " },
    { what: "a chunked body", start: `${HEAD}transfer-encoding: chunked\r\n\r\n`, rest: "1\r\n \r\n" },
  ])("with $what is cut off, and told why", async ({ start, rest }) => {
    const server = await startTestServer({ env: { STATEHOUSE_REQUEST_TIMEOUT_SECONDS: "1" } });
    const client = new RawClient(server.url).write(start).drip(rest, 50);
    expect(await client.closed).toBeLessThan(5_000);
    expect(client.status).toBe(408);
    expect(client.body).toEqual({ code: 408, message: "The request took too long to arrive" });
    expect(await send(server, "GET", "/livez")).toMatchObject({ status: 200 });
  });

  it("and says nothing at all is cut off, too", async () => {
    const server = await startTestServer({ env: { STATEHOUSE_REQUEST_TIMEOUT_SECONDS: "1" } });
    expect(await new RawClient(server.url).closed).toBeLessThan(5_000);
  });

  it("does not hold up the others, however many of them there are", async () => {
    const server = await startTestServer({ env: { STATEHOUSE_REQUEST_TIMEOUT_SECONDS: "2" } });
    const slow = Array.from({ length: 200 }, () =>
      new RawClient(server.url).write(`${HEAD}content-length: 9\r\n\r\n`),
    );
    const startedMs = performance.now();
    expect(await send(server, "GET", "/api/user")).toMatchObject({ status: 200 });
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    for (const time of await Promise.all(slow.map((it) => it.closed))) expect(time).toBeLessThan(6_000);
  });

  it.each([
    { what: "what is no HTTP", bytes: "\x16\x03\x01\x02 hello\r\n\r\n" },
    { what: "headers without end", bytes: `GET / HTTP/1.1\r\nx: ${"x".repeat(200_000)}\r\n\r\n` },
  ])("or sends $what gets an answer in the protocol's shape", async ({ bytes }) => {
    const server = await startTestServer();
    const client = new RawClient(server.url).write(bytes);
    expect(await client.closed).toBeLessThan(5_000);
    expect(client.status).toBe(400);
    expect(client.body).toMatchObject({
      code: 400,
      message: expect.stringContaining("The request is not valid"),
    });
  });
});

/** The answer, and the connection it came over. */
function ask(agent: Agent, url: string): Promise<{ answer: IncomingMessage; localPort: number }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `token ${ADMIN_TOKEN}` };
    const call = get(url, { agent, headers }, (answer) => {
      const localPort = answer.socket.localPort ?? 0;
      answer.resume().once("end", () => resolve({ answer, localPort }));
    });
    call.once("error", reject);
  });
}

describe("a stop", () => {
  it("lets go of the data folder even when the database fails", async () => {
    const server = await startTestServer();
    const made = await send(server, "POST", `${ADMIN}/tokens`, {
      name: "ci",
      organization: ORG,
      role: "viewer",
    });
    await send(server, "GET", "/api/user", undefined, { token: made.body.token });
    await server.ctx.db.close(); // when that token was used can't be stored any more
    await server.stop();
    const record = JSON.parse(await readFile(join(server.dataDir, "instance.json"), "utf8"));
    expect(record.releasedMs).toBeGreaterThan(0);
  });
});

describe("a connection", () => {
  it("is kept between requests, refused ones included", async () => {
    const server = await startTestServer();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number>();
    for (const path of ["/api/user", "/nowhere", `/api/stacks/${ORG}/shop/none`, "/livez"]) {
      const { answer, localPort } = await ask(agent, `${server.url}${path}`);
      expect(answer.headers["keep-alive"]).toBe("timeout=75"); // longer than a balancer's minute
      ports.add(localPort);
    }
    expect(ports.size).toBe(1);
    agent.destroy();
  });

  it("ends with a refusal that came before the whole body", async () => {
    const server = await startTestServer({ env: { STATEHOUSE_JSON_BYTES_MAX: "1024" } });
    const head = `PATCH /api/stacks/${ORG}/shop/dev/tags HTTP/1.1\r\nhost: x\r\nauthorization: token ${ADMIN_TOKEN}\r\n`;
    const client = new RawClient(server.url).write(`${head}content-length: 5000\r\n\r\n{"a":`);
    expect(await client.closed).toBeLessThan(5_000);
    expect(client.status).toBe(413);
    expect(client.received).toMatch(/\r\nconnection: close\r\n/i);
  });

  it("is told to end by the last answer before a stop, and new ones are refused", async () => {
    const server = await startTestServer();
    const agent = new Agent({ keepAlive: true });
    const idle = await ask(agent, `${server.url}/livez`);
    expect(idle.answer.statusCode).toBe(200);
    const body = JSON.stringify({ stackName: "late" });
    const head = `POST /api/stacks/${ORG}/shop HTTP/1.1\r\nhost: x\r\nauthorization: token ${ADMIN_TOKEN}\r\n`;
    const upload = new RawClient(server.url).write(
      `${head}content-length: ${body.length}\r\n\r\n${body.slice(0, 5)}`,
    );
    await sleep(100);
    const startedMs = performance.now();
    const stopped = server.stop();
    await sleep(200);
    await expect(fetch(`${server.url}/livez`)).rejects.toThrow("fetch failed");
    upload.write(body.slice(5));
    await upload.closed;
    expect(upload.status).toBe(200);
    await stopped;
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    agent.destroy();
    const again = await startTestServer({ dataDir: server.dataDir });
    expect(await new StackClient(again, "shop", "late").send("GET", "")).toMatchObject({ status: 200 });
  });
});

/** Whatever comes in: a 4xx in the protocol's shape, promptly, and the server goes on. */
import { once } from "node:events";
import { type AddressInfo, connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import express from "express";
import { describe, expect, it, onTestFinished } from "vitest";
import type { InstanceStatus } from "../../server/admin/deps.ts";
import { allRoutes } from "../../server/app.ts";
import type { Route } from "../../server/http/route.ts";
import { answerUnread } from "../../server/http/unread.ts";
import { type Answer, type StackClient, send, sendBytes, type UpdateClient } from "../support/client.ts";
import { documentOf, entry, freshStack, KIND, resource, upEntries } from "../support/journal.ts";
import { ADMIN_TOKEN, ORG, shareTestServer, startTestServer } from "../support/server.ts";

const server = shareTestServer();

/** `S` and `U` of a running update, and calls that read a body. */
interface Target {
  readonly stack: StackClient;
  readonly update: UpdateClient;
}

async function makeTarget(): Promise<Target> {
  const stack = await freshStack(server());
  return { stack, update: await stack.begin() };
}

function expectRefusal(answer: Answer, label: string): void {
  expect(answer.status, `${label}: ${answer.text.slice(0, 200)}`).toBeGreaterThanOrEqual(400);
  expect(answer.status, `${label}: ${answer.text.slice(0, 200)}`).toBeLessThan(500);
  expect(answer.body, label).toEqual({ code: answer.status, message: expect.stringMatching(/./) });
}

const PULUMI_ROUTES = allRoutes({ isDraining: false, isStorageInDoubt: false }, {} as InstanceStatus).filter(
  ({ path }) => path.startsWith("/api/") && !/^\/api\/(admin|artifacts)/.test(path),
);

/** A body means nothing to them. */
const BODYLESS = /\/cancel$/;
const readsBody = ({ method, path }: Route) =>
  (method === "post" || method === "patch" || method === "put") && !BODYLESS.test(path);

function pathFor(route: Route, { stack, update }: Target): string {
  return route.path
    .replace(":org", stack.org)
    .replace(":project", stack.project)
    .replace(":stack", stack.stack)
    .replace(":updateId", update.id)
    .replace(":version", "1");
}

function sendTo(
  route: Route,
  target: Target,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const lease = route.requirement.kind === "lease" ? { lease: target.update.token } : {};
  return send(server(), route.method.toUpperCase(), pathFor(route, target), body, { ...lease, headers });
}

const deep = (depth: number) => `{"a":${"[".repeat(depth)}${"]".repeat(depth)}}`;

/** Bodies that are wrong for every call that reads one. */
const WRONG_EVERYWHERE: readonly {
  what: string;
  body: string | Uint8Array;
  headers?: Record<string, string>;
}[] = [
  { what: "a list", body: "[]" },
  { what: "text", body: '"x"' },
  { what: "a number", body: "7" },
  { what: "a truth value", body: "true" },
  { what: "an object cut off", body: '{"a":' },
  { what: "no JSON", body: "hello" },
  { what: "a NUL", body: "\u0000" },
  { what: "bytes that are no UTF-8", body: Buffer.from([0x7b, 0xff, 0xfe, 0x7d]) },
  { what: "two documents", body: "{}{}" },
  { what: "nesting without end", body: deep(100_000) },
  { what: "openings without end", body: "[".repeat(500_000) },
  { what: "gzip that is none", body: "{}", headers: { "content-encoding": "gzip" } },
  {
    what: "gzip cut off",
    body: gzipSync(Buffer.from(deep(3))).subarray(0, 15),
    headers: { "content-encoding": "gzip" },
  },
  {
    what: "gzip with rubbish behind it",
    body: Buffer.concat([gzipSync("[]"), Buffer.from("rubbish")]),
    headers: { "content-encoding": "gzip" },
  },
  { what: "another encoding", body: "{}", headers: { "content-encoding": "br" } },
];

describe("a wrong body", () => {
  it("is looked for on every route that reads one", () => {
    expect(PULUMI_ROUTES.filter(readsBody).length).toBeGreaterThan(50);
  });

  it.each(WRONG_EVERYWHERE)("is refused by every route: $what", async ({ body, headers }) => {
    const target = await makeTarget();
    const startedMs = performance.now();
    for (const route of PULUMI_ROUTES.filter(readsBody)) {
      expectRefusal(await sendTo(route, target, body, headers), `${route.method} ${route.path}`);
    }
    expect(performance.now() - startedMs).toBeLessThan(20_000);
    // None of it had an effect: the update still runs and ends well.
    expect(await target.update.complete()).toMatchObject({ status: 204 });
  });

  it("does no harm to calls that read none", async () => {
    const stack = await freshStack(server());
    for (const body of ["[]", '{"a":', "\u0000"]) {
      const update = await stack.begin();
      const answer = await stack.send("POST", `/update/${update.id}/cancel`, body);
      expect(answer).toMatchObject({ status: 204 });
    }
    expect(await stack.send("DELETE", "?force=false", "{")).toMatchObject({ status: 204 });
  });
});

describe("names that a body makes up", () => {
  const long = "n".repeat(400_000);
  it.each([
    { what: "a member", path: "/encrypt", body: { [long]: 1, plaintext: 7 } },
    { what: "a tag", path: "/update/U", body: { tags: { [long]: 7 } } },
    { what: "a key of the configuration", path: "/update", body: { config: { [long]: { string: 7 } } } },
  ])("come back short in the refusal: $what", async ({ path, body }) => {
    const { stack } = await makeTarget();
    const answer = await stack.send("POST", path.replace("/U", `/${await stack.create()}`), body);
    expectRefusal(answer, path);
    expect(answer.text.length).toBeLessThan(1_500);
  });
});

/** Members of the wrong type, where the call knows them. */
const WRONG_TYPES: readonly {
  method?: string;
  path: string;
  lease?: true;
  member: string;
  values: readonly unknown[];
}[] = [
  { path: "/encrypt", member: "plaintext", values: [7, true, [], {}] },
  { path: "/decrypt", member: "ciphertext", values: [7, true, [], {}] },
  { path: "/batch-encrypt", member: "plaintexts", values: [7, "x", {}, [7], [{}]] },
  { path: "/batch-decrypt", member: "ciphertexts", values: [7, "x", {}, [7], [null]] },
  { path: "/rename", member: "newName", values: [7, true, [], {}] },
  { path: "/rename", member: "newProject", values: [7, true, [], {}] },
  { path: "/decrypt/log-decryption", member: "secretName", values: [7, [], {}, "x".repeat(2000)] },
  { path: "/update", member: "options", values: [7, "x", [], { dryRun: "yes" }, { dryRun: 1 }] },
  {
    path: "/update",
    member: "config",
    values: [7, "x", [], { k: 7 }, { k: { secret: "yes" } }, { k: { string: 7 } }],
  },
  {
    path: "/update",
    member: "metadata",
    values: [7, "x", [], { message: 7 }, { environment: { a: 7 } }, { environment: [] }],
  },
  { path: "/update/U", member: "tags", values: [7, "x", [], { a: 7 }, { "a b": "x" }] },
  { path: "/update/U", member: "journalVersion", values: ["1", 1.5, -1, [], {}] },
  { path: "/update/U/renew_lease", lease: true, member: "duration", values: ["300", 1.5, [], {}, 1e300] },
  { path: "/update/U/complete", lease: true, member: "status", values: [7, "running", "", null, [], {}] },
  {
    path: "/update/U/events/batch",
    lease: true,
    member: "events",
    values: [7, "x", {}, [7], [{}], [{ sequence: "0", timestamp: 1 }]],
  },
  {
    method: "PATCH",
    path: "/update/U/journalentries",
    lease: true,
    member: "entries",
    values: [7, "x", {}, [7], [{}], [[]]],
  },
  { method: "PATCH", path: "/update/U/checkpoint", lease: true, member: "deployment", values: [7, "x", []] },
  {
    method: "PATCH",
    path: "/update/U/checkpointverbatim",
    lease: true,
    member: "untypedDeployment",
    values: [7, "x", [], {}],
  },
  {
    method: "PATCH",
    path: "/update/U/checkpointdelta",
    lease: true,
    member: "deploymentDelta",
    values: [7, "x", {}, [7]],
  },
];

describe("a member of the wrong type", () => {
  it.each(WRONG_TYPES)(
    "is refused: $member of $path",
    async ({ method = "POST", path, lease, member, values }) => {
      const target = await makeTarget();
      const url = path.replace("U", target.update.id);
      for (const value of values) {
        const body = { [member]: value };
        const answer = lease
          ? await target.stack.send(method, url, body, { lease: target.update.token })
          : await target.stack.send(method, url, body);
        expectRefusal(answer, JSON.stringify(body).slice(0, 100));
        expect(answer.status).toBe(400);
      }
    },
  );
});

/** A gzip body of many members that inflates to `megabytes` of the same byte. */
function bomb(megabytes: number, byte: string, head = ""): Buffer {
  const member = gzipSync(Buffer.alloc(1024 * 1024, byte), { level: 9 });
  return Buffer.concat([gzipSync(head), ...Array.from({ length: megabytes }, () => member)]);
}

/** How far the process grows while `work` runs. */
async function growthBytes(work: () => Promise<void>): Promise<number> {
  const before = process.memoryUsage.rss();
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 5);
  await work();
  clearInterval(timer);
  return Math.max(peak, process.memoryUsage.rss()) - before;
}

const MIB = 1024 ** 2;
const CRLF = Buffer.from("\r\n");

/** Sends all that it has before it reads a byte, as simple clients do. */
class WriteFirstClient {
  readonly #socket: Socket;

  static async open(url: string): Promise<WriteFirstClient> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await once(socket, "connect");
    return new WriteFirstClient(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket.pause();
    socket.on("error", () => undefined); // told to whoever writes
  }

  /** Rejects when the other side doesn't take it any more. */
  write(bytes: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  async read(): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.#socket) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString("latin1");
  }
}

describe("a body that is too large", () => {
  it("as a bomb of a gigabyte is refused with 413 by every route that holds its body", {
    timeout: 60_000,
  }, async () => {
    const target = await makeTarget();
    const zeros = bomb(1024, "\0");
    expect(zeros.byteLength).toBeLessThan(2 * MIB);
    const streamed = /\/(import|checkpoint|checkpointverbatim)$/;
    const isOfUpdate = (path: string) => path.includes("/update/:updateId") || !path.includes(":updateId");
    const routes = PULUMI_ROUTES.filter(
      (it) => readsBody(it) && !streamed.test(it.path) && isOfUpdate(it.path),
    );
    expect(routes.length).toBeGreaterThan(15);
    for (const route of routes) {
      const startedMs = performance.now();
      let answer: Answer | undefined;
      const growth = await growthBytes(async () => {
        answer = await sendTo(route, target, zeros, { "content-encoding": "gzip" });
      });
      const label = `${route.path}: ${Math.round(growth / MIB)} MiB, ${Math.round(performance.now() - startedMs)} ms`;
      expect(answer?.status, label).toBe(413);
      expect(answer?.body, label).toEqual({ code: 413, message: expect.any(String) });
      // batch-encrypt holds 192 MiB for the CLI's batches of 100 MB; nothing may hold more than its limit.
      expect(growth, label).toBeLessThan(/crypt$/.test(route.path) ? 450 * MIB : 200 * MIB);
      expect(performance.now() - startedMs, label).toBeLessThan(10_000);
    }
  });

  it("of zeros ends at the first of them where it is streamed", async () => {
    const { stack, update } = await makeTarget();
    const zeros = bomb(1024, "\0");
    const headers = { "content-encoding": "gzip" };
    const startedMs = performance.now();
    const growth = await growthBytes(async () => {
      for (const call of ["checkpoint", "checkpointverbatim"])
        expectRefusal(
          await stack.send("PATCH", `/update/${update.id}/${call}`, zeros, { headers, lease: update.token }),
          call,
        );
      await update.complete();
      expectRefusal(await stack.send("POST", "/import", zeros, { headers }), "import");
    });
    expect(performance.now() - startedMs).toBeLessThan(5000);
    expect(growth).toBeLessThan(100 * MIB);
  });

  it("of a gigabyte inside a document is cut off at the limit, in little memory", {
    timeout: 60_000,
  }, async () => {
    // A tenth of the default, which takes as many seconds more and no more memory.
    const env = { STATEHOUSE_CHECKPOINT_BYTES_MAX: String(50 * MIB) };
    const stack = await freshStack(await startTestServer({ env }));
    const document = bomb(1024, "a", '{"version":3,"deployment":{"resources":[{"outputs":{"x":"');
    let answer: Answer | undefined;
    const growth = await growthBytes(async () => {
      answer = await stack.send("POST", "/import", document, { headers: { "content-encoding": "gzip" } });
    });
    expect(answer).toMatchObject({ status: 413, body: { code: 413 } });
    expect(growth).toBeLessThan(100 * MIB);
    expect(await stack.history()).toEqual([]);
  });

  it("and announced as 600 MB is refused before any of it was sent", async () => {
    const running = await makeTarget();
    // While an update runs an import is refused for that reason already.
    const idle = { ...running, stack: await freshStack(server()) };
    const refuse = async (route: Route) => {
      const target = route.path.endsWith("/import") ? idle : running;
      const credential =
        route.requirement.kind === "lease" ? `update-token ${target.update.token}` : `token ${ADMIN_TOKEN}`;
      const head = [
        `${route.method.toUpperCase()} ${pathFor(route, target)} HTTP/1.1`,
        "Host: x",
        `Authorization: ${credential}`,
        "Content-Length: 600000000",
      ];
      const startedMs = performance.now();
      const text = await sendBytes(server(), `${head.join("\r\n")}\r\n\r\n`);
      expect(text, route.path).toMatch(/^HTTP\/1\.1 413 /);
      expect(text, route.path).toMatch(/\r\nconnection: close\r\n/i);
      expect(JSON.parse(text.slice(text.indexOf("\r\n\r\n")))).toMatchObject({ code: 413 });
      expect(performance.now() - startedMs).toBeLessThan(5000);
    };
    await Promise.all(PULUMI_ROUTES.filter(readsBody).map(refuse));
  });

  it.each([
    { how: "announced", head: `Content-Length: ${48 * MIB}` },
    { how: "in chunks, and found to be too large on the way", head: "Transfer-Encoding: chunked" },
  ])("and sent whole by a client that only then reads, $how, is dropped and answered", async ({ head }) => {
    const small = await startTestServer({ env: { STATEHOUSE_CHECKPOINT_BYTES_MAX: String(MIB) } });
    const stack = await freshStack(small);
    const start = [
      `POST ${stack.path}/import HTTP/1.1`,
      "Host: x",
      `Authorization: token ${ADMIN_TOKEN}`,
      head,
    ];
    const data = Buffer.alloc(MIB, " ");
    const chunk = head.startsWith("T") ? Buffer.concat([Buffer.from("100000\r\n"), data, CRLF]) : data;
    const client = await WriteFirstClient.open(small.url);
    const growth = await growthBytes(async () => {
      await client.write(`${start.join("\r\n")}\r\n\r\n`);
      for (let i = 0; i < 48; i++) await client.write(chunk);
      if (head.startsWith("T")) await client.write("0\r\n\r\n");
    });
    const text = await client.read();
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
    expect(text).toMatch(/\r\nconnection: close\r\n/i);
    expect(JSON.parse(text.slice(text.indexOf("\r\n\r\n")))).toMatchObject({ code: 413 });
    expect(growth).toBeLessThan(60 * MIB);
    const line = small.logLines.find((it) => it.includes('"path"') && it.includes("/import"));
    expect(JSON.parse(line ?? "{}")).toMatchObject({ status: 413, code: "BODY_TOO_LARGE" });
  });

  it("and never ends is cut off some time after the answer", async () => {
    const app = express();
    const bounds = { bytesMax: 8 * MIB, timeMs: 60_000, silenceMs: 60_000 };
    app.use((req, res) => answerUnread(req, res, 413, { code: 413, message: "no" }, bounds));
    const { promise: listening, resolve } = Promise.withResolvers<AddressInfo>();
    const http = app.listen(0, "127.0.0.1", () => resolve(http.address() as AddressInfo));
    onTestFinished(() => void http.close());
    const { port } = await listening;
    const client = await WriteFirstClient.open(`http://127.0.0.1:${port}`);
    await client.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n");
    const sendForever = async () => {
      for (;;) await client.write(Buffer.alloc(MIB));
    };
    await expect(sendForever()).rejects.toMatchObject({ code: expect.stringMatching(/EPIPE|ECONNRESET/) });
  });

  it("is read for nobody who doesn't even know an update", async () => {
    const { stack } = await makeTarget();
    const calls = ["journalentries", "events/batch", "checkpoint", "checkpointverbatim", "checkpointdelta"];
    const refuse = async (call: string) => {
      const method = call.startsWith("events") ? "POST" : "PATCH";
      const head = [
        `${method} ${stack.path}/update/no-such-update/${call} HTTP/1.1`,
        "Host: x",
        "Authorization: update-token made-up",
        "Content-Length: 10000000",
      ];
      const text = await sendBytes(server(), `${head.join("\r\n")}\r\n\r\n{"entries":[`);
      expect(text, call).toMatch(/^HTTP\/1\.1 403 /);
    };
    await Promise.all(calls.map(refuse));
  });

  it("is 413 at each route's own limit, so that the CLI splits a journal batch; its halves are taken", async () => {
    const small = await startTestServer({
      env: {
        STATEHOUSE_JOURNAL_BATCH_BYTES_MAX: "4096",
        STATEHOUSE_CHECKPOINT_BYTES_MAX: "65536",
        STATEHOUSE_EVENT_BATCH_BYTES_MAX: "4096",
        STATEHOUSE_SECRET_BATCH_BYTES_MAX: "4096",
        STATEHOUSE_JSON_BYTES_MAX: "4096",
      },
    });
    const stack = await freshStack(small);
    const update = await stack.begin();
    const entries = upEntries(
      stack,
      Array.from({ length: 20 }, (_, i) => `r${i}`),
    );
    const tooLarge = { status: 413, body: { code: 413 } };
    for (const gzip of [true, false]) {
      const batch = { entries: [...entries, entry(1000, KIND.begin, { x: "y".repeat(4096) })] };
      expect(await update.send("PATCH", "/journalentries", batch, { gzip })).toMatchObject(tooLarge);
    }
    for (let at = 0; at < entries.length; at += 5)
      expect(await update.journal(entries.slice(at, at + 5))).toMatchObject({ status: 204 });
    const large = documentOf([resource(stack, "a", { outputs: { x: "y".repeat(70_000) } })]);
    expect(await update.checkpoint(large.deployment)).toMatchObject(tooLarge);
    expect(await update.events([{ sequence: 0, timestamp: 1, x: "y".repeat(5000) }])).toMatchObject(tooLarge);
    await update.complete();
    expect((await stack.deployment()).deployment.resources).toHaveLength(21);
    expect(await stack.send("POST", "/import", large, { gzip: true })).toMatchObject(tooLarge);
    expect(await stack.send("POST", "/encrypt", { plaintext: "A".repeat(8000) })).toMatchObject(tooLarge);
    expect(await stack.send("PATCH", "/tags", { a: "x".repeat(8000) })).toMatchObject(tooLarge);
  });

  it("as a journal past its limit says so, and the update still ends with what it had", async () => {
    const env = { STATEHOUSE_JOURNAL_BATCH_BYTES_MAX: "65536", STATEHOUSE_JOURNAL_BYTES_MAX: "65536" };
    const stack = await freshStack(await startTestServer({ env }));
    const update = await stack.begin();
    const noise = () => [...crypto.getRandomValues(new Uint8Array(20_000))].join("");
    await update.journal(upEntries(stack, ["a"]));
    const statuses: number[] = [];
    for (let i = 0; i < 8; i++) {
      const batch = [entry(100 + i, KIND.begin, { operationID: 50 + i, x: noise().slice(0, 50_000) })];
      statuses.push((await update.journal(batch)).status);
    }
    expect(new Set(statuses)).toEqual(new Set([204, 400]));
    expect(await update.complete("failed")).toMatchObject({ status: 204 });
    expect((await stack.deployment()).deployment.resources).toHaveLength(2);
  });
});

describe("a path that is not what it seems", () => {
  const auth = `Authorization: token ${ADMIN_TOKEN}`;
  const raw = (line: string, ...headers: string[]) =>
    sendBytes(
      server(),
      [`${line} HTTP/1.1`, "Host: x", "Connection: close", ...headers, "", ""].join("\r\n"),
    );

  it.each([
    `/api/stacks/${ORG}/..`,
    `/api/stacks/${ORG}/../${ORG}`,
    `/api/stacks/${ORG}/shop/..`,
    `/api/stacks/${ORG}/shop/../export`,
    `/api/stacks/${ORG}/../../../etc/passwd`,
    `/api/stacks/${ORG}/%2e%2e/dev`,
    `/api/stacks/${ORG}/shop/%2e%2e`,
    `/api/stacks/${ORG}/shop/%2e%2e%2f%2e%2e%2fx`,
    `/api/stacks/${ORG}/shop/..%2f..%2fblobs`,
    `/api/stacks/${ORG}/shop/..%5c..%5cblobs`,
    `/api/stacks/${ORG}/shop/%00`,
    `/api/stacks/${ORG}/shop/dev%00.json`,
    `/api/stacks/${ORG}/shop/%0d%0aSet-Cookie:x=1`,
    `/api/stacks/${ORG}/shop/%zz`,
    `/api/stacks/${ORG}/shop/%`,
    `/api/stacks/${ORG}/shop/%ff%fe`,
    `/api/stacks/${ORG}/shop/dev/update/..%2f..`,
    `/api/stacks/${ORG}/shop/dev/update/%2e%2e/events`,
    `/api/stacks/${ORG}/shop/${"x".repeat(5000)}`,
    `/api/stacks/%2e%2e/shop/dev`,
    "/../../etc/passwd",
    "//api/user/..",
    "/api/orgs/..%2f../members",
  ])("is refused in the protocol's shape: %s", async (path) => {
    const text = await raw(`GET ${path}`, auth);
    expect(text).toMatch(/^HTTP\/1\.1 40[04] /);
    const [head = "", body = ""] = text.split("\r\n\r\n");
    expect(JSON.parse(body)).toEqual({ code: Number(head.slice(9, 12)), message: expect.any(String) });
    expect(head).not.toMatch(/set-cookie/i);
  });

  it.each([
    { what: "two credentials", headers: [auth, "Authorization: token other"], status: /200|40\d/ },
    { what: "a credential of 10 kB", headers: [`Authorization: token ${"x".repeat(10_000)}`], status: /401/ },
    {
      what: "a credential with control characters",
      headers: ["Authorization: token a\u0001b"],
      status: /40[01]/,
    },
    { what: "headers of 100 kB", headers: [auth, `X-A: ${"x".repeat(100_000)}`], status: /4\d\d/ },
    {
      what: "5,000 headers",
      headers: [auth, ...Array.from({ length: 5000 }, (_, i) => `X-${i}: 1`)],
      status: /4\d\d/,
    },
    {
      what: "both ways to say a length",
      headers: [auth, "Content-Length: 5", "Transfer-Encoding: chunked"],
      status: /400/,
    },
    { what: "two lengths", headers: [auth, "Content-Length: 5", "Content-Length: 6"], status: /400/ },
    { what: "a negative length", headers: [auth, "Content-Length: -1"], status: /400/ },
    {
      what: "an encoding twice",
      headers: [auth, "Content-Encoding: gzip", "Content-Encoding: gzip", "Content-Length: 0"],
      status: /200|4\d\d/,
    },
    { what: "a header without a name", headers: [auth, ": x"], status: /400/ },
  ])("with $what the server keeps its head", async ({ headers, status }) => {
    const text = await raw("GET /api/user", ...headers);
    const [head = "", body = ""] = text.split("\r\n\r\n");
    expect(head.slice(9, 12)).toMatch(status);
    expect(head).toMatch(/content-type: application\/json/i);
    expect(JSON.parse(body)).toBeTypeOf("object");
    expect(await send(server(), "GET", "/livez")).toMatchObject({ status: 200 });
  });

  it("with a query of nonsense is answered all the same", async () => {
    const stack = await freshStack(server());
    for (const query of [
      "?%zz",
      "?=&=&&",
      "?__proto__[x]=1&constructor=2",
      `?a=${"x".repeat(8000)}`,
      "?continuationToken[]=1",
    ]) {
      for (const path of [`${stack.path}/export${query}`, `/api/user/stacks${query}`]) {
        const { status } = await send(server(), "GET", path);
        expect(status, path.slice(0, 80)).toBeLessThan(500);
      }
    }
    for (const query of [
      "continuationToken=../..",
      "continuationToken=%00",
      `continuationToken=${"a".repeat(700)}`,
      "organization=a&organization=b",
    ])
      expectRefusal(await send(server(), "GET", `/api/user/stacks?${query}`), query);
  });

  it("that breaks off in the middle of its body harms nobody", async () => {
    const { stack, update } = await makeTarget();
    for (const [method, call] of [
      ["PATCH", "journalentries"],
      ["PATCH", "checkpoint"],
      ["POST", "events/batch"],
      ["POST", "complete"],
    ] as const) {
      const head = [
        `${method} ${stack.path}/update/${update.id}/${call} HTTP/1.1`,
        "Host: x",
        `Authorization: update-token ${update.token}`,
        "Content-Length: 1000",
      ];
      await sendBytes(server(), `${head.join("\r\n")}\r\n\r\n{"entries":[`, { end: true });
    }
    expect(await update.journal(upEntries(stack, ["a"]))).toMatchObject({ status: 204 });
    expect(await update.complete()).toMatchObject({ status: 204 });
    expect((await stack.deployment()).deployment.resources).toHaveLength(2);
  });
});

import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type StackClient, send, sendRaw, USER_AGENT } from "../support/client.ts";
import { documentOf, freshStack, resource, upEntries } from "../support/journal.ts";
import { ADMIN_TOKEN, ORG, shareTestServer } from "../support/server.ts";

const server = shareTestServer({ env: { STATEHOUSE_DELTA_CHECKPOINTS: "true" } });

const API = { authorization: `token ${ADMIN_TOKEN}` };

interface Call {
  readonly what: string;
  readonly method?: string;
  readonly path: (stack: StackClient) => string;
  readonly body: (stack: StackClient) => unknown;
}

const inStack = (path: string) => (stack: StackClient) => `${stack.path}${path}`;

/** Calls with a body that take an API token. */
const API_CALLS: readonly Call[] = [
  {
    what: "create stack",
    path: () => `/api/stacks/${ORG}/made`,
    body: ({ stack }) => ({ stackName: stack }),
  },
  { what: "import", path: inStack("/import"), body: () => documentOf([]) },
  { what: "encrypt", path: inStack("/encrypt"), body: () => ({ plaintext: "aGk=" }) },
  { what: "batch-encrypt", path: inStack("/batch-encrypt"), body: () => ({ plaintexts: ["aGk="] }) },
  { what: "batch-decrypt", path: inStack("/batch-decrypt"), body: () => ({ ciphertexts: [] }) },
  { what: "log-decryption", path: inStack("/decrypt/log-decryption"), body: () => ({ secretName: "x" }) },
  { what: "tags", method: "PATCH", path: inStack("/tags"), body: () => ({ a: "1" }) },
  { what: "rename", path: inStack("/rename"), body: ({ stack }) => ({ newName: `${stack}-new` }) },
  { what: "create update", path: inStack("/update"), body: () => ({ options: { dryRun: false } }) },
  { what: "create preview", path: inStack("/preview"), body: () => ({}) },
];

const patch = "PATCH";
const verbatim = (): unknown => ({ version: 3, untypedDeployment: documentOf([]), sequenceNumber: 1 });
/** Calls of a running update. */
const LEASE_CALLS: readonly Call[] = [
  {
    what: "journalentries",
    method: patch,
    path: () => "/journalentries",
    body: (s) => ({ entries: upEntries(s) }),
  },
  {
    what: "checkpoint",
    method: patch,
    path: () => "/checkpoint",
    body: () => ({ version: 3, deployment: {} }),
  },
  { what: "checkpointverbatim", method: patch, path: () => "/checkpointverbatim", body: verbatim },
  {
    what: "events/batch",
    path: () => "/events/batch",
    body: () => ({ events: [{ sequence: 0, timestamp: 1 }] }),
  },
  { what: "renew_lease", path: () => "/renew_lease", body: () => ({ token: "", duration: 300 }) },
  { what: "complete", path: () => "/complete", body: () => ({ status: "succeeded" }) },
];

const ENCODINGS = [
  { encoding: "gzip", pack: (bytes: Buffer) => gzipSync(bytes) },
  { encoding: "x-gzip", pack: (bytes: Buffer) => gzipSync(bytes) },
  { encoding: "GZIP", pack: (bytes: Buffer) => gzipSync(bytes) },
  { encoding: "identity", pack: (bytes: Buffer) => bytes },
  { encoding: "", pack: (bytes: Buffer) => bytes },
];

describe("a request body", () => {
  const cross = (calls: readonly Call[]) =>
    calls.flatMap((call) => ENCODINGS.map((it) => ({ ...call, ...it, as: it.encoding || "plain" })));

  it.each(cross(API_CALLS))("may be $as: $what", async ({ method = "POST", path, body, encoding, pack }) => {
    const stack = await freshStack(server());
    const headers = { ...API, ...(encoding === "" ? {} : { "content-encoding": encoding }) };
    const bytes = pack(Buffer.from(JSON.stringify(body(stack))));
    const answer = await sendRaw(server(), method, path(stack), headers, bytes);
    expect(answer.status, answer.bytes.toString()).toBeLessThan(300);
  });

  it.each(cross(LEASE_CALLS))(
    "may be $as: $what",
    async ({ method = "POST", path, body, encoding, pack }) => {
      const stack = await freshStack(server());
      const update = await stack.begin();
      const headers = {
        authorization: `update-token ${update.token}`,
        ...(encoding === "" ? {} : { "content-encoding": encoding }),
      };
      const bytes = pack(Buffer.from(JSON.stringify(body(stack))));
      const url = `${stack.path}/update/${update.id}${path(stack)}`;
      const answer = await sendRaw(server(), method, url, headers, bytes);
      expect(answer.status, answer.bytes.toString()).toBeLessThan(300);
    },
  );

  it("may be large when inflated, and of several gzip members", async () => {
    const stack = await freshStack(server());
    const document = Buffer.from(
      JSON.stringify(documentOf([resource(stack, "a", { outputs: { x: "y".repeat(9e6) } })])),
    );
    const half = document.length >> 1;
    const members = Buffer.concat([gzipSync(document.subarray(0, half)), gzipSync(document.subarray(half))]);
    const headers = { ...API, "content-encoding": "gzip" };
    expect(await sendRaw(server(), "POST", `${stack.path}/import`, headers, members)).toMatchObject({
      status: 200,
    });
    expect((await stack.send("GET", "/export")).text).toBe(document.toString());
  });

  it.each(["br", "deflate", "zstd", "gzip, gzip", "x"])("in %s is refused", async (encoding) => {
    const stack = await freshStack(server());
    const headers = { "content-encoding": encoding };
    const answer = await stack.send("POST", "/encrypt", { plaintext: "" }, { headers });
    expect(answer).toMatchObject({ status: 415, body: { code: 415 } });
  });

  it("needs no content type, or may have an odd one", async () => {
    const stack = await freshStack(server());
    const body = Buffer.from('{"plaintext":""}');
    for (const type of [
      undefined,
      "text/plain",
      "application/x-www-form-urlencoded",
      "application/json; charset=utf-8",
    ]) {
      const headers = { ...API, ...(type === undefined ? {} : { "content-type": type }) };
      expect(await sendRaw(server(), "POST", `${stack.path}/encrypt`, headers, body)).toMatchObject({
        status: 200,
      });
    }
  });

  it.each([
    { what: "start", path: async (s: StackClient) => `/update/${await s.create()}`, ok: true },
    { what: "create update", path: async () => "/update", ok: true },
    { what: "tags", path: async () => "/tags", ok: true, method: "PATCH" },
    { what: "encrypt", path: async () => "/encrypt", ok: true },
    { what: "batch-decrypt", path: async () => "/batch-decrypt", ok: true },
    { what: "log-decryption", path: async () => "/decrypt/log-decryption", ok: true },
  ])("may be empty, or null: $what", async ({ path, method = "POST" }) => {
    for (const body of ["null", ""]) {
      const stack = await freshStack(server());
      const answer = await stack.send(method, await path(stack), body);
      expect(answer.status, `${JSON.stringify(body)}: ${answer.text}`).toBeLessThan(300);
    }
  });
});

describe("an answer", () => {
  const withExport = async () => {
    const stack = await freshStack(server());
    await stack.import(documentOf([resource(stack, "a", { outputs: { x: "y".repeat(50_000) } })]));
    return stack;
  };

  it.each([
    { accept: "gzip", gzip: true },
    { accept: "gzip, deflate, br", gzip: true },
    { accept: undefined, gzip: false },
    { accept: "identity", gzip: false },
    { accept: "br", gzip: false },
    { accept: "gzip;q=0", gzip: false },
  ])("is gzip only for who takes it: $accept", async ({ accept, gzip }) => {
    const stack = await withExport();
    const headers = { ...API, ...(accept === undefined ? {} : { "accept-encoding": accept }) };
    const answer = await sendRaw(server(), "GET", `${stack.path}/export`, headers);
    expect(answer.headers["content-encoding"]).toBe(gzip ? "gzip" : undefined);
    const bytes = gzip ? gunzipSync(answer.bytes) : answer.bytes;
    expect(JSON.parse(bytes.toString())).toEqual(await stack.deployment());
    expect(answer.headers["content-type"]).toBe("application/json");
  });

  it("of several megabytes comes whole, in both forms", async () => {
    const stack = await freshStack(server());
    const document = JSON.stringify(
      documentOf([resource(stack, "a", { outputs: { x: "z".repeat(3_000_000) } })]),
    );
    await stack.import(document);
    const plain = await sendRaw(server(), "GET", `${stack.path}/export`, API);
    expect(plain.bytes.toString()).toBe(document);
    const packed = await sendRaw(server(), "GET", `${stack.path}/export`, {
      ...API,
      "accept-encoding": "gzip",
    });
    expect(packed.headers["content-encoding"]).toBe("gzip");
    expect(gunzipSync(packed.bytes).toString()).toBe(document);
    expect(packed.bytes.length).toBeLessThan(document.length / 10);
  });

  it("always carries a request id: the proxy's where there is one, in the log too", async () => {
    const paths = ["/api/user", "/api/nothing", `/api/stacks/${ORG}/p/s`, "/livez"];
    for (const path of paths)
      expect((await send(server(), "GET", path)).headers.get("x-pulumi-request-id")).toMatch(
        /^[0-9a-f]{16}$/,
      );
    const headers = { "x-request-id": "0123-abcd-from-the-proxy" };
    const answer = await send(server(), "GET", "/api/user", undefined, { headers });
    expect(answer.headers.get("x-pulumi-request-id")).toBe("0123-abcd-from-the-proxy");
    expect(server().logLines.some((line) => line.includes("0123-abcd-from-the-proxy"))).toBe(true);
    const odd = await send(server(), "GET", "/api/user", undefined, {
      headers: { "x-request-id": "a b<script>" },
    });
    expect(odd.headers.get("x-pulumi-request-id")).toMatch(/^[0-9a-f]{16}$/);
  });

  it("says nothing about what the server is made of", async () => {
    const { headers } = await send(server(), "GET", "/api/user");
    expect(headers.get("x-powered-by")).toBeNull();
    expect(headers.get("etag")).toBeNull();
  });

  it.each(["+8", "+9", "+10", ""])("is the same for API version %j", async (version) => {
    const headers = { accept: version === "" ? "*/*" : `application/vnd.pulumi${version}` };
    const answer = await send(server(), "GET", "/api/user", undefined, { headers });
    expect(answer).toMatchObject({ status: 200, body: { githubLogin: "admin" } });
  });

  it("is needed by no particular client", async () => {
    const answer = await sendRaw(server(), "GET", "/api/user", API);
    expect(answer.status).toBe(200);
    expect(USER_AGENT).toMatch(/^pulumi-cli/);
  });
});

describe("what is not there", () => {
  it.each([
    ["GET", "/"],
    ["GET", "/api"],
    ["GET", "/api/nothing"],
    ["POST", "/api/nothing"],
    ["PUT", "/api/user"],
    ["DELETE", "/api/user"],
    ["GET", "/api/cli/version"],
    ["GET", "/API/user"],
    ["GET", `/api/stacks/${ORG}`],
    ["PUT", `/api/stacks/${ORG}/p/s/config`],
    ["GET", `/api/stacks/${ORG}/p/s/deployments`],
    ["GET", `/api/orgs/${ORG}/policypacks`],
    ["POST", "/api/oauth/token"],
    ["GET", `/api/esc/environments/${ORG}`],
    ["PATCH", `/api/stacks/${ORG}/p/s/update/x/unknown`],
    ["GET", "/.git/config"],
  ])("is a 404 in JSON, never a page or a 501: %s %s", async (method, path) => {
    const answer = await send(server(), method, path, method === "GET" ? undefined : "x");
    expect(answer.status).toBe(404);
    expect(answer.headers.get("content-type")).toBe("application/json");
    expect(answer.body).toEqual({ code: 404, message: expect.stringMatching(/./) });
  });
});

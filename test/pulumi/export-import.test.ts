import { describe, expect, it } from "vitest";
import type { StackClient } from "../support/client.ts";
import {
  documentOf,
  entry,
  freshStack,
  KIND,
  resource,
  rootResource,
  up,
  upEntries,
} from "../support/journal.ts";
import { shareTestServer } from "../support/server.ts";

const server = shareTestServer();

const EMPTY =
  '{"version":3,"deployment":{"manifest":{"time":"0001-01-01T00:00:00Z","magic":"","version":""}}}';
const text = async (stack: StackClient, path = "/export") => (await stack.send("GET", path)).text;
const put = (stack: StackClient, document: unknown) =>
  stack.send("POST", "/import", document, { gzip: true });

/** Bytes that a parser and its printer would change. */
const DELICATE = String.raw`{ "version":4,"features":["taint","hooks"],
  "deployment":{"manifest":{"time":"2026-01-02T03:04:05.678901Z","magic":"","version":""},
  "resources":[{"urn":"urn:pulumi:dev::p::t:m:A::a","custom":true,"id":"i","type":"t:m:A","outputs":{"a":1.0,"b":12345678901234567890,"c":"\u003cé😀\/","d":1e400},"later":{"x":[]}}],
  "metadata":{},"snippets":[],"somethingNew":true } }
`;

describe("export", () => {
  it("of a stack that was never updated is the empty document", async () => {
    expect(await text(await freshStack(server()))).toBe(EMPTY);
  });

  it("of a version is the state after it; of an unknown one 404, of no number 400", async () => {
    const stack = await freshStack(server());
    await up(stack, ["a"]);
    const first = await text(stack);
    await stack.import(documentOf([rootResource(stack)]));
    expect(await text(stack, "/export/1")).toBe(first);
    expect(await stack.deployment(2)).toEqual(documentOf([rootResource(stack)]));
    for (const version of ["0", "3", "999999999999"])
      expect(await stack.send("GET", `/export/${version}`)).toMatchObject({
        status: 404,
        body: { code: 404 },
      });
    for (const version of ["x", "1.5", "-1", "1e400", "9".repeat(30)])
      expect(await stack.send("GET", `/export/${version}`)).toMatchObject({
        status: 400,
        body: { code: 400 },
      });
  });
});

describe("import", () => {
  it("comes back byte for byte, features and unknown members included", async () => {
    const stack = await freshStack(server());
    const id = await stack.import(DELICATE);
    expect(await text(stack)).toBe(DELICATE);
    const poll = await stack.send("GET", `/update/${id}?continuationToken=`);
    expect(poll).toMatchObject({ status: 200 });
    expect(poll.body).toEqual({ status: "succeeded", events: [], continuationToken: null });
    expect((await stack.history())[0]).toMatchObject({ kind: "import", result: "succeeded", version: 1 });
    expect((await stack.send("GET", "")).body).toMatchObject({ version: 1, activeUpdate: id });
  });

  it("of an export into another stack is the same document", async () => {
    const [from, to] = [await freshStack(server()), await freshStack(server())];
    await up(from, ["a", "b"]);
    const exported = await text(from);
    await to.import(exported);
    expect(await text(to)).toBe(exported);
  });

  it("of a large document keeps every byte", async () => {
    const stack = await freshStack(server());
    const resources = Array.from({ length: 3000 }, (_, i) =>
      resource(stack, `r${i}`, { outputs: { x: `${i}`.repeat(300) } }),
    );
    const document = JSON.stringify(documentOf(resources));
    await stack.import(document);
    expect(await text(stack)).toBe(document);
    expect((await stack.history())[0]).toMatchObject({ resourceCount: 3000 });
  });

  it.each(["null", '{"version":3,"deployment":null}'])("of %s makes the state empty", async (body) => {
    const stack = await freshStack(server());
    await up(stack);
    await stack.import(body);
    expect(await text(stack)).toBe(EMPTY);
    expect(await stack.send("DELETE", "?force=false")).toMatchObject({ status: 204 });
  });

  it.each([1, 2, 3, 4])("takes version %i", async (version) => {
    const stack = await freshStack(server());
    await stack.import({ version, deployment: {} });
    expect(await stack.deployment()).toEqual({ version, deployment: {} });
  });

  it.each([
    { what: "a version that is too new", body: { version: 5, deployment: {} } },
    { what: "version 0", body: { version: 0, deployment: {} } },
    { what: "no version", body: { deployment: {} } },
    { what: "a version in words", body: { version: "3", deployment: {} } },
    { what: "no deployment", body: { version: 3 } },
    { what: "a deployment that is a list", body: { version: 3, deployment: [] } },
    { what: "a deployment in words", body: { version: 3, deployment: "x" } },
    { what: "two deployments", body: '{"version":3,"deployment":{},"deployment":{}}' },
    { what: "a list", body: "[]" },
    { what: "a number", body: "7" },
    { what: "nothing", body: "" },
    { what: "half a document", body: '{"version":3,"deployment":{"resources":[{"urn":' },
    { what: "something behind it", body: '{"version":3,"deployment":{}} x' },
    { what: "bytes that are no JSON", body: Buffer.from([0, 1, 2, 255]) },
  ])("is refused with $what, and the state stays", async ({ body }) => {
    const stack = await freshStack(server());
    await up(stack, ["a"]);
    const before = await text(stack);
    expect(await put(stack, body)).toMatchObject({
      status: 400,
      body: { code: 400, message: expect.any(String) },
    });
    expect(await text(stack)).toBe(before);
    expect(await stack.history()).toHaveLength(1);
  });

  it("is refused while an update runs, not while a preview does", async () => {
    const stack = await freshStack(server());
    await stack.begin("preview", { dryRun: true });
    await stack.import(documentOf([]));
    const update = await stack.begin();
    const answer = await put(stack, documentOf([]));
    expect(answer.status).toBe(409);
    expect(answer.body).toEqual({ code: 409, message: "Conflict: Another update is currently in progress." });
    await update.complete();
    await stack.import(documentOf([]));
    expect((await stack.send("GET", "")).body.version).toBe(3);
  });

  it("eight times at once makes eight versions, in some order", async () => {
    const stack = await freshStack(server());
    await Promise.all(
      Array.from({ length: 8 }, (_, i) => stack.import(documentOf([resource(stack, `r${i}`)]))),
    );
    expect((await stack.history()).map((it) => it.version)).toEqual([8, 7, 6, 5, 4, 3, 2, 1]);
    const names = new Set<string>();
    for (let version = 1; version <= 8; version++)
      names.add((await stack.deployment(version)).deployment.resources[0].urn);
    expect(names.size).toBe(8);
  });
});

describe("a document that fails verification", () => {
  const metric = async () =>
    Number(/statehouse_bad_documents_total (\d+)/.exec(await server().ctx.metrics.registry.metrics())?.[1]);
  const logged = (stackId: string) =>
    server().logLines.filter((line) => line.includes("failed verification") && line.includes(stackId));

  const BAD: readonly { what: string; resources: (stack: StackClient) => unknown[]; says: RegExp }[] = [
    {
      what: "a parent that is not there",
      resources: (s) => [resource(s, "a", { parent: "urn:pulumi:x::y::t::z" })],
      says: /parent/,
    },
    {
      what: "a dependency that comes later",
      resources: (s) => [resource(s, "a", { dependencies: [resource(s, "b").urn] }), resource(s, "b")],
      says: /comes later/,
    },
    {
      what: "a provider that is not there",
      resources: (s) => [
        resource(s, "a", { provider: `urn:pulumi:${s.stack}::shop::pulumi:providers:x::p::id` }),
      ],
      says: /provider/,
    },
    {
      what: "one URN twice",
      resources: (s) => [resource(s, "a"), resource(s, "a")],
      says: /[Mm]ore than one/,
    },
    {
      what: "an id without custom",
      resources: (s) => [resource(s, "a", { custom: false })],
      says: /not custom/,
    },
  ];

  it.each(BAD)("is stored all the same, flagged and reported: $what", async ({ resources, says }) => {
    const stack = await freshStack(server());
    await stack.import(documentOf([rootResource(stack)]));
    const { id } = (await stack.send("GET", "")).body;
    const before = await metric();
    const bad = documentOf(resources(stack));
    const answer = await put(stack, bad);
    expect(answer).toMatchObject({ status: 200 });
    const warning = answer.headers.get("x-pulumi-warning");
    expect(warning).toMatch(says);
    expect(warning).toContain("The last version that passed is 1.");
    expect(warning).not.toContain("..");
    expect(await stack.deployment()).toEqual(bad);
    expect(await metric()).toBe(before + 1);
    expect(logged(id)).toHaveLength(1);
    const found = await server().ctx.db.findStack({
      organization: stack.org,
      project: stack.project,
      stack: stack.stack,
    });
    expect(found).toMatchObject({ version: 2, goodVersion: 1 });
  });

  it("with a manifest whose magic is wrong is flagged too", async () => {
    const stack = await freshStack(server());
    const manifest = { time: "2026-01-02T03:04:05Z", magic: "abc", version: "v3.260.0" };
    const answer = await put(stack, { version: 3, deployment: { manifest, resources: [] } });
    expect(answer.headers.get("x-pulumi-warning")).toMatch(/magic/);
    expect(answer.headers.get("x-pulumi-warning")).not.toContain("The last version that passed");
  });

  it("left by an update is flagged when it completes; the next sound one is good again", async () => {
    const stack = await freshStack(server());
    await up(stack);
    const update = await stack.begin();
    const state = resource(stack, "a", { parent: "urn:pulumi:x::y::t::z" });
    await update.journal([entry(1, KIND.success, { operationID: 1, state })]);
    const answer = await update.complete();
    expect(answer.status).toBe(204);
    expect(answer.headers.get("x-pulumi-warning")).toContain("The last version that passed is 1.");
    const good = await stack.begin();
    await good.journal(upEntries(stack).slice(0, 1));
    await good.journal([entry(2, KIND.success, { operationID: 1, removeOld: 0 })]);
    expect((await good.complete()).headers.get("x-pulumi-warning")).toBeNull();
    const name = { organization: stack.org, project: stack.project, stack: stack.stack };
    expect(await server().ctx.db.findStack(name)).toMatchObject({ version: 3, goodVersion: 3 });
  });

  it("puts no foreign characters into the header, however it was written", async () => {
    const stack = await freshStack(server());
    const bad = resource(stack, "a", { parent: "urn\r\nSet-Cookie: x=1\u0000é😀" });
    const answer = await put(stack, documentOf([bad]));
    expect(answer.status).toBe(200);
    expect(answer.headers.get("x-pulumi-warning")).toMatch(/^[\x20-\x7e]+$/);
    expect(answer.headers.get("set-cookie")).toBeNull();
  });
});

import { beforeAll, describe, expect, it } from "vitest";
import { type Answer, StackClient, send } from "../support/client.ts";
import { documentOf, freshStack, resource, up } from "../support/journal.ts";
import { ORG, shareTestServer } from "../support/server.ts";

const server = shareTestServer();

const create = (project: string, body: unknown) =>
  send(server(), "POST", `/api/stacks/${ORG}/${project}`, body);

describe("stack init", () => {
  it("makes a stack that was never updated", async () => {
    const tags = { "pulumi:project": "web", "pulumi:runtime": "yaml" };
    expect(await create("web", { stackName: "dev", tags })).toMatchObject({ status: 200, body: {} });
    const { status, body } = await send(server(), "GET", `/api/stacks/${ORG}/web/dev`);
    expect(status).toBe(200);
    expect(body).toEqual({
      id: expect.stringMatching(/./),
      orgName: ORG,
      projectName: "web",
      stackName: "dev",
      activeUpdate: "",
      tags,
      version: 0,
    });
  });

  it("says so when the stack exists", async () => {
    const stack = await freshStack(server());
    const answer = await create(stack.project, { stackName: stack.stack });
    expect(answer).toMatchObject({ status: 409, body: { code: 409 } });
    expect(answer.body.message).toContain("already exists");
  });

  it("keeps apart names that differ in case alone", async () => {
    expect(await create("cases", { stackName: "Dev" })).toMatchObject({ status: 200 });
    expect(await create("cases", { stackName: "dev" })).toMatchObject({ status: 200 });
    expect(await create("Cases", { stackName: "dev" })).toMatchObject({ status: 200 });
  });

  it("stores the state that a stack with another secrets provider starts with", async () => {
    const secrets = { type: "passphrase", state: { salt: "v1:abc:def" } };
    const state = documentOf([], { secrets_providers: secrets });
    const stack = await freshStack(server(), { state });
    expect(await stack.deployment()).toEqual(state);
    expect(await stack.deployment(0)).toEqual(state);
    expect((await stack.send("GET", "")).body).toMatchObject({ version: 0, activeUpdate: "" });
    await up(stack, ["a"]);
    expect(await stack.deployment(0)).toEqual(state);
  });

  it("takes null where Go sends null", async () => {
    const body = { stackName: "nulls", tags: null, teams: null, state: null, config: null };
    expect(await create("web", body)).toMatchObject({ status: 200 });
    const { body: document } = await send(server(), "GET", `/api/stacks/${ORG}/web/nulls/export`);
    expect(document).toMatchObject({ version: 3, deployment: { manifest: {} } });
  });

  it.each([
    { what: "configuration kept in an environment", body: { stackName: "x", config: { environment: "e" } } },
    { what: "a state that is none", body: { stackName: "x", state: { version: 3 } } },
    {
      what: "a state of an unknown version",
      body: { stackName: "x", state: { version: 9, deployment: {} } },
    },
    { what: "no name", body: {} },
    { what: "a number for a name", body: { stackName: 7 } },
    { what: "a tag that is not text", body: { stackName: "x", tags: { a: 1 } } },
    { what: "a tag's name with a blank", body: { stackName: "x", tags: { "a b": "1" } } },
    { what: "a tag's name of 41 characters", body: { stackName: "x", tags: { ["n".repeat(41)]: "" } } },
    { what: "a tag's value of 257 characters", body: { stackName: "x", tags: { a: "v".repeat(257) } } },
  ])("refuses $what, and leaves nothing behind", async ({ body }) => {
    expect(await create("refused", body)).toMatchObject({ status: 400, body: { code: 400 } });
    expect(await send(server(), "HEAD", `/api/stacks/${ORG}/refused`)).toMatchObject({ status: 404 });
  });

  it("is refused in an organization that is not there", async () => {
    const answer = await send(server(), "POST", "/api/stacks/nobody/web", { stackName: "dev" });
    expect(answer).toMatchObject({ status: 404, body: { code: 404 } });
  });
});

describe("names", () => {
  const path = (org: string, project: string, stack: string) =>
    `/api/stacks/${[org, project, stack].map(encodeURIComponent).join("/")}`;

  const BAD_NAMES = [
    "..",
    ".",
    "a/b",
    "../../x",
    "a b",
    "a\nb",
    "a\u0000b",
    "a\u001b[31m",
    "ü",
    "a%2e",
    "x".repeat(101),
    "a:b",
    "a?b",
    "a#b",
    "a\\b",
  ];

  it.each(BAD_NAMES)("that are refused for stacks and projects: %j", async (name) => {
    expect(await create("names", { stackName: name })).toMatchObject({ status: 400, body: { code: 400 } });
    // What a URL can hold of it is refused as well, and never reaches another stack. fetch itself takes
    // "." and ".." away, so those come over raw sockets in bad-input.test.ts.
    if (name === "." || name === "..") return;
    for (const url of [path(ORG, "names", name), path(ORG, name, "dev")]) {
      expect(await send(server(), "GET", url), url).toMatchObject({ status: 400, body: { code: 400 } });
    }
  });

  it.each(["ab", "a", "-ab", "ab-", "a.b", "a@b", "x".repeat(41)])(
    "that are refused for owners: %j",
    async (org) => {
      expect(await send(server(), "GET", path(org, "web", "dev"))).toMatchObject({ status: 400 });
      expect(await send(server(), "POST", `/api/stacks/${org}/web`, { stackName: "dev" })).toMatchObject({
        status: 400,
      });
    },
  );

  it.each(["x", "x".repeat(100), "A-z_0.9", "...", "-", "0", "new", "export", "update"])(
    "that are taken: %j",
    async (name) => {
      expect(await create(name, { stackName: name })).toMatchObject({ status: 200 });
      const answer = await send(server(), "GET", path(ORG, name, name));
      expect(answer).toMatchObject({ status: 200, body: { projectName: name, stackName: name } });
    },
  );
});

describe("a stack that is not there", () => {
  it.each([
    ["GET", ""],
    ["DELETE", "?force=true"],
    ["PATCH", "/tags", {}],
    ["POST", "/rename", { newName: "x", newProject: "shop" }],
    ["GET", "/export"],
    ["GET", "/export/1"],
    ["POST", "/import", documentOf([])],
    ["POST", "/encrypt", { plaintext: "" }],
    ["POST", "/batch-decrypt", { ciphertexts: [] }],
    ["GET", "/updates"],
    ["GET", "/updates/latest"],
    ["POST", "/update", {}],
    ["POST", "/preview", {}],
    ["POST", "/update/no-such-update", {}],
    ["GET", "/update/no-such-update"],
    ["POST", "/update/no-such-update/cancel"],
  ] as const)("is 404, with the number in the body: %s S%s", async (method, path, body?: unknown) => {
    const answer = await new StackClient(server(), "shop", "nothing").send(method, path, body);
    expect(answer).toMatchObject({ status: 404, body: { code: 404, message: expect.any(String) } });
  });

  it("has no project either, until there is a stack in it", async () => {
    const project = `/api/stacks/${ORG}/fresh`;
    expect(await send(server(), "HEAD", project)).toMatchObject({ status: 404, text: "" });
    await create("fresh", { stackName: "dev" });
    expect(await send(server(), "HEAD", project)).toMatchObject({ status: 200, text: "" });
  });
});

describe("stack ls", () => {
  beforeAll(async () => {
    await send(server(), "POST", "/api/admin/v1/organizations", { name: "large" });
    for (let from = 0; from < 620; from += 62) {
      const names = Array.from({ length: 62 }, (_, i) => `s${String(from + i).padStart(3, "0")}`);
      await Promise.all(names.map((stack) => new StackClient(server(), "many", stack, {}, "large").init()));
    }
  });

  const page = (query: string) => send(server(), "GET", `/api/user/stacks?${query}`);

  it("lists every stack once, over two pages, and then no token", async () => {
    const first = await page("organization=large");
    const { continuationToken, stacks } = first.body;
    expect(stacks).toHaveLength(500);
    expect(continuationToken).toMatch(/^[A-Za-z0-9_-]+$/);
    const second = await page(`organization=large&continuationToken=${continuationToken}`);
    expect(second.body.stacks).toHaveLength(120);
    expect(second.body).not.toHaveProperty("continuationToken");
    const names = [...stacks, ...second.body.stacks].map((it: Answer["body"]) => it.stackName);
    expect(new Set(names).size).toBe(620);
  });

  it("tells when a stack was updated last and what it holds, and neither for one that never was", async () => {
    const stack = await freshStack(server());
    const other = await freshStack(server());
    await up(stack, ["a", "b"]);
    const { stacks } = (await page(`organization=${ORG}&project=${stack.project}`)).body;
    const found = (name: string) => stacks.find((it: Answer["body"]) => it.stackName === name);
    expect(found(stack.stack)).toMatchObject({ orgName: ORG, projectName: "shop", resourceCount: 3 });
    expect(Math.abs(found(stack.stack).lastUpdate - Date.now() / 1000)).toBeLessThan(60);
    expect(found(other.stack)).not.toHaveProperty("lastUpdate");
  });

  it("filters by project, tag and value", async () => {
    await create("tagged", { stackName: "a", tags: { team: "core" } });
    await create("tagged", { stackName: "b", tags: { team: "web" } });
    await create("tagged", { stackName: "c" });
    const names = async (query: string) =>
      (await page(query)).body.stacks.map((it: Answer["body"]) => it.stackName);
    expect(await names("project=tagged")).toEqual(["a", "b", "c"]);
    expect(await names("project=tagged&tagName=team")).toEqual(["a", "b"]);
    expect(await names("project=tagged&tagName=team&tagValue=web")).toEqual(["b"]);
    expect(await names("project=nothing")).toEqual([]);
    // Empty parameters are what the CLI sends for "not given".
    expect(await names("project=tagged&organization=&tagName=&tagValue=")).toEqual(["a", "b", "c"]);
  });
});

describe("stack rm", () => {
  it("removes a stack without resources, and frees its name", async () => {
    const stack = await freshStack(server());
    expect(await stack.send("DELETE", "?force=false")).toMatchObject({ status: 204, text: "" });
    expect(await stack.send("GET", "")).toMatchObject({ status: 404 });
    await stack.init();
    expect((await stack.send("GET", "")).body).toMatchObject({ version: 0, activeUpdate: "" });
    expect(await stack.history()).toEqual([]);
  });

  it.each(["?force=false", ""])("refuses one with resources, word for word (%j)", async (query) => {
    const stack = await freshStack(server());
    await up(stack);
    const answer = await stack.send("DELETE", query);
    expect(answer).toMatchObject({ status: 400 });
    expect(answer.body).toEqual({ code: 400, message: "Bad Request: Stack still contains resources." });
    expect(await stack.send("GET", "")).toMatchObject({ status: 200 });
    expect(await stack.send("DELETE", "?force=true")).toMatchObject({ status: 204 });
    expect(await stack.send("GET", "")).toMatchObject({ status: 404 });
  });

  it("counts a resource that is only marked for deletion", async () => {
    const stack = await freshStack(server());
    await stack.import(documentOf([resource(stack, "a", { delete: true })]));
    expect(await stack.send("DELETE", "?force=false")).toMatchObject({ status: 400 });
  });

  it("takes an emptied one, whose history is long", async () => {
    const stack = await freshStack(server());
    await up(stack, ["a"]);
    await stack.import(documentOf([]));
    expect(await stack.send("DELETE", "?force=false")).toMatchObject({ status: 204 });
  });

  it("is refused while an update runs, and takes a preview's stack from under it", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    for (const force of [false, true]) {
      const answer = await stack.send("DELETE", `?force=${force}`);
      expect(answer).toMatchObject({ status: 409, body: { code: 409 } });
    }
    await update.complete();
    const preview = await stack.begin("update", { dryRun: true });
    expect(await stack.send("DELETE", "?force=false")).toMatchObject({ status: 204 });
    expect(await preview.complete()).toMatchObject({ status: 403 });
  });
});

describe("tags", () => {
  const tagsOf = async (stack: StackClient) => (await stack.send("GET", "")).body.tags;

  it("are replaced as a whole", async () => {
    const stack = await freshStack(server(), { tags: { a: "1", b: "2" } });
    expect(await stack.send("PATCH", "/tags", { b: "3", c: "4" })).toMatchObject({ status: 204 });
    expect(await tagsOf(stack)).toEqual({ b: "3", c: "4" });
  });

  it("are removed by null", async () => {
    const stack = await freshStack(server(), { tags: { a: "1" } });
    expect(await stack.send("PATCH", "/tags", "null")).toMatchObject({ status: 204 });
    expect(await tagsOf(stack)).toEqual({});
  });

  it.each([
    { what: "a name with a slash", tags: { "a/b": "1" } },
    { what: "an empty name", tags: { "": "1" } },
    { what: "a name that is too long", tags: { ["n".repeat(41)]: "1" } },
    { what: "a value that is too long", tags: { a: "v".repeat(257) } },
    { what: "a value that is a number", tags: { a: 1 } },
    { what: "a value that is null", tags: { a: null } },
    {
      what: "more than a stack can have",
      tags: Object.fromEntries([...Array(201).keys()].map((i) => [`t${i}`, ""])),
    },
    { what: "a list", tags: ["a"] },
    { what: "text", tags: "a" },
  ])("are refused with $what, and stay as they were", async ({ tags }) => {
    const stack = await freshStack(server(), { tags: { a: "1" } });
    const answer = await stack.send("PATCH", "/tags", JSON.stringify(tags));
    expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
    expect(await tagsOf(stack)).toEqual({ a: "1" });
  });

  it("take the longest names and values there may be", async () => {
    const stack = await freshStack(server());
    const tags = { ["n".repeat(40)]: "v".repeat(256), "vcs:owner": "ü €", __proto__x: "" };
    expect(await stack.send("PATCH", "/tags", tags)).toMatchObject({ status: 204 });
    expect(await tagsOf(stack)).toEqual(tags);
  });

  it("are set by the start of a real update, not by that of a preview", async () => {
    const stack = await freshStack(server(), { tags: { a: "1" } });
    const preview = await stack.create("update", true);
    await stack.send("POST", `/update/${preview}`, { tags: { b: "2" } });
    expect(await tagsOf(stack)).toEqual({ a: "1" });
    const update = await stack.create();
    await stack.send("POST", `/update/${update}`, { tags: { c: "3" } });
    expect(await tagsOf(stack)).toEqual({ c: "3" });
  });

  it("are checked at the start of an update too", async () => {
    const stack = await freshStack(server(), { tags: { a: "1" } });
    const update = await stack.create();
    const answer = await stack.send("POST", `/update/${update}`, { tags: { "a/b": "x".repeat(1000) } });
    expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
    expect(await tagsOf(stack)).toEqual({ a: "1" });
  });
});

describe("another organization's stack", () => {
  it("is not there for those outside it", async () => {
    const admin = (method: string, path: string, body: unknown) =>
      send(server(), method, `/api/admin/v1${path}`, body);
    await admin("POST", "/organizations", { name: "others" });
    await admin("POST", "/users", { login: "mallory" });
    await admin("PUT", "/organizations/others/members/mallory", { role: "admin" });
    const { token } = (await admin("POST", "/tokens", { name: "x", user: "mallory" })).body;
    const stack = await freshStack(server());
    const outsider = stack.as({ token });
    const missing = new StackClient(server(), "shop", "nothing-here", { token });
    for (const [method, path] of [
      ["GET", ""],
      ["GET", "/export"],
      ["DELETE", "?force=true"],
      ["POST", "/update"],
    ] as const) {
      const answer = await outsider.send(method, path);
      expect(answer).toMatchObject({ status: 404, body: { code: 404 } });
      // Nor do they learn which stacks there are.
      expect(answer.body).toEqual((await missing.send(method, path)).body);
    }
    const listed = await send(server(), "GET", "/api/user/stacks", undefined, { token });
    expect(listed.body.stacks).toEqual([]);
    const asked = await send(server(), "GET", `/api/user/stacks?organization=${ORG}`, undefined, { token });
    expect(asked).toMatchObject({ status: 404, body: { code: 404 } });
  });
});

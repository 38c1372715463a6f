import { describe, expect, it } from "vitest";
import { StackClient, send } from "../support/client.ts";
import { ORG, shareTestServer } from "../support/server.ts";
import { API, COMMIT, get, list, machine, put, random, stored } from "./support.ts";

describe("artifacts are safe to serve", () => {
  const server = shareTestServer();

  it.each([
    ["a.html", "text/html", "application/octet-stream"],
    ["a.svg", "image/svg+xml", "application/octet-stream"],
    ["a.js", "text/javascript", "application/octet-stream"],
    ["a.html", "application/octet-stream", "application/octet-stream"],
    ["a.xml", "application/xhtml+xml; charset=utf-8", "application/octet-stream"],
    ["a.txt", "text/plain; charset=x\u00e9", "text/plain; charset=utf-8"],
    ["a.png", "IMAGE/PNG", "image/png"],
    ["a.json", "application/octet-stream", "application/json"],
    ["a", "application/x-unknown", "application/octet-stream"],
  ])("serves %s declared %s as %s", async (name, declared, served) => {
    const bytes = Buffer.from("<script>alert(1)</script>");
    const { id } = await stored(server(), name, bytes, { headers: { "content-type": declared } });
    const { headers } = await get(server(), id);
    expect(headers.get("content-type")).toBe(served);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("content-security-policy")).toBe("default-src 'none'; sandbox");
    expect(headers.get("content-disposition")).toMatch(/^attachment; /);
    const path = `${API}/items/${id}/content?disposition=inline`;
    const inline = await send(server(), "HEAD", path);
    const mayShow = ["text/plain; charset=utf-8", "image/png", "application/json"].includes(served);
    expect(inline.headers.get("content-disposition")?.startsWith("inline")).toBe(mayShow);
    expect(inline.headers.get("content-length")).toBe(String(bytes.length));
  });

  it.each([
    "../a",
    "a/../b",
    "/etc/passwd",
    "a//b",
    "a/",
    ".",
    "..",
    "a\\b",
    "C:\\x",
    "a\0b",
    "a\r\nX-Evil: 1",
    "a\u202egpj",
    " a",
    "a ",
    "x".repeat(513),
    "",
  ])("refuses the name %j", async (name) => {
    const path = `${API}?commit=${COMMIT}&name=${encodeURIComponent(name)}`;
    expect(await send(server(), "PUT", path, "bytes")).toMatchObject({ status: 400 });
  });

  it("says Unicode names right", async () => {
    const { id, name } = await stored(server(), "plän/e\u0301té \"100%\" 日本 'x'*.txt", random(3));
    expect(name).toBe("plän/été \"100%\" 日本 'x'*.txt");
    const { headers } = await get(server(), id);
    expect(headers.get("content-disposition")).toBe(
      "attachment; filename=\"_t_ _100__ __ 'x'*.txt\"; " +
        "filename*=UTF-8''%C3%A9t%C3%A9%20%22100%25%22%20%E6%97%A5%E6%9C%AC%20%27x%27%2A.txt",
    );
  });

  it("lists by what things belong to, in pages", async () => {
    const stack = await new StackClient(server(), "web", "listed").init();
    const update = await stack.begin();
    const on = (query: string) => ({ query });
    await stored(server(), "s", random(1), on("project=web&stack=listed&label=a%3D1&label=b%3Dx%3Dy"));
    await stored(server(), "u", random(1), on(`update=${update.id}&commit=${COMMIT}`));
    await stored(server(), "u", random(1), on(`update=${update.id}&commit=${COMMIT}`));
    const names = async (query: string) =>
      (await list(server(), query)).map((it) => `${it.name}${it.version}`);
    expect(await names("?project=web&stack=listed")).toEqual(["u2", "u1", "s1"]);
    expect(await names("?project=web")).toEqual(["u2", "u1", "s1"]);
    expect(await names(`?update=${update.id}`)).toEqual(["u2", "u1"]);
    expect(await names("?project=web&name=s")).toEqual(["s1"]);
    expect(await names("?project=nothing")).toEqual([]);
    expect((await list(server(), "?project=web&name=s"))[0].labels).toEqual({ a: "1", b: "x=y" });
    const first = (await send(server(), "GET", `${API}?project=web&limit=2`)).body;
    expect(await names(`?project=web&limit=2&cursor=${first.nextCursor}`)).toEqual(["s1"]);
    expect(await put(server(), "a", random(1), { query: "" })).toMatchObject({ status: 400 });
    expect(await put(server(), "a", random(1), { query: "update=nope" })).toMatchObject({ status: 404 });
  });

  it("keeps roles, organizations and stacks apart", async () => {
    await new StackClient(server(), "web", "one").init();
    await new StackClient(server(), "web", "two").init();
    const [one, two] = ["project=web&stack=one", "project=web&stack=two"];
    const theirs = await stored(server(), "a", random(5), { query: two });
    const mine = await stored(server(), "a", random(5), { query: one });
    const viewer = await machine(server(), { role: "viewer" });
    expect((await get(server(), mine.id, {}, viewer)).status).toBe(200);
    expect((await put(server(), "b", random(1), { token: viewer, query: one })).status).toBe(403);
    await send(server(), "POST", "/api/admin/v1/organizations", { name: "elsewhere" });
    const outsider = await machine(server(), { organization: "elsewhere", role: "admin" });
    expect((await get(server(), mine.id, {}, outsider)).status).toBe(404);
    const stolen = await send(server(), "GET", `/api/artifacts/elsewhere/items/${mine.id}`, undefined, {
      token: outsider,
    });
    expect(stolen.status).toBe(404);

    const token = await machine(server(), { role: "member", stack: "web/one" });
    expect((await put(server(), "c", random(1), { token, query: one })).status).toBe(201);
    expect((await put(server(), "c", random(1), { token, query: `commit=${COMMIT}` })).body.stack).toBe(
      "one",
    );
    expect((await put(server(), "c", random(1), { token, query: two })).status).toBe(403);
    expect((await get(server(), mine.id, {}, token)).status).toBe(200);
    expect((await get(server(), theirs.id, {}, token)).status).toBe(404);
    const items = (await send(server(), "GET", API, undefined, { token })).body.items;
    expect(new Set(items.map((it: { stack: string }) => it.stack))).toEqual(new Set(["one"]));
    const hidden = await send(server(), "GET", `${API}?project=web&stack=two`, undefined, { token });
    expect(hidden.body.items).toEqual([]);
    const stack = await send(server(), "GET", `/api/stacks/${ORG}/web/one`, undefined, { token });
    expect(stack.status).toBe(403);
    expect((await send(server(), "GET", "/api/user/stacks", undefined, { token })).body.stacks).toEqual([]);
  });

  it("keeps what is pinned from being deleted", async () => {
    const { id } = await stored(server(), "p", random(2));
    const change = (body: unknown) => send(server(), "PATCH", `${API}/items/${id}`, body);
    expect(await change({ pinned: true, labels: { x: "y" } })).toMatchObject({
      body: { pinned: true, labels: { x: "y" } },
    });
    expect(await send(server(), "DELETE", `${API}/items/${id}`)).toMatchObject({ status: 409 });
    await change({ pinned: false });
    expect(await send(server(), "DELETE", `${API}/items/${id}`)).toMatchObject({ status: 204 });
    expect(await send(server(), "DELETE", `${API}/items/${id}`)).toMatchObject({ status: 404 });
    expect((await get(server(), id)).status).toBe(404);
  });

  it("is in the API document", async () => {
    const { body } = await send(server(), "GET", "/api/admin/v1/openapi.json");
    expect(Object.keys(body.paths["/api/artifacts/{org}"]).sort()).toEqual(["get", "post", "put"]);
    expect(body.paths["/api/artifacts/{org}"].post.requestBody.content).toHaveProperty("multipart/form-data");
  });
});

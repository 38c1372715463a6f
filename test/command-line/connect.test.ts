/** Which server a command talks to, as whom, and what it says when there is none. */
import { describe, expect, it } from "vitest";
import { ADMIN_TOKEN, freePort, run, startFakeServer, tempDir, usedDataDir } from "./support.ts";

const LIST = { "GET /organizations?limit=100": { body: { items: [{ name: "main" }] } } };
const ASK = ["org", "list"];

describe("the server", () => {
  it("is the one of --url, before STATEHOUSE_URL", async () => {
    const [named, other] = [await startFakeServer(LIST), await startFakeServer(LIST)];
    const env = { STATEHOUSE_URL: other.url, STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN };
    expect((await run([...ASK, "--url", `${named.url}/`], env)).code).toBe(0);
    expect([named.requests.length, other.requests.length]).toEqual([1, 0]);
  });

  it("is the public one before the one on this machine", async () => {
    const [open, local] = [await startFakeServer(LIST), await startFakeServer(LIST)];
    const env = {
      STATEHOUSE_PUBLIC_URL: open.url,
      STATEHOUSE_PORT: String(local.port),
      STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN,
    };
    expect((await run(ASK, env)).code).toBe(0);
    expect([open.requests.length, local.requests.length]).toEqual([1, 0]);
  });

  it("is the one on this machine when the public address leads nowhere, or to a proxy without a server", async () => {
    const local = await startFakeServer(LIST);
    const proxy = await startFakeServer({ "GET /livez": { status: 502 } });
    for (const url of [`http://127.0.0.1:${await freePort()}`, proxy.url]) {
      const env = {
        STATEHOUSE_PUBLIC_URL: url,
        STATEHOUSE_PORT: String(local.port),
        STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN,
      };
      expect((await run(ASK, env)).code).toBe(0);
    }
    expect([local.requests.length, proxy.requests.length]).toEqual([2, 0]);
  });
});

it("people are told one address, whichever way the server was found", async () => {
  const created = { status: 201, body: { id: "t1", name: "x", token: "sth_1" } };
  const server = await startFakeServer({ "POST /tokens": created });
  const env = { STATEHOUSE_PORT: String(server.port), STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN };
  const { stderr } = await run(["token", "create", "--user", "ada"], env);
  expect(stderr).toContain(`pulumi login http://localhost:${server.port}\n`);
});

describe("the token", () => {
  it("comes from --token, the settings, or the data folder, in this order", async () => {
    const server = await startFakeServer(LIST);
    const env = { STATEHOUSE_URL: server.url, STATEHOUSE_DATA_DIR: usedDataDir() };
    await run(ASK, env);
    await run(ASK, { ...env, STATEHOUSE_ADMIN_TOKEN: "a-token-of-the-settings" });
    await run([...ASK, "--token", "given"], { ...env, STATEHOUSE_ADMIN_TOKEN: "a-token-of-the-settings" });
    expect(server.requests.map(({ authorization }) => authorization)).toEqual([
      `token ${ADMIN_TOKEN}`,
      "token a-token-of-the-settings",
      "token given",
    ]);
  });

  it("is asked for when there is none", async () => {
    const server = await startFakeServer(LIST);
    const env = { STATEHOUSE_URL: server.url, STATEHOUSE_DATA_DIR: tempDir() };
    const { code, stderr } = await run(ASK, env);
    expect(code).toBe(1);
    expect(stderr).toContain("Set STATEHOUSE_ADMIN_TOKEN, or run this where the server's data folder is");
    expect(server.requests).toEqual([]);
  });
});

describe("without a server", () => {
  it("the same application serves the request here, and says so", async () => {
    const local = await startFakeServer(LIST);
    const dataDir = usedDataDir();
    const env = { STATEHOUSE_DATA_DIR: dataDir, STATEHOUSE_PORT: String(await freePort()) };
    let seen = "";
    const { code, stdout, stderr } = await run(ASK, env, {
      withLocalServer: async (config, fn) => {
        seen = config.dataDir;
        return await fn(local.url);
      },
    });
    expect({ code, seen }).toEqual({ code: 0, seen: dataDir });
    expect(stderr).toBe(`No server is running: working on ${dataDir} directly.\n`);
    expect(stdout).toContain("main");
    expect(local.requests).toHaveLength(1);
  });

  it("people are told the address that the server will have", async () => {
    const created = { status: 201, body: { id: "t1", name: "x", token: "sth_1" } };
    const local = await startFakeServer({ "POST /tokens": created });
    const port = await freePort();
    const env = { STATEHOUSE_DATA_DIR: usedDataDir(), STATEHOUSE_PORT: String(port) };
    const { stderr } = await run(["token", "create", "--user", "ada"], env, {
      withLocalServer: (_config, fn) => fn(local.url),
    });
    expect(stderr).toContain(`pulumi login http://localhost:${port}\n`);
  });

  it("a folder that another server holds is left alone, and that server named", async () => {
    const port = String(await freePort());
    const env = { STATEHOUSE_DATA_DIR: usedDataDir(), STATEHOUSE_PORT: port };
    const owner = { host: "task-7", pid: 12, startedMs: Date.UTC(2025, 10, 21) };
    const { code, stderr } = await run(ASK, env, { findOwner: async () => owner });
    expect(code).toBe(1);
    expect(stderr).toContain("is in use by process 12 on task-7 since 2025-11-21T00:00:00.000Z");
    expect(stderr).toContain("--url");
  });

  it("a folder without data is not made", async () => {
    const env = { STATEHOUSE_DATA_DIR: tempDir(), STATEHOUSE_PORT: String(await freePort()) };
    const { code, stderr } = await run(ASK, env);
    expect(code).toBe(1);
    expect(stderr).toContain("holds no Statehouse data. Start the server with statehouse serve");
  });

  it("a server that was named is never replaced", async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const env = { STATEHOUSE_URL: url, STATEHOUSE_DATA_DIR: usedDataDir() };
    const { code, stderr } = await run(ASK, env);
    expect(code).toBe(1);
    expect(stderr).toContain(`No answer from ${url} (ECONNREFUSED). Is the server running there?`);
  });
});

describe("a strange answer", () => {
  const html = { headers: { "content-type": "text/html" }, body: "<html>" };
  it.each([
    ["a web page", html, "does not look like Statehouse (status 200, text/html)"],
    ["a web page's error", { ...html, status: 502 }, "does not look like Statehouse (status 502, text/html)"],
    ["no list", { body: { things: [] } }, "does not look like Statehouse (an answer that is not a list)"],
    [
      "another token",
      { status: 401, body: { code: "X", message: "no" } },
      "does not accept this admin token",
    ],
    ["a redirect", { status: 302, headers: { location: "https://x.example/" } }, "on to https://x.example/"],
    [
      "a refusal",
      { status: 429, body: { code: "X", message: "Too many failures: wait" } },
      "Too many failures",
    ],
  ])("is told in one sentence: %s", async (_, reply, message) => {
    const server = await startFakeServer({ "GET /organizations?limit=100": reply });
    const env = { STATEHOUSE_URL: server.url, STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN };
    const { code, stdout, stderr } = await run(ASK, env);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(message);
    expect(stderr).not.toContain(ADMIN_TOKEN);
    expect(server.requests).toHaveLength(1);
  });
});

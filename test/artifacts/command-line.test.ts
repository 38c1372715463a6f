import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Outcome, run as runCommand, tempDir } from "../command-line/support.ts";
import { ADMIN_TOKEN, makeTempDir, startTestServer, type TestServer } from "../support/server.ts";
import { list, random, stored } from "./support.ts";

function commandLine(server: Pick<TestServer, "url">, cwd = tempDir()) {
  const env = { STATEHOUSE_URL: server.url, PULUMI_ACCESS_TOKEN: ADMIN_TOKEN, HOME: cwd };
  const run = (...args: string[]): Promise<Outcome> => runCommand(["artifact", ...args], env, { cwd });
  const write = async (name: string, bytes: Uint8Array) => {
    await mkdir(dirname(join(cwd, name)), { recursive: true });
    await writeFile(join(cwd, name), bytes);
  };
  return { run, write, cwd };
}

/** Passes requests on; `cut` says after how many bytes of an answer the connection ends, null for never. */
async function flakyProxy(target: string, cut: (count: number) => number | null): Promise<{ url: string }> {
  let count = 0;
  const proxy: Server = createServer(async (req, res) => {
    const after = cut(count++);
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk);
    const headers = Object.fromEntries(
      Object.entries(req.headers).filter(
        ([name]) => !/^(host|connection|transfer-encoding|content-length)$/.test(name),
      ),
    ) as Record<string, string>;
    const body = chunks.length === 0 ? null : Buffer.concat(chunks);
    const answer = await fetch(`${target}${req.url}`, { method: req.method ?? "GET", headers, body });
    const bytes = Buffer.from(await answer.arrayBuffer());
    res.writeHead(answer.status, { ...Object.fromEntries(answer.headers), "content-length": bytes.length });
    if (after === null) res.end(bytes);
    else res.write(bytes.subarray(0, after), () => setTimeout(() => res.destroy(), 50));
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
}

describe("statehouse artifact", () => {
  it("puts, lists, gets, pins and removes", async () => {
    const server = await startTestServer({ dataDir: await makeTempDir() });
    const { run, write, cwd } = commandLine(server);
    const bytes = random(300_000);
    await write("out/a/one.json", bytes);
    await write("out/two.json", random(0));
    const put = await run("put", "out/**/*.json", "--commit", "0123abc", "--kind", "sbom", "--label", "x=y");
    expect([put.code, put.stderr]).toEqual([0, ""]);
    expect(put.stdout.split("\n").filter(Boolean)).toHaveLength(2);
    const listed = JSON.parse((await run("list", "--commit", "0123abc", "--json")).stdout);
    expect(listed.map((it: { name: string }) => it.name).sort()).toEqual(["out/a/one.json", "out/two.json"]);
    const got = await run("get", "**/one.json", "--output", "here");
    expect(got.code).toBe(0);
    expect((await readFile(join(cwd, "here/out/a/one.json"))).equals(bytes)).toBe(true);
    const { id } = listed[0];
    expect((await run("pin", id)).code).toBe(0);
    expect((await run("rm", id)).code).toBe(1);
    expect((await run("pin", id, "--off")).code).toBe(0);
    expect((await run("rm", id)).code).toBe(0);
    expect((await run("rm", id)).code).toBe(3);
    expect((await run("get", "nothing")).code).toBe(3);
    expect((await run("put", "nothing", "--commit", "0123abc")).code).toBe(3);
    expect((await run("list", "--token", "sth_wrong")).code).toBe(4);
    expect((await run("list", "--stack", "no-project")).code).toBe(2);
    expect((await run("list", "--url", "http://127.0.0.1:1", "--retries", "0")).code).toBe(5);
  });

  it("goes on with a download that was cut off, and looks whether an upload had arrived", async () => {
    const server = await startTestServer();
    const bytes = random(900_000);
    await stored(server, "big", bytes);
    const cutDownload = await flakyProxy(server.url, (count) => (count === 1 ? 400_000 : null));
    const getting = commandLine(cutDownload);
    const got = await getting.run("get", "big", "--org", "main");
    expect([got.code, got.stderr]).toEqual([0, expect.stringContaining("was cut off")]);
    expect((await readFile(join(getting.cwd, "big"))).equals(bytes)).toBe(true);
    expect(server.logLines.some((it) => it.includes('"status":206'))).toBe(true);

    const cutUpload = await flakyProxy(server.url, (count) => (count === 0 ? 10 : null));
    const putting = commandLine(cutUpload);
    await putting.write("once", random(1000));
    const put = await putting.run("put", "once", "--org", "main", "--commit", "0123abc");
    expect(put.code).toBe(0);
    expect(await list(server, "?name=once")).toHaveLength(1);
  });

  it("takes what pulumi login keeps", async () => {
    const server = await startTestServer();
    const cwd = tempDir();
    await mkdir(join(cwd, ".pulumi"));
    const login = { current: server.url, accessTokens: { [server.url]: ADMIN_TOKEN } };
    await writeFile(join(cwd, ".pulumi/credentials.json"), JSON.stringify(login));
    const outcome = await runCommand(["artifact", "list", "--json"], { HOME: cwd }, { cwd });
    expect([outcome.code, outcome.stdout]).toEqual([0, "[]\n"]);
  });
});

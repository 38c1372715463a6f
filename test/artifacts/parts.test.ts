import { readFile, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { run, tempDir } from "../command-line/support.ts";
import { send } from "../support/client.ts";
import { ADMIN_TOKEN, makeTempDir, startTestServer, type TestServer } from "../support/server.ts";
import {
  API,
  base64Of,
  blobKeys,
  COMMIT,
  fileStores,
  get,
  list,
  random,
  sha256,
  startOver,
} from "./support.ts";

const PART = 16 * 1024 * 1024;

/** Passes everything on, as it comes, to whatever `url` is now; `onRequest` may say that this one is cut. */
async function proxyTo(target: { url: string }, onRequest: (what: string) => Promise<"cut" | "pass">) {
  const seen: string[] = [];
  const proxy = createServer(async (req, res) => {
    const what = `${req.method} ${(req.url ?? "").replace(/\?.*/, "")}`;
    seen.push(what);
    if ((await onRequest(what)) === "cut") {
      req.socket.destroy();
      return;
    }
    const { hostname, port } = new URL(target.url);
    const { method = "GET", url = "/", headers } = req;
    const onward = request({ hostname, port, method, path: url, headers, agent: false }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(res);
    });
    onward.once("error", () => res.destroy());
    req.pipe(onward);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  return { seen, url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
}

const begin = (server: TestServer, bytes: Uint8Array, more: Record<string, unknown> = {}) =>
  send(server, "POST", `${API}/uploads`, {
    ...{ commit: COMMIT, name: "a", size: bytes.length, sha256: sha256(bytes), inParts: true, ...more },
  });
const putPart = (server: TestServer, id: string, number: number, bytes: Uint8Array, of = bytes) =>
  send(server, "PUT", `${API}/uploads/${id}/parts/${number}`, bytes, {
    headers: { "content-type": "application/octet-stream", "x-amz-checksum-sha256": base64Of("sha256", of) },
  });

describe.each(fileStores())("uploads in parts on $label", (store) => {
  it("become one artifact when all parts are there, whole, in whatever order", async () => {
    const server = await startOver(store);
    const bytes = random(2 * PART + 5);
    const { body } = await begin(server, bytes);
    const parts = () => send(server, "GET", `${API}/uploads/${body.id}`);
    const finish = () => send(server, "POST", `${API}/uploads/${body.id}/complete`);
    expect((await parts()).body).toMatchObject({ size: bytes.length, partBytes: PART, parts: [] });
    expect(await putPart(server, body.id, 3, bytes.subarray(2 * PART))).toMatchObject({ status: 204 });
    expect(await putPart(server, body.id, 1, bytes.subarray(0, PART))).toMatchObject({ status: 204 });
    const short = bytes.subarray(PART, 2 * PART - 1);
    expect(await putPart(server, body.id, 2, short)).toMatchObject({ status: 400 });
    expect(await putPart(server, body.id, 2, random(PART), bytes)).toMatchObject({ status: 400 });
    expect(await putPart(server, body.id, 4, random(1))).toMatchObject({ status: 400 });
    expect((await parts()).body.parts).toEqual([1, 3]);
    expect(await finish()).toMatchObject({ status: 409 });
    expect(await list(server)).toEqual([]);
    await putPart(server, body.id, 2, bytes.subarray(PART, 2 * PART));
    expect(await finish()).toMatchObject({ status: 200, body: { size: bytes.length, encryption: "server" } });
    expect(await finish()).toMatchObject({ status: 200 });
    expect(await blobKeys(server)).toHaveLength(1);
    expect(await parts()).toMatchObject({ status: 404 });
    expect(sha256((await get(server, body.id)).bytes)).toBe(sha256(bytes));
  });

  it("are refused, and gone, when they are not what was announced", async () => {
    const server = await startOver(store);
    const { body } = await begin(server, random(9));
    await putPart(server, body.id, 1, random(9));
    const finish = () => send(server, "POST", `${API}/uploads/${body.id}/complete`);
    expect(await finish()).toMatchObject({ status: 400 });
    expect(await blobKeys(server)).toEqual([]);
    expect(await finish()).toMatchObject({ status: 409 });
  });

  it("are swept with the upload that nobody ends, or taken back with it", async () => {
    let nowMs = Date.now();
    const server = await startOver(store, {}, () => nowMs);
    const bytes = random(9);
    const [kept, back] = [(await begin(server, bytes)).body.id, (await begin(server, bytes)).body.id];
    for (const id of [kept, back]) await putPart(server, id, 1, bytes);
    expect(await blobKeys(server)).toHaveLength(2);
    expect(await send(server, "DELETE", `${API}/items/${back}`)).toMatchObject({ status: 204 });
    expect(await blobKeys(server)).toHaveLength(1);
    nowMs += 11 * 3_600_000;
    await server.scheduler.tick();
    expect(await blobKeys(server)).toHaveLength(1);
    nowMs += 3_600_001;
    await server.scheduler.tick();
    expect([await blobKeys(server), (await send(server, "GET", `${API}/usage`)).body.bytes]).toEqual([[], 0]);
    expect(await putPart(server, kept, 1, bytes)).toMatchObject({ status: 404 });
  });

  it("go on where they were after a cut connection and a restart of the server", async () => {
    const dataDir = await makeTempDir();
    const env = store.env();
    const current = { server: await startTestServer({ dataDir, env }) };
    const target = { url: current.server.url };
    let isCut = false;
    const proxy = await proxyTo(target, async (what) => {
      if (isCut || !/^POST .*\/parts\/2$/.test(what)) return "pass";
      isCut = true;
      await current.server.stop();
      current.server = await startTestServer({ dataDir, env });
      target.url = current.server.url;
      return "cut";
    });
    const cwd = tempDir();
    const bytes = random(2 * PART + 1_000_000);
    await writeFile(join(cwd, "big.zip"), bytes);
    const tool = (...args: string[]) =>
      run(
        ["artifact", ...args, "--org", "main"],
        { STATEHOUSE_URL: proxy.url, PULUMI_ACCESS_TOKEN: ADMIN_TOKEN, HOME: cwd },
        { cwd },
      );
    const put = await tool("put", "big.zip", "--commit", "0123abc");
    expect([put.code, put.stderr]).toEqual([0, expect.stringContaining("Trying again")]);
    const asked = (number: number) =>
      proxy.seen.filter((it) => it.endsWith(`/parts/${number}`) && it.startsWith("POST"));
    expect([asked(1), asked(2), asked(3)].map((it) => it.length)).toEqual([1, 2, 1]);
    const isThrough = proxy.seen.some((it) => it.startsWith("PUT "));
    expect(isThrough).toBe(store.label === "local disk"); // to the bucket itself where there is one
    expect(await blobKeys(current.server)).toHaveLength(1);
    const got = await tool("get", "big.zip", "--output", "back");
    expect(got.code).toBe(0);
    expect(sha256(await readFile(join(cwd, "back/big.zip")))).toBe(sha256(bytes));
    const again = await tool("put", "big.zip", "--commit", "0123abc");
    expect([again.code, again.stdout]).toEqual([0, expect.stringContaining("(was there)")]);
    expect(await list(current.server)).toHaveLength(1);
  }, 60_000);
});

/** Whole transfers between real engines: SQLite and a disk on one side, Postgres and S3 on the other. */

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pino from "pino";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { type RunningServer, startServer } from "../../server/start.ts";
import { openFilesOf } from "../../server/storage.ts";
import { StackClient, send } from "../support/client.ts";
import { up } from "../support/journal.ts";
import { startS3, type TestS3 } from "../support/s3.ts";
import { makeTempDir } from "../support/server.ts";
import {
  configOf,
  type Env,
  move,
  OTHER_KEY,
  postgresEnv,
  sqliteEnv,
  THIRD_KEY,
  useCredentials,
} from "./support.ts";

const MAIN = fileURLToPath(new URL("../../server/main.ts", import.meta.url));

let s3: TestS3;
beforeAll(async () => {
  s3 = await startS3();
  useCredentials(s3);
});
afterAll(async () => {
  await s3?.stop();
});

interface Served extends RunningServer {
  readonly url: string;
}

/** A server on data that stays when it stops. */
async function serve(env: Env): Promise<Served> {
  const server = await startServer({
    config: configOf(env),
    log: pino({ level: "silent" }),
    isCronOn: false,
  });
  let isStopped = false;
  const stop = async () => {
    if (isStopped) return;
    isStopped = true;
    await server.stop();
  };
  onTestFinished(stop);
  return { ...server, stop, url: `http://127.0.0.1:${server.port}` };
}

async function stackOf(server: { url: string }, name: string): Promise<StackClient> {
  return new StackClient(server, "shop", name).init();
}

/** A state that doesn't fit in a row: it becomes a blob. */
async function importLarge(stack: StackClient): Promise<void> {
  const { version, deployment } = await stack.deployment();
  const outputs = { noise: randomBytes(60_000).toString("base64") };
  const resources = deployment.resources.map((resource: object) => ({ ...resource, outputs }));
  const imported = { version, deployment: { ...deployment, resources } };
  expect(await stack.send("POST", "/import", imported)).toMatchObject({ status: 200 });
}

/** Stacks with several versions, secrets, tags, people and tokens. */
async function fill(server: Served, count = 3): Promise<unknown[]> {
  for (let index = 0; index < count; index += 1) {
    const stack = await stackOf(server, `s${index}`);
    await up(stack, ["a", "b"]);
    await up(stack, ["a", "b", "c"]);
    await importLarge(stack);
    await stack.send("PATCH", "/tags", { colour: `c${index}` });
  }
  await send(server, "POST", "/api/admin/v1/organizations", { name: "second" });
  await send(server, "POST", "/api/admin/v1/users", { login: "ada", name: "Ada" });
  return contentOf(server, count);
}

async function contentOf(server: { url: string }, count = 3): Promise<unknown[]> {
  const all: unknown[] = [];
  for (let index = 0; index < count; index += 1) {
    const stack = new StackClient(server, "shop", `s${index}`);
    all.push(await stack.deployment(), await stack.deployment(1), await stack.history());
  }
  all.push((await send(server, "GET", "/api/admin/v1/users")).body);
  const { statistics } = (await send(server, "GET", "/api/admin/v1/status")).body;
  return [...all, statistics];
}

const ENVIRONMENTS = { sqlite: async () => sqliteEnv(), postgres: async () => postgresEnv(s3) };

describe.each([
  ["sqlite", "postgres"],
  ["postgres", "sqlite"],
] as const)("from %s to %s", (fromKind, toKind) => {
  it("moves what is at rest, whole and proven", async () => {
    const [from, to] = [await ENVIRONMENTS[fromKind](), await ENVIRONMENTS[toKind]()];
    const first = await serve(from);
    const content = await fill(first);
    await first.stop();

    const report = await move(from, to, { newUrl: "https://new.example" });
    expect(report).toMatchObject({ outcome: "moved", isResumed: false });
    expect(report.verification).toMatchObject({ versions: 9, stacks: 3, problems: [] });

    const second = await serve(to);
    expect(await contentOf(second)).toEqual(content);
    await up(new StackClient(second, "shop", "s0"), ["d"]);
    expect(await new StackClient(second, "shop", "s0").history()).toHaveLength(4);
  });

  it("leaves a source that says where it went, also after a restart", async () => {
    const [from, to] = [await ENVIRONMENTS[fromKind](), await ENVIRONMENTS[toKind]()];
    const first = await serve(from);
    await fill(first, 1);
    await first.stop();
    await move(from, to, { newUrl: "https://new.example" });

    const old = await serve(from);
    const stack = new StackClient(old, "shop", "s0");
    const refused = [
      await stack.send("POST", "/update", { options: {}, config: {}, metadata: {} }),
      await stack.send("POST", "/import", await stack.deployment(), { gzip: true }),
      await stack.send("DELETE", "?force=true"),
      await send(old, "POST", "/api/stacks/main/shop", { stackName: "new" }),
      await send(old, "POST", "/api/admin/v1/organizations", { name: "third" }),
    ];
    for (const answer of refused) {
      expect(answer.status, answer.text).toBe(410);
      expect(answer.body).toMatchObject({
        code: 410,
        message: expect.stringContaining("https://new.example"),
      });
    }
    await old.stop();
    await expect(move(from, await ENVIRONMENTS[toKind]())).rejects.toThrow("was moved already");
  });

  it("copies while the source serves, and misses nothing that it acknowledged", async () => {
    const [from, to] = [await ENVIRONMENTS[fromKind](), await ENVIRONMENTS[toKind]()];
    const source = await serve(from);
    await fill(source, 1);
    const acknowledged: string[] = [];
    let isOver = false;
    const traffic = (async () => {
      for (let index = 0; !isOver && index < 200; index += 1) {
        try {
          const stack = await stackOf(source, `t${index}`);
          await up(stack, ["x"]);
          acknowledged.push(stack.stack);
        } catch (error) {
          expect(String(error)).toMatch(/50[03]|410/);
          return;
        }
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const report = await move(from, to, { fromUrl: source.url, waitMs: 20_000 });
    isOver = true;
    await traffic;
    expect(report.verification?.problems).toEqual([]);
    expect(acknowledged.length).toBeGreaterThan(0);
    await source.stop();
    const target = await serve(to);
    for (const name of acknowledged) {
      const { deployment } = await new StackClient(target, "shop", name).deployment();
      expect(deployment.resources, name).toHaveLength(2);
    }
  });

  it("refuses while an update runs, or waits for its end; it never cuts one", async () => {
    const [from, to] = [await ENVIRONMENTS[fromKind](), await ENVIRONMENTS[toKind]()];
    const source = await serve(from);
    const stack = await stackOf(source, "busy");
    const update = await stack.begin();
    await expect(move(from, to, { fromUrl: source.url })).rejects.toThrow("1 update is running");
    expect((await update.renew()).status).toBe(200);
    await stackOf(source, "open-again");

    let sawWait = false;
    const moving = move(from, to, {
      fromUrl: source.url,
      waitMs: 20_000,
      onProgress: ({ phase }) => {
        if (phase === "waiting") sawWait = true;
      },
    });
    while (!sawWait) await new Promise((resolve) => setTimeout(resolve, 20));
    const other = new StackClient(source, "shop", "open-again");
    expect((await other.send("POST", "/update", { options: {}, config: {}, metadata: {} })).status).toBe(503);
    expect((await update.renew()).status).toBe(200);
    expect((await update.complete()).status).toBeLessThan(300);
    expect(await moving).toMatchObject({ outcome: "moved", isResumed: true });
  });

  it("goes on after kill -9, wherever it was", { timeout: 60_000 }, async () => {
    const [from, to] = [await ENVIRONMENTS[fromKind](), await ENVIRONMENTS[toKind]()];
    const first = await serve(from);
    const content = await fill(first, 2);
    await first.stop();
    const folder = await makeTempDir();
    const write = (name: string, env: Env) =>
      writeFile(
        join(folder, name),
        Object.entries(env)
          .map(([key, value]) => `${key}=${value}\n`)
          .join(""),
      );
    await write("from.env", from);
    await write("to.env", to);
    for (const at of ["blobs", "rows", "last rows", "verifying"]) {
      const args = [MAIN, "transfer", "--from", join(folder, "from.env"), "--to", join(folder, "to.env")];
      const child = spawn(process.execPath, args, { cwd: folder, env: { ...process.env } });
      let said = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        if (said.includes(`${at} `)) child.kill("SIGKILL");
      });
      const [code, signal] = await once(child, "exit");
      // A kill may come too late for the last steps; what counts is that the end is the same.
      if (code === 0) break;
      expect(signal, said).toBe("SIGKILL");
      await expect(serve(to)).rejects.toThrow("has not finished");
    }
    const marked = await move(from, to).catch((error: unknown) => String(error));
    if (typeof marked === "string") expect(marked).toContain("was moved already");
    expect(await contentOf(await serve(to), 2)).toEqual(content);
  });

  it("notices a blob that is not what its row says", async () => {
    const [from, to] = [await ENVIRONMENTS[fromKind](), await ENVIRONMENTS[toKind]()];
    const first = await serve(from);
    await fill(first, 1);
    const keys: string[] = [];
    for await (const { key } of first.ctx.blobs.list("stacks/")) keys.push(key);
    const [key = ""] = keys;
    const bytes: Uint8Array[] = [];
    for await (const chunk of await first.ctx.blobs.open(key)) bytes.push(chunk);
    const good = Buffer.concat(bytes);
    const bad = Buffer.from(good);
    bad[bad.length - 1] = (bad.at(-1) ?? 0) ^ 1;

    // A bad copy on the target is made again.
    const files = await openFilesOf(configOf(to));
    await files.put(key, [bad], { maxBytes: bad.length });
    await files.close();
    // What is bad at the source already is told, and the source goes on serving.
    await first.ctx.blobs.put(key, [bad], { maxBytes: bad.length });
    await first.stop();
    await expect(move(from, to)).rejects.toThrow("can't be opened");
    const again = await serve(from);
    await stackOf(again, "still-open");
    await again.ctx.blobs.put(key, [good], { maxBytes: good.length });
    await again.stop();
    expect((await move(from, to)).verification).toMatchObject({ problems: [] });
  });

  it("carries the keys over to a target with one of its own, which needs no other afterwards", async () => {
    const [from, to] = [await ENVIRONMENTS[fromKind](), await ENVIRONMENTS[toKind]()];
    const first = await serve(from);
    const content = await fill(first, 1);
    const stack = new StackClient(first, "shop", "s0");
    const secret = Buffer.from("hunter2").toString("base64");
    const { ciphertext } = (await stack.send("POST", "/encrypt", { plaintext: secret })).body;
    await first.stop();
    const other = { ...to, STATEHOUSE_ENCRYPTION_KEY: OTHER_KEY };
    expect((await move(from, other)).verification).toMatchObject({ versions: 3, problems: [] });

    const second = await serve(other);
    expect(await contentOf(second, 1)).toEqual(content);
    const moved = new StackClient(second, "shop", "s0");
    expect((await moved.send("POST", "/decrypt", { ciphertext })).body).toEqual({ plaintext: secret });
    await up(moved, ["e"]);
    await second.stop();
    await expect(serve({ ...to, STATEHOUSE_ENCRYPTION_KEY: THIRD_KEY })).rejects.toThrow("encryption key");

    // And once more, to a third key: those that came along before go along again.
    const third = { ...(await ENVIRONMENTS[fromKind]()), STATEHOUSE_ENCRYPTION_KEY: THIRD_KEY };
    expect((await move(other, third)).verification).toMatchObject({ versions: 4, problems: [] });
    const last = await serve(third);
    const again = new StackClient(last, "shop", "s0");
    expect((await again.send("POST", "/decrypt", { ciphertext })).body).toEqual({ plaintext: secret });
    expect(await again.deployment(1)).toEqual(content[1]);
    await up(again, ["f"]);
  });

  it("refuses a key that it can't know, unless the target lists it for the transfer", async () => {
    const [from, to] = [await ENVIRONMENTS[fromKind](), await ENVIRONMENTS[toKind]()];
    const first = await serve(from);
    await fill(first, 1);
    const other = { ...to, STATEHOUSE_ENCRYPTION_KEY: OTHER_KEY };
    await expect(move(from, other, { fromUrl: first.url })).rejects.toThrow("another encryption");
    const previous = String(from.STATEHOUSE_ENCRYPTION_KEY);
    const listed = { ...other, STATEHOUSE_PREVIOUS_ENCRYPTION_KEYS: previous };
    const report = await move(from, listed, { fromUrl: first.url });
    expect(report.verification).toMatchObject({ versions: 3, problems: [] });
    const second = await serve(other);
    await up(new StackClient(second, "shop", "s0"), ["e"]);
  });

  it("reads every artifact on the target: one with other bytes of the same size is noticed", async () => {
    const [from, to] = [await ENVIRONMENTS[fromKind](), await ENVIRONMENTS[toKind]()];
    const first = await serve(from);
    await stackOf(first, "s0");
    const path = `/api/artifacts/main?commit=${"0123abc".repeat(6).slice(0, 40)}&name=plan.txt`;
    const uploaded = await send(first, "PUT", path, Buffer.from("the plan"), {
      headers: { "content-type": "application/octet-stream" },
    });
    expect(uploaded.status, uploaded.text).toBe(201);
    const [key = ""] = await keysUnder(first, "artifacts/");
    const good = await blobBytes(first, key);
    await first.ctx.blobs.put(key, [flipped(good)], { maxBytes: good.length });
    await first.stop();
    await expect(move(from, to)).rejects.toThrow(/artifact .* can't be opened/);

    const again = await serve(from);
    await again.ctx.blobs.put(key, [good], { maxBytes: good.length });
    await again.stop();
    // The bad copy of the same size is still on the target: it is made again.
    expect((await move(from, to)).verification).toMatchObject({ artifacts: 1, problems: [] });
  });
});

async function keysUnder(server: Served, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of server.ctx.blobs.list(prefix)) keys.push(key);
  return keys;
}

async function blobBytes(server: Served, key: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await server.ctx.blobs.open(key)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function flipped(bytes: Buffer): Buffer {
  const bad = Buffer.from(bytes);
  bad[bad.length - 1] = (bad.at(-1) ?? 0) ^ 1;
  return bad;
}

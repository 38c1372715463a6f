/** Starts, stops and take-overs of the real server, as whoever operates it sees them. */
import { createHash } from "node:crypto";
import { readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { StackClient } from "../support/client.ts";
import { spawnServer } from "../support/process.ts";
import { ADMIN_TOKEN, makeTempDir, ORG } from "../support/server.ts";
import { deploymentOf, emptyState, findDifference, type State } from "./state-model.ts";
import { begunEntry, pendingNumbers, statusOf, upTo } from "./wire.ts";

/** Aim: 2 s. The rest is for a machine that does other things, too. */
const TAKE_OVER_MS_MAX = 4_000;
const STOP_MS_MAX = 8_000;

/** Every file with its size, times and content, and every folder: anything written would show. */
async function pictureOf(dir: string): Promise<Record<string, string>> {
  const picture: Record<string, string> = {};
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const { size, mtimeMs, ctimeMs, mode } = await stat(path);
    const content = entry.isFile()
      ? createHash("sha256")
          .update(await readFile(path))
          .digest("hex")
      : "folder";
    picture[path.slice(dir.length)] = [size, mtimeMs, ctimeMs, mode, content].join(" ");
  }
  return picture;
}

function stateOf(stack: string, ...names: string[]): State {
  return { ...emptyState(stack), resources: new Map(names.map((name, index) => [name, index])) };
}

async function importInto(
  server: { readonly url: string },
  stack: string,
  ...names: string[]
): Promise<State> {
  const state = stateOf(stack, ...names);
  const client = new StackClient(server, "shop", stack);
  await client.init();
  const body = { version: 3, deployment: deploymentOf(state) };
  expect(await client.send("POST", "/import", body)).toMatchObject({ status: 200 });
  return state;
}

async function expectState(server: { readonly url: string }, state: State): Promise<void> {
  const { text } = await new StackClient(server, "shop", state.stack).send("GET", "/export");
  expect(findDifference(text, state)).toBeNull();
}

function waitLine(pid: number): RegExp {
  return new RegExp(`Waiting: .* is in use by process ${pid} on \\S+ since \\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z`);
}

describe("a second instance on the same folder", () => {
  it("says for whom it waits, is not there for anybody, and writes nothing", async () => {
    const dataDir = await makeTempDir();
    const first = await spawnServer({ dataDir }).ready();
    await importInto(first, "dev", "a");
    first.signal("SIGSTOP"); // its own heartbeat would change the folder, too
    const before = await pictureOf(dataDir);
    const second = spawnServer({ dataDir });
    await second.until("says that it waits", () => waitLine(first.pid).test(second.stderr));
    await sleep(1_000);
    expect(second.url).toBe("");
    expect(second.isRunning).toBe(true);
    expect(await pictureOf(dataDir)).toEqual(before);
    first.signal("SIGCONT");
    await importInto(first, "prod", "b");
  });

  it("does not listen while it waits", async () => {
    const dataDir = await makeTempDir();
    const first = await spawnServer({ dataDir }).ready();
    const port = String(20_000 + (process.pid % 20_000));
    const second = spawnServer({ dataDir, env: { STATEHOUSE_PORT: port } });
    await second.until("waits", () => second.stderr.includes("Waiting"));
    const there = () => fetch(`http://127.0.0.1:${port}/readyz`).then((it) => it.status);
    await expect(there()).rejects.toThrow("fetch failed");
    await first.kill();
    await second.ready();
    expect(await there()).toBe(200);
  });

  it.each(["SIGKILL", "SIGTERM"] as const)(
    "takes over after a %s of the first, with all its data",
    async (signal) => {
      const dataDir = await makeTempDir();
      const first = await spawnServer({ dataDir }).ready();
      const second = spawnServer({ dataDir });
      await second.until("waits", () => second.stderr.includes("Waiting"));
      const stack = await new StackClient(first, "shop", "running").init();
      const update = await stack.begin();
      const state = await importInto(first, "dev", "a", "b");
      const startedMs = performance.now();
      first.signal(signal);
      await second.ready();
      expect(performance.now() - startedMs).toBeLessThan(TAKE_OVER_MS_MAX);
      expect(await first.exited).toEqual(
        signal === "SIGKILL" ? { code: null, signal } : { code: 0, signal: null },
      );
      await expectState(second, state);
      // An update that the first had started goes on at the second.
      const there = new StackClient(second, "shop", "running");
      const headers = { authorization: `update-token ${update.token}` };
      const end = await there.send(
        "POST",
        `/update/${update.id}/complete`,
        { status: "succeeded" },
        { headers },
      );
      expect(end).toMatchObject({ status: 204 });
    },
  );

  it("ends at once and quietly when it is stopped while it waits", async () => {
    const dataDir = await makeTempDir();
    const first = await spawnServer({ dataDir }).ready();
    const second = spawnServer({ dataDir });
    await second.until("waits", () => second.stderr.includes("Waiting"));
    const startedMs = performance.now();
    second.signal("SIGTERM");
    expect(await second.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    expect(second.stderr.trim().split("\n")).toHaveLength(1);
    await importInto(first, "dev", "a");
  });

  it("waits its turn with others: one follows the other, and none at the same time", async () => {
    const dataDir = await makeTempDir();
    let current = await spawnServer({ dataDir }).ready();
    let others = [spawnServer({ dataDir }), spawnServer({ dataDir })];
    for (const other of others) await other.until("waits", () => other.stderr.includes("Waiting"));
    for (const name of ["one", "two"]) {
      await importInto(current, name, name);
      await current.kill();
      await Promise.any(others.map((other) => other.ready()));
      await sleep(600); // two polls of whoever still waits
      expect(others.filter((other) => other.url !== "")).toHaveLength(1);
      current = others.find((other) => other.url !== "") ?? current;
      others = others.filter((other) => other !== current);
    }
    await expectState(current, stateOf("one", "one"));
    await expectState(current, stateOf("two", "two"));
  });
});

describe("a stop", () => {
  it("answers what is under way, frees its clients and ends with exit code 0", async () => {
    const dataDir = await makeTempDir();
    const server = await spawnServer({ dataDir }).ready();
    const names = ["a", "b", "c", "d"];
    const stacks = await Promise.all(names.map((name) => new StackClient(server, "shop", name).init()));
    // Keep-alive clients that go on asking for as long as they are answered.
    const agent = new Agent({ keepAlive: true });
    const acknowledged: number[] = stacks.map(() => 0);
    const load = stacks.map(async (stack, index) => {
      const update = await stack.begin();
      const call = {
        ...{ agent, url: server.url, method: "PATCH", authorization: `update-token ${update.token}` },
        path: `${stack.path}/update/${update.id}/journalentries`,
      };
      for (let number = 1; ; number++) {
        const entries = [begunEntry(names[index] ?? "", number)];
        const status = await statusOf({ ...call, body: JSON.stringify({ entries }) });
        if (status === null) return update;
        expect(status).toBe(204);
        acknowledged[index] = number;
      }
    });
    await sleep(300);
    // Uploads of which the server has one half when it is told to stop.
    const uploads = ["w", "x", "y", "z"].map((name) => new HalfUpload(agent, server.url, name));
    await Promise.all(uploads.map((it) => it.begin()));
    const startedMs = performance.now();
    server.signal("SIGTERM");
    await server.until("says that it stops", () => server.stdout.includes("stopping"));
    await sleep(300);
    expect(await Promise.all(uploads.map((it) => it.end()))).toEqual([200, 200, 200, 200]);
    const updates = await Promise.all(load);
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - startedMs).toBeLessThan(STOP_MS_MAX);
    expect(server.stderr).toBe("");
    agent.destroy();

    const again = await spawnServer({ dataDir }).ready();
    for (const name of ["w", "x", "y", "z"]) {
      expect(await new StackClient(again, "shop", name).send("GET", "")).toMatchObject({ status: 200 });
    }
    for (const [index, update] of updates.entries()) {
      const stack = new StackClient(again, "shop", names[index] ?? "");
      expect(await stack.send("POST", `/update/${update.id}/cancel`)).toMatchObject({ status: 204 });
      const kept = pendingNumbers((await stack.deployment()).deployment);
      const sent = acknowledged[index] ?? 0;
      expect(sent).toBeGreaterThan(0);
      // One more may have been stored whose answer the stop cut off.
      expect([upTo(sent), upTo(sent + 1)]).toContainEqual(kept);
    }
  });

  it("cuts off who never ends, after the time that the settings give", async () => {
    const dataDir = await makeTempDir();
    const server = await spawnServer({ dataDir, env: { STATEHOUSE_SHUTDOWN_SECONDS: "1" } }).ready();
    const agent = new Agent({ keepAlive: true });
    const upload = new HalfUpload(agent, server.url, "never");
    await upload.begin();
    const startedMs = performance.now();
    server.signal("SIGTERM");
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - startedMs).toBeLessThan(STOP_MS_MAX);
    agent.destroy();
  });
});

describe("a start is refused", () => {
  it("with another encryption key than the data's", async () => {
    const dataDir = await makeTempDir();
    const first = await spawnServer({ dataDir }).ready();
    const state = await importInto(first, "dev", "a");
    first.signal("SIGTERM");
    await first.exited;
    const wrong = spawnServer({ dataDir, env: { STATEHOUSE_ENCRYPTION_KEY: "ab".repeat(32) } });
    expect(await wrong.exited).toEqual({ code: 1, signal: null });
    expect(wrong.stderr).toContain(
      `The encryption key is not the one that the data in ${dataDir} was written with`,
    );
    expect(wrong.stderr).not.toContain("    at "); // a sentence, not a stack
    expect(wrong.url).toBe("");
    await expectState(await spawnServer({ dataDir }).ready(), state);
  });

  it("without the key file beside a database, and a new key isn't made", async () => {
    const dataDir = await makeTempDir();
    const first = await spawnServer({ dataDir }).ready();
    const state = await importInto(first, "dev", "a");
    await first.kill();
    const path = join(dataDir, "encryption.key");
    await rename(path, `${path}.away`);
    const without = spawnServer({ dataDir });
    expect((await without.exited).code).toBe(1);
    expect(without.stderr).toContain(`its key ${path} is gone`);
    await expect(stat(path)).rejects.toThrow("ENOENT");
    await rename(`${path}.away`, path);
    await expectState(await spawnServer({ dataDir }).ready(), state);
  });

  it("on a port that is taken, and the folder is free again", async () => {
    const dataDir = await makeTempDir();
    const other = await spawnServer({ dataDir: await makeTempDir() }).ready();
    const { port } = new URL(other.url);
    const server = spawnServer({ dataDir, env: { STATEHOUSE_PORT: port } });
    expect((await server.exited).code).toBe(1);
    expect(server.stderr).toContain(`The port ${port} is taken`);
    await spawnServer({ dataDir }).ready();
  });

  it("where its files can't be stored, and does not hang", async () => {
    const dataDir = await makeTempDir();
    await writeFile(join(dataDir, "blobs"), "in the way");
    const server = spawnServer({ dataDir });
    expect((await server.exited).code).toBe(1);
    expect(server.stderr).toContain("statehouse: ");
    await rm(join(dataDir, "blobs"));
    await spawnServer({ dataDir }).ready();
  });
});

/** A stack's creation of which one half is sent first and the other when it is asked for. */
class HalfUpload {
  readonly #body: Buffer;
  readonly #call: ReturnType<typeof request>;
  readonly #status: Promise<number | undefined>;

  constructor(agent: Agent, url: string, stackName: string) {
    this.#body = Buffer.from(JSON.stringify({ stackName, tags: { filler: "x".repeat(200) } }));
    const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
    this.#status = promise;
    promise.catch(() => undefined);
    const headers = { authorization: `token ${ADMIN_TOKEN}`, "content-length": this.#body.length };
    this.#call = request(`${url}/api/stacks/${ORG}/shop`, { agent, method: "POST", headers }, (answer) => {
      answer.resume();
      answer.once("end", () => resolve(answer.statusCode));
    });
    this.#call.once("error", reject);
  }

  /** The server has the first half on return. */
  async begin(): Promise<void> {
    await new Promise((resolve) => this.#call.write(this.#body.subarray(0, 100), resolve));
    await sleep(100);
  }

  end(): Promise<number | undefined> {
    this.#call.end(this.#body.subarray(100));
    return this.#status;
  }
}

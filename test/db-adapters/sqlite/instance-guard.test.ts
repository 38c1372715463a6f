import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { DatabaseUnavailableError } from "../../../db-adapters/contract.ts";
import { Fence } from "../../../db-adapters/sqlite/fence.ts";
import {
  acquireInstance,
  type Instance,
  InstanceLostError,
  type Owner,
} from "../../../db-adapters/sqlite/instance-guard.ts";
import { makeTempDir, openFor } from "./support.ts";

const HOLDER = join(import.meta.dirname, "hold-instance.ts");

class Holder {
  readonly child: ChildProcess;
  output = "";

  constructor(dir: string, staleMs = 1000) {
    this.child = spawn(process.execPath, [HOLDER, dir, String(staleMs)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.output += text;
    });
    onTestFinished(() => void this.child.kill("SIGKILL"));
  }

  async says(words: string): Promise<void> {
    await expect.poll(() => this.output, { timeout: 10_000, interval: 10 }).toContain(words);
  }

  tell(line: string): void {
    this.child.stdin?.write(`${line}\n`);
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await once(this.child, "close");
  }
}

function recordOf(dir: string): Owner {
  return JSON.parse(readFileSync(join(dir, "instance.json"), "utf8")) as Owner;
}

async function acquire(dir: string, onWait?: (owner: Owner) => void): Promise<Instance> {
  const instance = await acquireInstance({
    ...{ dir, heartbeatMs: 50, staleMs: 1000 },
    ...(onWait === undefined ? {} : { onWait }),
  });
  onTestFinished(() => instance.release());
  return instance;
}

describe("one instance a data folder", () => {
  it("takes a free folder, shows who it is and says when it let go", async () => {
    const dir = await makeTempDir();
    const instance = await acquire(dir);
    expect(recordOf(dir)).toMatchObject({ pid: process.pid, fence: 1, releasedMs: null });
    const { heartbeatMs } = recordOf(dir);
    await expect.poll(() => recordOf(dir).heartbeatMs).toBeGreaterThan(heartbeatMs);
    await instance.verify();
    await instance.release();
    await instance.release();
    expect(recordOf(dir).releasedMs).toBeGreaterThan(0);
    await expect(instance.verify()).rejects.toThrow(InstanceLostError);
    expect((await acquire(dir)).fence.number).toBe(2);
  });

  it("waits for a living owner, says for whom, touches nothing, and takes over on release", async () => {
    const dir = await makeTempDir();
    const first = new Holder(dir);
    await first.says("owner 1");
    const waitedFor: Owner[] = [];
    const second = acquire(dir, (owner) => waitedFor.push(owner));
    await sleep(600);
    expect(waitedFor).toHaveLength(1);
    expect(waitedFor[0]).toMatchObject({ pid: first.child.pid, fence: 1 });
    expect(recordOf(dir).pid).toBe(first.child.pid);
    expect(readdirSync(dir).filter((name) => name.startsWith("instance"))).toEqual([
      "instance.json",
      "instance.lock",
    ]);
    first.tell("release");
    expect((await second).fence.number).toBe(2);
    expect(recordOf(dir).pid).toBe(process.pid);
  });

  it("takes over at once when the owner was killed", async () => {
    const dir = await makeTempDir();
    const first = new Holder(dir, 60_000);
    await first.says("owner 1");
    first.tell("write one");
    await first.says("wrote created");
    const second = acquireInstance({ dir, heartbeatMs: 50, staleMs: 60_000 });
    await sleep(300);
    await first.kill();
    const killedAt = performance.now();
    const instance = await second;
    expect(performance.now() - killedAt).toBeLessThan(2_000);
    expect(instance.fence.number).toBe(2);
    const db = await openFor({ path: join(dir, "a.db"), fence: instance.fence });
    expect(await db.findOrganization("one")).not.toBeNull();
    expect(await db.createOrganization({ id: "two", name: "two", nowMs: 1 })).toBe("created");
    await db.close();
    await instance.release();
  });

  it("lets exactly one of several waiters in at a time", async () => {
    const dir = await makeTempDir();
    const first = await acquire(dir);
    const holders = [new Holder(dir), new Holder(dir), new Holder(dir)];
    await Promise.all(holders.map((holder) => holder.says("waiting for 1")));
    await first.release();
    const owners = () => holders.filter((holder) => holder.output.includes("owner "));
    await expect.poll(() => owners().length, { timeout: 5_000 }).toBe(1);
    await sleep(700);
    expect(owners()).toHaveLength(1);
  });

  it("ends the wait on a signal", async () => {
    const dir = await makeTempDir();
    await acquire(dir);
    const signal = AbortSignal.timeout(300);
    await expect(acquireInstance({ dir, signal })).rejects.toThrow();
  });

  it("writes nothing any more when it wakes and another owns the folder", async () => {
    const dir = await makeTempDir();
    const first = new Holder(dir);
    await first.says("owner 1");
    first.tell("write before");
    await first.says("wrote created");
    first.child.kill("SIGSTOP");
    const second = acquire(dir);
    // A stopped process keeps its locks. A network file system may take them; here the lock file goes.
    await sleep(400);
    expect(recordOf(dir).fence).toBe(1);
    rmSync(join(dir, "instance.lock"));
    const instance = await second;
    expect(instance.fence.number).toBe(2);
    const db = await openFor({ path: join(dir, "a.db"), fence: instance.fence });
    await db.createOrganization({ id: "mine", name: "mine", nowMs: 1 });
    first.tell("write after");
    first.child.kill("SIGCONT");
    await first.says("refused: DatabaseUnavailableError: another instance has taken over");
    await first.says("lost: taken over by pid");
    expect(await db.findOrganization("after")).toBeNull();
    expect(recordOf(dir)).toMatchObject({ pid: process.pid, fence: 2 });
    await instance.verify();
    await db.close();
  });

  it("says that it is lost, though a commit found out in the middle of a heartbeat", async () => {
    const dir = await makeTempDir();
    const lost: string[] = [];
    let commit = () => {};
    let asked = 0;
    const nowMs = () => {
      asked += 1;
      // A beat asks once before it reads the record, and once more when it has found its own number there.
      if (asked % 2 === 0) commit();
      return Date.now();
    };
    const onLost = (reason: string) => void lost.push(reason);
    const instance = await acquireInstance({ dir, heartbeatMs: 20, staleMs: 1000, nowMs, onLost });
    onTestFinished(() => instance.release());
    asked = 0;
    commit = () => new Fence(instance.fence).markLost();
    await expect.poll(() => lost, { timeout: 5_000 }).toHaveLength(1);
  });

  it("refuses commits once it has let go", async () => {
    const dir = await makeTempDir();
    const instance = await acquire(dir);
    const db = await openFor({ path: join(dir, "a.db"), fence: instance.fence });
    await db.createOrganization({ id: "a", name: "a", nowMs: 1 });
    await instance.release();
    const late = db.createOrganization({ id: "b", name: "b", nowMs: 1 });
    await expect(late).rejects.toThrow(DatabaseUnavailableError);
    expect(await db.findOrganization("b")).toBeNull();
  });
});

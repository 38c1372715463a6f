import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { CronLock, EventBus } from "../../../db-adapters/contract.ts";
import { inProcessBus, inProcessCronLock, noSharedRates } from "../../../db-adapters/in-process-bus.ts";
import { makeDatabase, openFor, query, testCluster } from "../../support/postgres.ts";

const HOLDER = join(import.meta.dirname, "hold-cron-lock.ts");

async function until(isSo: () => boolean, withinMs = 5_000): Promise<void> {
  for (const deadline = performance.now() + withinMs; !isSo(); await sleep(10))
    if (performance.now() > deadline) throw new Error("not in time");
}

async function twoReplicas() {
  const url = await makeDatabase();
  return { url, replicas: [await openFor({ url }), await openFor({ url })] as const };
}

const buses: [string, () => Promise<readonly [EventBus, EventBus]>][] = [
  [
    "in-process",
    async () => {
      const bus = inProcessBus();
      return [bus, bus];
    },
  ],
  ["postgres", async () => (await twoReplicas()).replicas],
];

describe.each(buses)("events (%s)", (_, make) => {
  it("reach every subscriber of the topic and nobody else", async () => {
    const [one, two] = await make();
    const heard: string[] = [];
    await one.subscribe("update/1", (payload) => heard.push(`one ${payload}`));
    const end = await two.subscribe("update/1", (payload) => heard.push(`two ${payload}`));
    await two.subscribe("update/2", (payload) => heard.push(`other ${payload}`));
    await one.publish("update/1", 'ünï "a"');
    await until(() => heard.length === 2);
    expect(heard.sort()).toEqual(['one ünï "a"', 'two ünï "a"']);
    await end();
    await end();
    await two.publish("update/1", "b");
    await until(() => heard.length === 3);
    await sleep(50);
    expect(heard[2]).toBe("one b");
    expect(heard).toHaveLength(3);
  });

  it("are refused when they are too large", async () => {
    const [one] = await make();
    await expect(one.publish("t", "é".repeat(3_501))).rejects.toThrow(RangeError);
    await one.publish("t", "é".repeat(3_500));
  });
});

describe("events (postgres)", () => {
  const LISTENERS = `select pid from pg_stat_activity where query ilike 'listen%' and datname = `;

  it("hold a connection only while somebody listens", async () => {
    const { url, replicas } = await twoReplicas();
    const text = `${LISTENERS} '${new URL(url).pathname.slice(1)}'`;
    const listeners = async () => (await query(await testCluster(), text)).length;
    const ends = [await replicas[0].subscribe("a", () => {}), await replicas[0].subscribe("b", () => {})];
    expect(await listeners()).toBe(1);
    for (const end of ends) await end();
    await sleep(50);
    expect(await listeners()).toBe(0);
  });

  it("go on after a lost connection, and say that some may be missing", async () => {
    const { url, replicas } = await twoReplicas();
    const heard: (string | null)[] = [];
    await replicas[0].subscribe("a", (payload) => heard.push(payload));
    const name = new URL(url).pathname.slice(1);
    await query(
      await testCluster(),
      `select pg_terminate_backend(pid) from (${LISTENERS} '${name}') listeners`,
    );
    await until(() => heard.length === 1);
    await replicas[1].publish("a", "again");
    await until(() => heard.length === 2);
    expect(heard).toEqual([null, "again"]);
  });
});

const locks: [string, () => Promise<readonly [CronLock, CronLock]>][] = [
  [
    "in-process",
    async () => {
      const lock = inProcessCronLock();
      return [lock, lock];
    },
  ],
  ["postgres", async () => (await twoReplicas()).replicas],
];

describe.each(locks)("the cron lock (%s)", (_, make) => {
  it("is one replica's at a time, by name", async () => {
    const [one, two] = await make();
    const held = await one.tryCronLock("gc");
    expect(held).not.toBeNull();
    expect(await two.tryCronLock("gc")).toBeNull();
    const other = await two.tryCronLock("backup");
    expect(other).not.toBeNull();
    await held?.release();
    const next = await two.tryCronLock("gc");
    expect(next).not.toBeNull();
    await next?.release();
    await other?.release();
  });
});

describe("the cron lock (postgres)", () => {
  it("is freed by its holder's death", async () => {
    const { url, replicas } = await twoReplicas();
    const child = spawn(process.execPath, [HOLDER, url], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    expect(await replicas[0].tryCronLock("gc")).toBeNull();
    child.kill("SIGKILL");
    await once(child, "close");
    let held = null;
    for (let i = 0; held === null && i < 50; i += 1) {
      held = await replicas[0].tryCronLock("gc");
      await sleep(20);
    }
    expect(held).not.toBeNull();
    await held?.release();
  });
});

describe("rate counts (in-process)", () => {
  it("are nobody else's", async () => {
    expect(await noSharedRates().countRate("a", { lengthMs: 1_000, nowMs: 0 })).toBeNull();
  });
});

describe("rate counts (postgres)", () => {
  it("are the same for all replicas, one for each key, until their window ends", async () => {
    const { replicas } = await twoReplicas();
    const count = (replica: 0 | 1, key: string, nowMs: number) =>
      replicas[replica].countRate(key, { lengthMs: 1_000, nowMs });
    expect(await count(0, "a", 100)).toEqual({ count: 1, endsMs: 1_100 });
    expect(await count(1, "a", 1_099)).toEqual({ count: 2, endsMs: 1_100 });
    expect(await count(1, "b", 1_099)).toEqual({ count: 1, endsMs: 2_099 });
    expect(await count(0, "a", 1_100)).toEqual({ count: 1, endsMs: 2_100 });
  });

  it("miss none of many at the same time", async () => {
    const { replicas } = await twoReplicas();
    const window = { lengthMs: 1_000, nowMs: 0 };
    const all = Array.from({ length: 60 }, (_, index) =>
      replicas[index % 2 === 0 ? 0 : 1].countRate("a", window),
    );
    const counts = (await Promise.all(all)).map((it) => it?.count ?? 0).sort((a, b) => a - b);
    expect(counts).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
  });

  it("keep no rows of ended windows, however many keys come at the same time", async () => {
    const { url, replicas } = await twoReplicas();
    const keys = Array.from({ length: 150 }, (_, index) => `key ${index}`);
    for (const nowMs of [0, 1_000, 2_000]) {
      const counted = await Promise.all(
        keys.map((key, index) =>
          replicas[index % 2 === 0 ? 0 : 1].countRate(`${key} ${nowMs}`, { lengthMs: 1_000, nowMs }),
        ),
      );
      expect(counted.map((it) => it?.count)).toEqual(keys.map(() => 1));
    }
    const rows = await query<{ ends_ms: string }>(url, "select distinct ends_ms from rate_count");
    expect(rows.map(({ ends_ms: endsMs }) => Number(endsMs))).toEqual([3_000]);
  });

  it("are not known while the database can't be asked, which nobody has to catch", async () => {
    const { replicas } = await twoReplicas();
    await replicas[0].close();
    expect(await replicas[0].countRate("a", { lengthMs: 1_000, nowMs: 0 })).toBeNull();
  });
});

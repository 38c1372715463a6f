import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  openRedisRates,
  pingRedis,
  type RedisLogLine,
  type RedisRates,
} from "../../../db-adapters/redis/rates.ts";
import { describeRedis, freePort, TestRedis } from "../../support/redis.ts";

const MINUTE_MS = 60_000;

interface Opened {
  readonly rates: RedisRates;
  readonly lines: RedisLogLine[];
  count(key?: string, lengthMs?: number): ReturnType<RedisRates["countRate"]>;
  /** Counts until Redis takes part. */
  connected(): Promise<void>;
}

function open(url: string): Opened {
  const lines: RedisLogLine[] = [];
  const rates = openRedisRates({ url, log: (line) => lines.push(line) });
  onTestFinished(() => rates.close());
  const count = (key = "a", lengthMs = MINUTE_MS) => rates.countRate(key, { lengthMs, nowMs: Date.now() });
  const connected = async () => {
    for (const deadline = performance.now() + 15_000; (await count("probe")) === null; await sleep(20))
      if (performance.now() > deadline) throw new Error("Redis was not back in time");
  };
  return { rates, lines, count, connected };
}

describeRedis("counts in Redis", () => {
  it("are the same for all replicas, one for each key, until their window ends", async () => {
    const redis = await TestRedis.start();
    const [one, two] = [open(redis.url), open(redis.url)];
    await Promise.all([one.connected(), two.connected()]);
    const startedMs = Date.now();
    expect(await one.count("a", 400)).toMatchObject({ count: 1 });
    expect(await two.count("a", 400)).toMatchObject({ count: 2 });
    expect(await two.count("b", 400)).toMatchObject({ count: 1 });
    const third = await one.count("a", 400);
    expect(third?.count).toBe(3);
    // The window is that of the first, however often it is asked for.
    expect(third?.endsMs).toBeGreaterThan(startedMs + 300);
    expect(third?.endsMs).toBeLessThan(startedMs + 600);
    await sleep(500);
    expect(await two.count("a", 400)).toMatchObject({ count: 1 });
  });

  it("miss none of many at the same time", async () => {
    const redis = await TestRedis.start();
    const replicas = [open(redis.url), open(redis.url), open(redis.url)];
    await Promise.all(replicas.map((it) => it.connected()));
    const counted = await Promise.all(Array.from({ length: 90 }, (_, index) => replicas[index % 3]?.count()));
    const expected = Array.from({ length: 90 }, (_, index) => index + 1);
    expect(counted.map((it) => it?.count).sort((a = 0, b = 0) => a - b)).toEqual(expected);
  });

  it("are no longer known once Redis is gone, which is said once, and again when it is back", async () => {
    const redis = await TestRedis.start();
    const { count, connected, lines } = open(redis.url);
    await connected();
    expect(await count()).toMatchObject({ count: 1 });
    await redis.kill();
    for (let times = 0; times < 5; times++) expect(await count()).toBeNull();
    await sleep(300); // some vain attempts to connect
    expect(lines).toMatchObject([
      { level: "warn", msg: expect.stringContaining("each replica counts alone") },
    ]);
    await redis.start();
    await connected();
    expect(lines).toMatchObject([{}, { level: "info", msg: expect.stringContaining("answers again") }]);
  });

  it("are not waited for longer than half a second when Redis hangs", async () => {
    const redis = await TestRedis.start();
    const { count, connected, lines } = open(redis.url);
    await connected();
    redis.signal("SIGSTOP");
    const startedMs = performance.now();
    expect(await count()).toBeNull();
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    redis.signal("SIGCONT");
    await connected();
    expect(lines).toHaveLength(2);
  });

  it("are not asked for while nothing is counted", async () => {
    const redis = await TestRedis.start();
    const { connected } = open(redis.url);
    await connected();
    const commands = async () =>
      Number(/total_commands_processed:(\d+)/.exec(await redis.ask((it) => it.info("stats")))?.[1]);
    const own = (await commands()) - (await commands()); // what asking costs
    const before = await commands();
    await sleep(1_200);
    expect((await commands()) + own).toBeLessThanOrEqual(before);
  });

  it("tell the doctor the version, or why there is none", async () => {
    const redis = await TestRedis.start();
    expect(await pingRedis(redis.url)).toMatchObject({ version: expect.stringMatching(/^\d+\.\d+/) });
    await expect(pingRedis(redis.url.replace(/:[^:@]*@/, ":wrong@"))).rejects.toThrow(/WRONGPASS/);
  });

  it("say why when the password is wrong, and keep it out of the log", async () => {
    const redis = await TestRedis.start();
    const { count, lines } = open(redis.url.replace(/:[^:@]*@/, ":mistaken@"));
    await sleep(300);
    expect(await count()).toBeNull();
    expect(lines).toHaveLength(1);
    expect(lines[0]?.error).toMatch(/WRONGPASS|NOAUTH/);
    expect(JSON.stringify(lines)).not.toContain("mistaken");
  });
});

describe("without a Redis where one should be", () => {
  it("nothing fails, and it is said once", async () => {
    const { count, lines } = open(`redis://127.0.0.1:${await freePort()}`);
    await sleep(500);
    for (let times = 0; times < 3; times++) expect(await count()).toBeNull();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ level: "warn", error: expect.stringContaining("ECONNREFUSED") });
  });
});

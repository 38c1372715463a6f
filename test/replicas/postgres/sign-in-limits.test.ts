/** One who guesses tokens gets no more tries because there are more replicas to try at. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { StackClient, send } from "../../support/client.ts";
import { makeEmptyDatabase, query } from "../../support/postgres.ts";
import { describeRedis, freePort, TestRedis } from "../../support/redis.ts";
import { ADMIN_TOKEN, startTestServer, type TestServer } from "../../support/server.ts";

const FAILURES_MAX = 6;
const REPLICAS = 3;

/** Replicas with a folder each for files that nobody asks for. */
async function startReplicas(env: Readonly<Record<string, string>> = {}) {
  const clock = { aheadMs: 0 };
  const databaseUrl = await makeEmptyDatabase();
  const all = {
    STATEHOUSE_DATABASE: "postgres",
    STATEHOUSE_DATABASE_URL: databaseUrl,
    STATEHOUSE_ENCRYPTION_KEY: "5d".repeat(32),
    STATEHOUSE_AUTH_FAILURES_PER_MINUTE: String(FAILURES_MAX),
    STATEHOUSE_TRUSTED_PROXY_HOPS: "1",
    ...env,
  };
  const nowMs = () => Date.now() + clock.aheadMs;
  const replicas: TestServer[] = [];
  for (let index = 0; index < REPLICAS; index++) replicas.push(await startTestServer({ env: all, nowMs }));
  return { clock, databaseUrl, replicas };
}

let guesses = 0;

async function signIn(server: TestServer, from: string, token = `guess-${++guesses}`): Promise<number> {
  const headers = { "x-forwarded-for": from };
  return (await send(server, "GET", "/api/user", undefined, { token, headers })).status;
}

/** How many guesses are heard, one after the other at each replica in turn. */
async function heardOf(replicas: readonly TestServer[], from: string, count = 40): Promise<number> {
  let heard = 0;
  for (let index = 0; index < count; index++) {
    const replica = replicas[index % replicas.length];
    if (replica !== undefined && (await signIn(replica, from)) === 401) heard++;
  }
  return heard;
}

async function untilRedisCounts(redis: TestRedis, replica: TestServer, from: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    await signIn(replica, from);
    const keys = await redis.ask((it) => it.keys(`*${from}*`));
    if (keys.length > 0) return;
    await sleep(20);
  }
  throw new Error("Redis is not counting");
}

function describeSharing(make: () => ReturnType<typeof startReplicas>): void {
  it("ends guessing after as many tries as one server allows, and one more a replica", async () => {
    const { replicas, clock } = await make();
    const heard = await heardOf(replicas, "203.0.113.1");
    expect(heard).toBeGreaterThanOrEqual(FAILURES_MAX);
    expect(heard).toBeLessThanOrEqual(FAILURES_MAX + REPLICAS - 1);
    // A guess that happens to be right comes too late, wherever it is tried.
    for (const replica of replicas) expect(await signIn(replica, "203.0.113.1", ADMIN_TOKEN)).toBe(429);
    for (const replica of replicas) expect(await signIn(replica, "203.0.113.2", ADMIN_TOKEN)).toBe(200);
    expect(clock.aheadMs).toBe(0);
  });
}

describe("failed sign-ins at replicas that share a Postgres", () => {
  describeSharing(() => startReplicas());

  it("are forgotten when the minute is over, and leave no rows behind", async () => {
    const { replicas, clock, databaseUrl } = await startReplicas();
    for (let address = 1; address <= 20; address++) await heardOf(replicas, `203.0.113.${address}`, 3);
    const rows = () => query<{ count: number }>(databaseUrl, "select count from rate_count");
    expect(await rows()).toHaveLength(20);
    clock.aheadMs = 61_000;
    expect(await heardOf(replicas, "203.0.113.1")).toBeGreaterThanOrEqual(FAILURES_MAX);
    expect(await rows()).toHaveLength(1);
  });

  it("hold up no running update: its token is known where it was never seen", async () => {
    const { replicas } = await startReplicas();
    const [first, second] = [replicas[0] as TestServer, replicas[1] as TestServer];
    const stack = await new StackClient(first, "shop", "dev").init();
    const from = { headers: { "x-forwarded-for": "203.0.113.1" } };
    await heardOf(replicas, "203.0.113.1");
    const update = await stack.begin();
    const renew = (lease: string) => {
      const path = `${stack.path}/update/${update.id}/renew_lease`;
      return send(second, "POST", path, { duration: 60 }, { lease, ...from });
    };
    const forged = `${update.token.slice(0, -1)}${update.token.endsWith("A") ? "B" : "A"}`;
    for (const guess of ["lease_guess", forged]) expect((await renew(guess)).status).toBe(429);
    expect((await renew(update.token)).status).toBe(200);
  });

  it("cost the database nothing when there are none", async () => {
    const { replicas, databaseUrl } = await startReplicas();
    for (const replica of replicas)
      for (let times = 0; times < 5; times++)
        expect(await signIn(replica, "203.0.113.1", ADMIN_TOKEN)).toBe(200);
    const [row] = await query<{ seen: boolean }>(
      databaseUrl,
      "select exists (select from rate_count) as seen",
    );
    expect(row?.seen).toBe(false);
  });
});

describeRedis("failed sign-ins at replicas that share a Redis", () => {
  describeSharing(async () => {
    const redis = await TestRedis.start();
    const started = await startReplicas({ STATEHOUSE_REDIS_URL: redis.url });
    for (const [index, replica] of started.replicas.entries())
      await untilRedisCounts(redis, replica, `198.51.100.${index}`);
    const [row] = await query<{ seen: boolean }>(
      started.databaseUrl,
      "select exists (select from rate_count) as seen",
    );
    expect(row?.seen).toBe(false); // Redis counts, and not both
    return started;
  });

  it("are counted by each replica alone while Redis is gone, and no request fails", async () => {
    const redis = await TestRedis.start();
    const { replicas } = await startReplicas({ STATEHOUSE_REDIS_URL: redis.url });
    for (const [index, replica] of replicas.entries())
      await untilRedisCounts(redis, replica, `198.51.100.${index}`);
    await redis.kill();
    expect(await heardOf(replicas, "203.0.113.9")).toBe(FAILURES_MAX * REPLICAS);
    expect(await signIn(replicas[0] as TestServer, "203.0.113.10", ADMIN_TOKEN)).toBe(200);
    for (const { logLines } of replicas)
      expect(logLines.filter((line) => line.includes("each replica counts alone"))).toHaveLength(1);
  });
});

describe("a Redis that was never there", () => {
  it("keeps no replica from starting and none from its own limit", async () => {
    const url = `redis://127.0.0.1:${await freePort()}`;
    const { replicas } = await startReplicas({ STATEHOUSE_REDIS_URL: url });
    expect(await heardOf(replicas, "203.0.113.3")).toBe(FAILURES_MAX * REPLICAS);
  });
});

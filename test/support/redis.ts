/**
 * A real Redis for tests, `redis-server` from the PATH or from STATEHOUSE_TEST_REDIS_BIN. No npm package brings
 * one, so that its tests can't run everywhere; where they don't, they say so.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { describe, it, onTestFinished } from "vitest";
import { findProgram } from "./find-program.ts";

const READY_WITHIN_MS = 10_000;
const PASSWORD = "no secret at all";
const ABSENT = "no redis-server was found: nothing below ran";

const REDIS_BIN = findProgram("redis-server", "STATEHOUSE_TEST_REDIS_BIN");

/** A `describe` whose tests need a Redis. Without one they are skipped, and not in silence. */
export function describeRedis(label: string, body: () => void): void {
  if (REDIS_BIN !== null) {
    describe(label, body);
    return;
  }
  const line = "!".repeat(80);
  console.warn(
    `${line}\n!!! ${ABSENT}.\n!!! Put it on PATH, or name it in STATEHOUSE_TEST_REDIS_BIN.\n${line}`,
  );
  describe.skip(label, () => {
    it(ABSENT, () => undefined);
    body();
  });
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

export class TestRedis {
  readonly url: string;
  readonly #port: number;
  #child: ChildProcess | null = null;

  private constructor(port: number) {
    this.#port = port;
    this.url = `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/3`;
  }

  /** Goes when the test ends. */
  static async start(): Promise<TestRedis> {
    const redis = new TestRedis(await freePort());
    onTestFinished(() => redis.kill());
    await redis.start();
    return redis;
  }

  /** Empty, at the same address as before. */
  async start(): Promise<void> {
    if (REDIS_BIN === null) throw new Error(ABSENT);
    const flags = [
      "--port",
      String(this.#port),
      "--bind",
      "127.0.0.1",
      "--save",
      "",
      "--requirepass",
      PASSWORD,
    ];
    this.#child = spawn(REDIS_BIN, flags, { cwd: tmpdir(), stdio: "ignore" });
    for (const deadline = performance.now() + READY_WITHIN_MS; ; await sleep(20)) {
      const found = await this.ask((redis) => redis.ping()).catch(() => null);
      if (found === "PONG") return;
      if (performance.now() > deadline) throw new Error("redis-server did not start");
    }
  }

  async ask<T>(question: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis(this.url, {
      lazyConnect: true,
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
    });
    redis.on("error", () => undefined);
    try {
      await redis.connect();
      return await question(redis);
    } finally {
      redis.disconnect();
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }
}

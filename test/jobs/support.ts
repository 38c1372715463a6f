/** A server whose clock stands still until a test moves it. */
import { mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import type { SharedDatabase } from "../../db-adapters/contract.ts";
import { Scheduler } from "../../server/jobs/scheduler.ts";
import { SignInGuard } from "../../server/services/sign-in-guard.ts";
import { type Answer, send } from "../support/client.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
/** A lease as it is granted, and the grace after it (both are settings). */
export const LEASE = 300 * SECOND + 30 * SECOND;

export interface Clock {
  nowMs: number;
  advance(ms: number): void;
}

export interface GcServer {
  readonly server: TestServer;
  readonly clock: Clock;
  tick(): Promise<void>;
}

/** The clock begins at the real time: files carry that of the file system. */
export async function startGcServer(env: Readonly<Record<string, string>> = {}): Promise<GcServer> {
  const clock: Clock = {
    nowMs: Date.now(),
    advance(ms) {
      clock.nowMs += ms;
    },
  };
  const server = await startTestServer({ env, nowMs: () => clock.nowMs });
  await server.scheduler.tick(); // the first one always looks
  return { server, clock, tick: () => server.scheduler.tick() };
}

/** A scheduler of its own that shares everything with the server's except that its database is watched. */
export function watchedScheduler(
  server: TestServer,
  watch: (step: string, input: unknown) => void,
): Scheduler {
  const db = new Proxy(server.ctx.db, {
    get(target, name) {
      const step = Reflect.get(target, name);
      if (typeof step !== "function") return step;
      return (...input: unknown[]) => {
        watch(String(name), input[0]);
        return Reflect.apply(step, target, input);
      };
    },
  }) as SharedDatabase;
  const ctx = { ...server.ctx, db };
  return new Scheduler(ctx, new SignInGuard(1, ctx.nowMs, ctx.db));
}

export async function gcRuns(server: TestServer): Promise<Answer["body"][]> {
  return (await send(server, "GET", "/api/admin/v1/gc-runs?limit=100")).body.items;
}

export async function sweepByHand(server: TestServer, dryRun = false): Promise<Record<string, number>> {
  const { status, body } = await send(server, "POST", "/api/admin/v1/gc-runs", { dryRun });
  expect(status).toBe(201);
  return body.counts;
}

/** Those that are not zero. */
export function done(counts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

export async function metric(server: TestServer, line: string): Promise<number> {
  const { text } = await send(server, "GET", "/metrics");
  const found = text.split("\n").find((it) => it.startsWith(`${line} `));
  return Number(found?.slice(line.length + 1) ?? 0);
}

export function blobRoot(server: TestServer): string {
  return join(server.dataDir, "blobs", "blobs");
}

/** Paths below the store of everything stored. */
export async function storedFiles(server: TestServer): Promise<string[]> {
  const entries = await readdir(blobRoot(server), { recursive: true, withFileTypes: true });
  return entries
    .filter((it) => it.isFile())
    .map((it) => join(it.parentPath, it.name))
    .sort();
}

/** A file that was last written `ageMs` before the clock's now. */
export async function putFile(path: string, clock: Clock, ageMs: number): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, "left over");
  await age(path, clock, ageMs);
  return path;
}

export async function age(path: string, clock: Clock, ageMs: number): Promise<void> {
  const seconds = (clock.nowMs - ageMs) / 1000;
  await utimes(path, seconds, seconds);
}

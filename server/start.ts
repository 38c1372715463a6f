/** Wires everything: secrets, lock, adapters, context, app; listens; drains. Tests start servers through it too. */
import { createHash, randomUUID, randomUUIDv7 } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import { type Database, DatabaseReadOnlyError, type RateCounter } from "../db-adapters/contract.ts";
import { acquireInstance, type Instance, type Owner } from "../db-adapters/sqlite/instance-guard.ts";
import type { InstanceStatus } from "./admin/deps.ts";
import { createApp } from "./app.ts";
import { createDocumentStore } from "./blobs/documents.ts";
import type { PreparedDataDir } from "./config/first-run.ts";
import type { Config } from "./config/schema.ts";
import { usesDataDir } from "./config/shape.ts";
import type { Context } from "./context.ts";
import { canaryFor, checkCanary } from "./crypto/canary.ts";
import { openCarriedKeys, ringOf } from "./crypto/carried-keys.ts";
import { SealError } from "./crypto/errors.ts";
import type { Keyring } from "./crypto/keyring.ts";
import { answerBrokenRequests } from "./http/broken-requests.ts";
import type { Health } from "./http/health.ts";
import { startTracing } from "./http/tracing.ts";
import { Deadlines } from "./jobs/deadlines.ts";
import { Scheduler } from "./jobs/scheduler.ts";
import { createMetrics } from "./metrics.ts";
import { CARRIED_KEYS_SETTING } from "./rules/bulk-rows.ts";
import { createReplayer } from "./services/replayer.ts";
import { SignInGuard } from "./services/sign-in-guard.ts";
import { openDatabaseOf, openFilesOf, prepareSecrets } from "./storage.ts";
import { TARGET_SETTING } from "./transfer/target.ts";
import { VERSION } from "./version.ts";

export class WrongEncryptionKeyError extends Error {
  override readonly name = "WrongEncryptionKeyError";
}

export class UnfinishedTransferError extends Error {
  override readonly name = "UnfinishedTransferError";
}

export interface RunningServer {
  readonly ctx: Context;
  readonly prepared: PreparedDataDir;
  readonly scheduler: Scheduler;
  readonly port: number;
  /** Stops taking requests, finishes those under way, closes everything, lets go of the data folder. */
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly config: Config;
  readonly log: Logger;
  /** Tests bring a clock of their own. */
  readonly nowMs?: () => number;
  /** The cron, off in tests that tick by hand. */
  readonly isCronOn?: boolean;
  readonly onWait?: (owner: Owner) => void;
  /** The data folder was taken over: nothing may be written any more. */
  readonly onLost?: (reason: string) => void;
  readonly signal?: AbortSignal;
}

export const CANARY_SETTING = "encryption canary";
/** Longest that a client may take over its request line and headers. */
const HEADERS_TIMEOUT_MS = 30_000;
/** How often connections are looked at for requests that take too long to arrive. */
const SLOW_CHECK_MS = 1_000;
/** How often a drain closes the connections whose request was answered. */
const DRAIN_CHECK_MS = 50;
/** Longer than a balancer's idle timeout, so that it is never we who close under its request. */
const KEEP_ALIVE_MS = 75_000;

export async function startServer(options: StartOptions): Promise<RunningServer> {
  const { config, log } = options;
  const closers: (() => Promise<void> | void)[] = [];
  /** One that fails must not keep the rest from closing: the data folder is let go of whatever happens. */
  const closeAll = async () => {
    for (const close of closers.reverse()) {
      try {
        await close();
      } catch (error) {
        log.error({ err: error }, "something could not be closed");
      }
    }
  };
  try {
    const prepared = await prepareSecrets(config);
    for (const warning of prepared.warnings) log.warn(warning);
    if (config.otlpEndpoint !== null) closers.push(await startTracing(config.otlpEndpoint, VERSION));
    const instance = usesDataDir(config) ? await takeFolder(options) : null;
    closers.push(() => instance?.release());
    const ctx = await openContext(options, prepared, instance, closers);
    const rates = await openRates(ctx, closers);
    const guard = new SignInGuard(config.authFailuresPerMinute, ctx.nowMs, rates);
    const scheduler = new Scheduler(ctx, guard);
    const health: Health = { isDraining: false, isStorageInDoubt: true };
    const app = createApp({ ctx, guard, health, instance: statusOf(instance, ctx.nowMs()) });
    const server = createServer({ connectionsCheckingInterval: SLOW_CHECK_MS }, app);
    answerBrokenRequests(server, log);
    const port = await listen(server, config);
    if (options.isCronOn ?? true) scheduler.start();
    const stop = async () => {
      health.isDraining = true;
      await drain(server, config.shutdownSeconds * 1000);
      await scheduler.stop();
      await closeAll();
    };
    return { ctx, prepared, scheduler, port, stop };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** One instance a data folder: the lock comes before anything is opened. */
function takeFolder(options: StartOptions): Promise<Instance> {
  const { config, log } = options;
  return acquireInstance({
    dir: config.dataDir,
    onWait: (owner) => options.onWait?.(owner),
    onLost: (reason) => {
      log.fatal({ reason }, "this instance lost the data folder");
      options.onLost?.(reason);
    },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
}

/** The owner record as the admin API shows it. */
function statusOf(instance: Instance | null, startedMs: number): InstanceStatus {
  if (instance === null) return { version: VERSION, startedMs, owner: null };
  const owner = Object.entries(instance.owner).map(([name, value]) => [name, String(value)]);
  return { version: VERSION, startedMs, owner: Object.fromEntries(owner) };
}

async function openContext(
  options: StartOptions,
  prepared: PreparedDataDir,
  instance: Instance | null,
  closers: (() => Promise<void> | void)[],
): Promise<Context> {
  const { config, log } = options;
  const metrics = createMetrics();
  closers.push(() => metrics.close());
  const openingDb = openDatabaseOf(config, {
    fence: instance?.fence ?? null,
    onCommit: (size, durationMs) => {
      metrics.commits.observe(size);
      metrics.commitSeconds.observe(durationMs / 1000);
    },
    log,
  });
  const openingBlobs = openFilesOf(config);
  // Should one fail, the other is closed even so: its thread would keep the process alive.
  closers.push(() => closeIfOpened(openingDb));
  closers.push(() => closeIfOpened(openingBlobs));
  const [db, blobs] = await Promise.all([openingDb, openingBlobs]);
  const keyring = await openKeyring(config, db, [prepared.encryptionKey, ...prepared.previousKeys]);
  const replayer = createReplayer((where, durationMs) =>
    metrics.replays.observe({ where }, durationMs / 1000),
  );
  closers.push(() => replayer.close());
  const ctx: Context = {
    config,
    db,
    blobs,
    documents: createDocumentStore(blobs, keyring),
    keyring,
    replayer,
    deadlines: new Deadlines({ isShared: config.database === "postgres" }),
    metrics,
    log,
    adminTokenHash: createHash("sha256").update(prepared.adminToken).digest(),
    nowMs: options.nowMs ?? Date.now,
    newId: randomUUID,
    newOrderedId: randomUUIDv7,
  };
  await requireWholeData(ctx);
  await requireRightKey(ctx, keyring);
  await createDefaultOrganization(ctx);
  return ctx;
}

/** Where failures are counted for all replicas: in Redis when there is one, else with the database's help. */
async function openRates(ctx: Context, closers: (() => Promise<void> | void)[]): Promise<RateCounter> {
  if (ctx.config.redisUrl === null) return ctx.db;
  // The driver is loaded where it is asked for: everybody else starts without it.
  const { openRedisRates } = await import("../db-adapters/redis/rates.ts");
  const log = ({ level, msg, ...fields }: { level: "info" | "warn"; msg: string }) =>
    ctx.log[level](fields, msg);
  const rates = openRedisRates({ url: ctx.config.redisUrl, log });
  closers.push(() => rates.close());
  return rates;
}

async function closeIfOpened(opening: Promise<{ close(): Promise<void> }>): Promise<void> {
  const opened = await opening.catch(() => null);
  await opened?.close();
}

/** What a transfer has begun to copy here is not yet anybody's state. */
async function requireWholeData(ctx: Context): Promise<void> {
  if ((await ctx.db.findSetting(TARGET_SETTING)) === null) return;
  throw new UnfinishedTransferError(
    `The data ${whereOf(ctx.config)} is the target of a transfer that has not finished. ` +
      "Run the same statehouse transfer again; it goes on where it stopped.",
  );
}

/** Data that was moved, or is being moved, starts as well: it is read, and says where it went. */
async function createDefaultOrganization(ctx: Context): Promise<void> {
  try {
    const name = ctx.config.defaultOrg;
    await ctx.db.createOrganization({ id: ctx.newId(), name, nowMs: ctx.nowMs() });
  } catch (error) {
    if (!(error instanceof DatabaseReadOnlyError)) throw error;
    ctx.log.warn(`This data takes no writes: ${error.message}`);
  }
}

/** The keys of the settings, and those that came with the data from elsewhere. */
async function openKeyring(config: Config, db: Database, keys: readonly Uint8Array[]): Promise<Keyring> {
  const own = ringOf(keys);
  const stored = await db.findSetting(CARRIED_KEYS_SETTING);
  if (stored === null) return own;
  try {
    return ringOf([...keys, ...openCarriedKeys(own, stored)]);
  } catch (error) {
    throw error instanceof SealError ? wrongKey(config, error) : error;
  }
}

/** Found out now, not at the first decryption. */
async function requireRightKey(ctx: Context, keyring: Keyring): Promise<void> {
  const fresh = Buffer.from(canaryFor(keyring)).toString("base64");
  const stored = await ctx.db.claimSetting(CANARY_SETTING, fresh);
  if (checkCanary(keyring, Buffer.from(stored, "base64")) === "match") return;
  throw wrongKey(ctx.config);
}

function wrongKey(config: Config, cause?: unknown): WrongEncryptionKeyError {
  return new WrongEncryptionKeyError(
    `The encryption key is not the one that the data ${whereOf(config)} was written with. ` +
      "Start with the right STATEHOUSE_ENCRYPTION_KEY, or list the old key in STATEHOUSE_PREVIOUS_ENCRYPTION_KEYS.",
    { cause },
  );
}

function whereOf(config: Config): string {
  return config.database === "sqlite" ? `in ${config.dataDir}` : "in this Postgres database";
}

async function listen(server: Server, config: Config): Promise<number> {
  server.requestTimeout = config.requestTimeoutSeconds * 1000;
  server.headersTimeout = Math.min(HEADERS_TIMEOUT_MS, server.requestTimeout);
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(config.port, config.host, resolve);
  });
  return (server.address() as AddressInfo).port;
}

/**
 * Requests under way may finish; whoever is still there at the end of the grace is cut off. A client that
 * keeps its connection is told with the next answer that it ends; else it could go on asking for ever.
 */
async function drain(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.prependListener("request", (_req, res) => res.setHeader("connection", "close"));
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  const sweeper = setInterval(() => server.closeIdleConnections(), DRAIN_CHECK_MS);
  server.closeIdleConnections();
  await closed;
  clearTimeout(timer);
  clearInterval(sweeper);
}

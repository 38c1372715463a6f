/**
 * Counts in a Redis that all replicas share. It is a help and no need: while it is gone each replica goes by its
 * own counts, which is said once, and no request waits for it.
 */
import { Redis } from "ioredis";
import type { RateCount, RateCounter } from "../contract.ts";

export interface RedisOptions {
  /** `redis://user:password@host:port/number`, `rediss://` with TLS. */
  readonly url: string;
  readonly log?: (line: RedisLogLine) => void;
}

export interface RedisLogLine {
  readonly level: "info" | "warn";
  readonly msg: string;
  readonly [field: string]: string | number;
}

export interface RedisRates extends RateCounter {
  close(): Promise<void>;
}

const CONNECT_WITHIN_MS = 2_000;
/** A Redis that hangs holds up a failed sign-in for so long, and no other request at all. */
const ANSWER_WITHIN_MS = 500;
const RECONNECT_MIN_MS = 100;
const RECONNECT_MAX_MS = 10_000;
const PREFIX = "statehouse:rate:";

/** Connects in the background: a Redis that is down keeps nobody from starting. */
export function openRedisRates({ url, log }: RedisOptions): RedisRates {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectionName: "statehouse",
    connectTimeout: CONNECT_WITHIN_MS,
    commandTimeout: ANSWER_WITHIN_MS,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false, // a count sent twice would count twice
    maxRetriesPerRequest: 0,
    retryStrategy: (tries) => Math.min(RECONNECT_MIN_MS * 2 ** Math.min(tries, 10), RECONNECT_MAX_MS),
  });
  let isClosed = false;
  let isGone = false;
  const gone = (error: unknown) => {
    if (isClosed || isGone) return;
    isGone = true;
    const why = error instanceof Error ? error.message : String(error);
    log?.({ level: "warn", msg: "Redis can't be asked: each replica counts alone until it can", error: why });
  };
  const back = () => {
    if (isGone) log?.({ level: "info", msg: "Redis answers again: replicas count together" });
    isGone = false;
  };
  redis.on("error", gone);
  redis.on("close", () => gone(new Error("the connection is closed")));
  redis.connect().catch(gone);

  const count = async (key: string, lengthMs: number, nowMs: number): Promise<RateCount> => {
    const name = PREFIX + key;
    const replies = await redis.multi().set(name, 0, "PX", lengthMs, "NX").incr(name).pttl(name).exec();
    for (const [error] of replies ?? []) if (error !== null) throw error;
    const [total, leftMs] = [replies?.[1]?.[1], replies?.[2]?.[1]];
    if (typeof total !== "number" || typeof leftMs !== "number") throw new Error("Redis answers no numbers");
    return { count: total, endsMs: nowMs + Math.max(leftMs, 0) };
  };
  return {
    async countRate(key, { lengthMs, nowMs }) {
      try {
        if (redis.status !== "ready") return null; // said when it went
        const counted = await count(key, lengthMs, nowMs);
        back();
        return counted;
      } catch (error) {
        gone(error);
        return null;
      }
    },
    async close() {
      isClosed = true;
      redis.disconnect();
    },
  };
}

/** For `doctor`: one connection, one question. @throws what Redis or the network says */
export async function pingRedis(url: string): Promise<{ version: string; tookMs: number }> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_WITHIN_MS,
    commandTimeout: CONNECT_WITHIN_MS,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let first: unknown = null;
  redis.on("error", (error) => {
    first ??= error; // `connect` itself only says that the connection is closed
  });
  try {
    await redis.connect();
    const info = await redis.info("server");
    const startedMs = performance.now();
    await redis.multi().set(`${PREFIX}doctor`, 0, "PX", 1_000).incr(`${PREFIX}doctor`).exec();
    const tookMs = performance.now() - startedMs;
    return { version: /^redis_version:(.*?)\r?$/m.exec(info)?.[1] ?? "unknown", tookMs };
  } catch (error) {
    throw first ?? error;
  } finally {
    redis.disconnect();
  }
}

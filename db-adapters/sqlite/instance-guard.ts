/**
 * One instance a data folder, proven. Three things together:
 *  - a lock that the kernel frees when its process dies (`instance-lock.ts`), taken before anything is opened;
 *  - an owner record with a heartbeat (`owner-record.ts`): on a network file system a lock can be lost by a
 *    living process, so a new owner there also waits until the old one has been silent for `staleMs`;
 *  - a fencing number that grows with each owner (`fence.ts`). A commit needs a proof of ownership younger than
 *    half of `staleMs`, so whoever was silent for `staleMs` proves nothing any more and writes nothing.
 */
import { mkdirSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { Fence, type FenceHandle } from "./fence.ts";
import { fileSystemOf } from "./file-system.ts";
import { Heartbeat } from "./heartbeat.ts";
import { type HeldLock, tryLock } from "./instance-lock.ts";
import { type Owner, OwnerFile, readOwner } from "./owner-record.ts";
import { isProcessAlive, processScope } from "./process-scope.ts";

export type { FenceHandle } from "./fence.ts";
export { InstanceLostError } from "./heartbeat.ts";
export type { Owner } from "./owner-record.ts";

export interface AcquireOptions {
  /** The data folder; made when it isn't there. */
  readonly dir: string;
  /** Another instance has the folder: called once for each owner that is waited for. */
  readonly onWait?: (owner: Owner) => void;
  /** The folder was taken over. Nothing may be written any more; commits are refused already. */
  readonly onLost?: (reason: string) => void;
  /** Ends the wait. */
  readonly signal?: AbortSignal;
  readonly heartbeatMs?: number;
  readonly staleMs?: number;
  readonly nowMs?: () => number;
}

/** The right to the data folder. */
export interface Instance {
  /** For `openSqlite`: its commits ask here. `fence.number` is the fencing number. */
  readonly fence: FenceHandle;
  readonly owner: Owner;
  /** Reads the record. @throws InstanceLostError when it shows another owner */
  verify(): Promise<void>;
  /** Lets go; the next instance starts at once. Close the database first. */
  release(): Promise<void>;
}

const HEARTBEAT_MS = 2_000;
const STALE_MS = 30_000;
const POLL_MS = 250;

/** What the wait has seen of the owner before: who, and when the heartbeat last moved. */
class Watch {
  #seen: Owner | null = null;
  #movedAt = performance.now();

  /** Milliseconds since the record last changed before our eyes. */
  note(owner: Owner | null): number {
    if (owner?.fence !== this.#seen?.fence || owner?.heartbeatMs !== this.#seen?.heartbeatMs) {
      this.#seen = owner;
      this.#movedAt = performance.now();
    }
    return performance.now() - this.#movedAt;
  }
}

/** Whether the former owner, whose lock we hold now, may still believe that the folder is its own. */
function mayLive(previous: Owner | null, isLocal: boolean, silentMs: number, staleMs: number): boolean {
  if (previous === null || previous.releasedMs !== null || silentMs >= staleMs) return false;
  if (previous.scope === processScope()) return previous.pid !== process.pid && isProcessAlive(previous.pid);
  // One kernel keeps the locks of a local disk: a free lock means a dead owner. On a network it may not.
  return !isLocal;
}

/** A record that is being rewritten may be unreadable for a moment; the next poll sees it. */
async function peek(path: string): Promise<Owner | null> {
  return readOwner(path).catch(() => null);
}

/** Waits for the lock and for the former owner's silence; answers both. */
async function waitForTurn(options: AcquireOptions, recordPath: string): Promise<[HeldLock, Owner | null]> {
  const { dir, onWait, signal, staleMs = STALE_MS } = options;
  const isLocal = fileSystemOf(dir).kind === "local";
  const watch = new Watch();
  let announced = -1;
  let lock: HeldLock | null = null;
  try {
    for (;;) {
      signal?.throwIfAborted();
      lock ??= tryLock(join(dir, "instance.lock"));
      const owner = lock === null ? await peek(recordPath) : await readOwner(recordPath);
      const silentMs = watch.note(owner);
      if (lock !== null && !mayLive(owner, isLocal, silentMs, staleMs)) return [lock, owner];
      if (owner !== null && owner.releasedMs === null && owner.fence !== announced) {
        announced = owner.fence;
        onWait?.(owner);
      }
      await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal });
    }
  } catch (error) {
    lock?.release();
    throw error;
  }
}

/**
 * Waits until the data folder is free, then takes it. Until it returns, nothing is written there.
 * @throws the signal's reason when the wait is ended
 */
export async function acquireInstance(options: AcquireOptions): Promise<Instance> {
  const { dir, heartbeatMs = HEARTBEAT_MS, staleMs = STALE_MS, nowMs = Date.now } = options;
  mkdirSync(dir, { recursive: true });
  const recordPath = join(dir, "instance.json");
  const [lock, previous] = await waitForTurn(options, recordPath);
  try {
    const startedMs = nowMs();
    const number = (previous?.fence ?? 0) + 1;
    const file = await OwnerFile.replace(recordPath, {
      host: hostname(),
      pid: process.pid,
      scope: processScope(),
      startedMs,
      heartbeatMs: startedMs,
      fence: number,
      releasedMs: null,
    });
    const fence = Fence.create({ number, recordPath, staleMs }, nowMs);
    const heartbeat = new Heartbeat({ file, fence, heartbeatMs, nowMs, onLost: options.onLost });
    heartbeat.start();
    return {
      fence: fence.handle,
      owner: file.owner,
      verify: () => heartbeat.verify(),
      release: async () => {
        await heartbeat.stop();
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

import type { Fence } from "./fence.ts";
import { type OwnerFile, readOwner } from "./owner-record.ts";

/** This process no longer owns the data folder. */
export class InstanceLostError extends Error {
  override readonly name = "InstanceLostError";
}

export interface HeartbeatOptions {
  readonly file: OwnerFile;
  readonly fence: Fence;
  readonly heartbeatMs: number;
  readonly nowMs: () => number;
  readonly onLost: ((reason: string) => void) | undefined;
}

/** Proves the ownership over and over, and shows others that the owner lives. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #timer: NodeJS.Timeout | null = null;
  #beat: Promise<void> = Promise.resolve();
  #isStopped = false;
  #isAnnounced = false;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  start(): void {
    // A commit may have found out first: then the next beat says so.
    if (this.#isStopped || this.#isAnnounced) return;
    this.#timer = setTimeout(() => {
      this.#beat = this.#runBeat().finally(() => this.start());
    }, this.#options.heartbeatMs);
    this.#timer.unref();
  }

  /** @throws InstanceLostError, or what kept the record from being read */
  async verify(): Promise<void> {
    const { fence, nowMs } = this.#options;
    if (this.#isStopped) throw new InstanceLostError("this instance has let go of the data folder");
    const startedMs = nowMs();
    const owner = await readOwner(fence.handle.recordPath);
    if (owner?.fence === fence.handle.number && !fence.lost) return fence.markProven(startedMs);
    const who =
      owner === null ? "its owner record is gone" : `taken over by pid ${owner.pid} on ${owner.host}`;
    throw this.#lose(who);
  }

  /** Says in the record that the owner let go. Idempotent. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#beat;
    const { file, fence, nowMs } = this.#options;
    fence.markLost(); // a commit after this would be a mistake
    try {
      await file.write({ releasedMs: nowMs() });
    } finally {
      await file.close();
    }
  }

  /** A beat that fails is tried again; commits meanwhile prove themselves, or are refused. */
  async #runBeat(): Promise<void> {
    try {
      await this.verify();
      await this.#options.file.write({ heartbeatMs: this.#options.nowMs() });
    } catch {
      // Lost ownership was announced by verify; an I/O error shows in the commits.
    }
  }

  #lose(reason: string): InstanceLostError {
    this.#options.fence.markLost();
    if (!this.#isAnnounced) {
      this.#isAnnounced = true;
      this.#options.onLost?.(reason);
    }
    return new InstanceLostError(reason);
  }
}

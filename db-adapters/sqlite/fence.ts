/**
 * The right to commit. Only the instance whose fencing number stands in the owner record may write; the
 * database's thread asks here before each commit, so that an instance which was suspended while another took
 * over writes nothing when it wakes.
 */
import { readOwnerSync } from "./owner-record.ts";

/** Crosses threads as it is. */
export interface FenceHandle {
  /** The fencing number that the record must show. */
  readonly number: number;
  readonly recordPath: string;
  /** Past half of this since the last proof, the record is read again before a commit. */
  readonly staleMs: number;
  /** Two 64-bit cells: when ownership was last proven (Unix milliseconds), and 1 once it is lost. */
  readonly cells: SharedArrayBuffer;
}

const PROVEN_MS = 0;
const LOST = 1;

export class Fence {
  readonly handle: FenceHandle;
  readonly #cells: BigInt64Array;
  readonly #nowMs: () => number;

  constructor(handle: FenceHandle, nowMs: () => number = Date.now) {
    this.handle = handle;
    this.#cells = new BigInt64Array(handle.cells);
    this.#nowMs = nowMs;
  }

  static create(input: Omit<FenceHandle, "cells">, nowMs?: () => number): Fence {
    const fence = new Fence({ ...input, cells: new SharedArrayBuffer(16) }, nowMs);
    fence.markProven();
    return fence;
  }

  get lost(): boolean {
    return Atomics.load(this.#cells, LOST) === 1n;
  }

  /** The record showed our number at `atMs` or later. */
  markProven(atMs: number = this.#nowMs()): void {
    Atomics.store(this.#cells, PROVEN_MS, BigInt(atMs));
  }

  markLost(): void {
    Atomics.store(this.#cells, LOST, 1n);
  }

  /** Reads the record: true when it still shows our number. Throws when it can't be read. */
  prove(): boolean {
    if (this.lost) return false;
    const startedMs = this.#nowMs();
    const owner = readOwnerSync(this.handle.recordPath);
    if (owner?.fence === this.handle.number) this.markProven(startedMs);
    else this.markLost();
    return !this.lost;
  }

  /** Null when a commit is allowed; else why not. A clock that went back counts as old proof. */
  refusal(): string | null {
    if (this.lost) return "another instance has taken over";
    const ageMs = this.#nowMs() - Number(Atomics.load(this.#cells, PROVEN_MS));
    if (ageMs >= 0 && ageMs <= this.handle.staleMs / 2) return null;
    try {
      return this.prove() ? null : "another instance has taken over";
    } catch (error) {
      return `the owner record can't be read: ${String(error)}`;
    }
  }
}

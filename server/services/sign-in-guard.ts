/**
 * Slows down whoever guesses tokens. An address with too many failures within a minute waits the minute out;
 * tokens that were good a short while ago still pass, so that one broken job behind a shared address doesn't
 * lock a whole office out. Guessed lease tokens count as well. Everything here is bounded.
 *
 * Replicas count failures together: each failure is counted where all see it, and its answer says how many there
 * were. So a replica learns of the others' failures with the first that it has itself, at the price of one more
 * try a replica, and asks nobody as long as nobody fails.
 */
import type { RateCounter } from "../../db-adapters/contract.ts";

const WINDOW_MS = 60_000;
const ADDRESSES_MAX = 10_000;
const GOOD_TOKENS_MAX = 10_000;

interface Failures {
  count: number;
  windowEndsMs: number;
}

export class SignInGuard {
  readonly #failuresPerMinute: number;
  readonly #nowMs: () => number;
  readonly #shared: RateCounter;
  readonly #failures = new Map<string, Failures>();
  /** Hashes of tokens that were good, newest last. */
  readonly #good = new Set<string>();
  #uses = new Map<string, number>();

  constructor(failuresPerMinute: number, nowMs: () => number, shared: RateCounter) {
    this.#failuresPerMinute = failuresPerMinute;
    this.#nowMs = nowMs;
    this.#shared = shared;
  }

  /** Nobody has failed lately: nothing to look up. */
  get isCalm(): boolean {
    return this.#failures.size === 0;
  }

  /** 0 when the address may try. */
  secondsToWait(address: string, tokenHash: string): number {
    const failures = this.#failures.get(address);
    if (failures === undefined || failures.count < this.#failuresPerMinute) return 0;
    const nowMs = this.#nowMs();
    if (nowMs >= failures.windowEndsMs) {
      this.#failures.delete(address);
      return 0;
    }
    return this.#good.has(tokenHash) ? 0 : Math.ceil((failures.windowEndsMs - nowMs) / 1000);
  }

  /** Counted here on return of the call, and everywhere once it resolves. */
  async noteFailure(address: string): Promise<void> {
    const nowMs = this.#nowMs();
    const failures = this.#countOne(address, nowMs);
    const shared = await this.#shared.countRate(`sign-in ${address}`, { lengthMs: WINDOW_MS, nowMs });
    if (shared === null || shared.count < failures.count) return;
    failures.count = shared.count;
    failures.windowEndsMs = shared.endsMs;
  }

  #countOne(address: string, nowMs: number): Failures {
    const known = this.#failures.get(address);
    if (known !== undefined && nowMs < known.windowEndsMs) {
      known.count++;
      return known;
    }
    this.#failures.delete(address);
    dropOldest(this.#failures, ADDRESSES_MAX);
    const failures = { count: 1, windowEndsMs: nowMs + WINDOW_MS };
    this.#failures.set(address, failures);
    return failures;
  }

  /** `tokenId` null: the admin token, whose uses are kept nowhere. */
  noteSuccess(tokenHash: string, tokenId: string | null): void {
    if (!this.#good.has(tokenHash)) {
      dropOldest(this.#good, GOOD_TOKENS_MAX);
      this.#good.add(tokenHash);
    }
    if (tokenId !== null) this.#uses.set(tokenId, this.#nowMs());
  }

  /** Hands over when tokens were last used, to be stored now and then instead of with each request. */
  takeUses(): { id: string; usedMs: number }[] {
    const uses = [...this.#uses].map(([id, usedMs]) => ({ id, usedMs }));
    this.#uses = new Map();
    return uses;
  }
}

function dropOldest(from: Map<string, unknown> | Set<string>, max: number): void {
  if (from.size < max) return;
  const [oldest] = from.keys();
  if (oldest !== undefined) from.delete(oldest);
}

/** The in-process cron: a tick each minute that does nothing at all unless a deadline has come. */
import { type ScheduledTask, schedule } from "node-cron";
import { DatabaseReadOnlyError } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import type { SignInGuard } from "../services/sign-in-guard.ts";
import { deadlineRules, runGc } from "./gc.ts";

/** Retention, orphans and the like have no moment of their own: they are looked at this often when idle. */
const LOOK_EVERY_MS = 6 * 3_600_000;
/** Making a schedule loads time zones, which takes longer than all else at a start: requests come first. */
const START_AFTER_MS = 500;
/** When another replica is sweeping. */
const RETRY_LOCK_MS = 60_000;

export class Scheduler {
  readonly #ctx: Context;
  readonly #guard: SignInGuard;
  #task: ScheduledTask | null = null;
  #starting: NodeJS.Timeout | null = null;
  #current: Promise<void> = Promise.resolve();
  #lastLookMs = Number.NEGATIVE_INFINITY;
  /** As the last sweep found it; setting a limit asks for a sweep. An idle database isn't asked again. */
  #hasArtifactLimits = false;

  constructor(ctx: Context, guard: SignInGuard) {
    this.#ctx = ctx;
    this.#guard = guard;
  }

  start(): void {
    this.#starting = setTimeout(() => {
      this.#task = schedule(this.#ctx.config.gcCron, () => this.tick(), { noOverlap: true, name: "gc" });
    }, START_AFTER_MS);
  }

  /** One beat of the clock; resolves when its work, if any, is done. */
  tick(): Promise<void> {
    this.#current = this.#current
      .then(() => this.#run())
      .catch((error: unknown) => {
        if (error instanceof DatabaseReadOnlyError) return; // moved, or on its way: nothing here is ours to sweep
        this.#ctx.log.error({ err: error }, "the sweep could not run");
      });
    return this.#current;
  }

  async #run(): Promise<void> {
    const ctx = this.#ctx;
    const nowMs = ctx.nowMs();
    await this.flushTokenUses();
    const isLookDue = this.#hasRetention() && nowMs - this.#lastLookMs >= LOOK_EVERY_MS;
    if (!ctx.deadlines.isDue(nowMs) && !isLookDue) return;
    // One replica at a time sweeps; another's turn comes when the holder is done, or dead.
    const lock = await ctx.db.tryCronLock("gc");
    if (lock === null) {
      ctx.deadlines.reset(nowMs + RETRY_LOCK_MS);
      return;
    }
    this.#lastLookMs = nowMs;
    ctx.deadlines.reset(null);
    try {
      await runGc(ctx, { trigger: "cron", dryRun: false });
      this.#hasArtifactLimits = await ctx.db.hasArtifactLimits();
      const nextMs = await ctx.db.nextDeadlineMs(deadlineRules(ctx));
      // What is overdue even after the sweep (an update that can't be ended) waits for the next minute.
      if (nextMs !== null) ctx.deadlines.note(Math.max(nextMs, nowMs + 1));
    } catch (error) {
      ctx.deadlines.note(nowMs);
      throw error;
    } finally {
      await lock.release();
    }
  }

  #hasRetention(): boolean {
    const { artifactRetentionDays, eventRetentionDays, versionRetentionDays, versionsKeep } =
      this.#ctx.config;
    return (
      artifactRetentionDays !== null ||
      eventRetentionDays !== null ||
      versionRetentionDays !== null ||
      versionsKeep !== null ||
      this.#hasArtifactLimits
    );
  }

  /** Good to know, no more: a database that can't be told keeps neither a sweep nor a stop from its work. */
  async flushTokenUses(): Promise<void> {
    const uses = this.#guard.takeUses();
    if (uses.length === 0) return;
    try {
      await this.#ctx.db.touchTokens(uses);
    } catch (error) {
      this.#ctx.log.warn({ err: error }, "when tokens were last used could not be stored");
    }
  }

  /** Stops ticking and waits for what is under way. */
  async stop(): Promise<void> {
    if (this.#starting !== null) clearTimeout(this.#starting);
    await this.#task?.stop();
    await this.#current;
    await this.flushTokenUses();
  }
}

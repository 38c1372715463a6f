/**
 * The sweeps. Each works in bounded batches on rows, so that one which dies halfway is simply repeated by the
 * next run, and none holds the database for long. The clock is the context's.
 */
import type { GcRun } from "../../db-adapters/contract.ts";
import { stackPrefix } from "../blobs/keys.ts";
import type { Context } from "../context.ts";
import { AppError } from "../errors.ts";
import { finishUpdate } from "../services/finish.ts";
import { inBatches } from "./pace.ts";
import { sweepArtifacts } from "./sweep-artifacts.ts";
import { sweepBlobs } from "./sweep-blobs.ts";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** Stacks and leases looked up at once, and how often. */
const BATCH = 500;
const BATCHES_MAX = 200;
/** An ended token stays listed for a while, so that people see what became of it. */
const ENDED_TOKENS_KEPT_MS = DAY_MS;
const DISCARDED_UPDATES_KEPT_MS = DAY_MS;
/** Looking for orphans reads the whole file store, so it isn't done with every run. */
const ORPHAN_SWEEP_EVERY_MS = 6 * HOUR_MS;
/** One that failed is tried again sooner: what it met may be over in a moment. */
const ORPHAN_RETRY_MS = 10 * MINUTE_MS;
/** A run that left something over is followed by another. */
const GO_ON_AFTER_MS = MINUTE_MS;

/** Of one run; more of the same would only make its row large. */
const ERRORS_KEPT_MAX = 10;

type NoteError = (sweep: SweepName, error: unknown) => void;

export interface GcRequest {
  readonly trigger: GcRun["trigger"];
  readonly dryRun: boolean;
}

const SWEEPS = [
  "leasesEnded",
  "updatesDiscarded",
  "updatesRemoved",
  "tokensRemoved",
  "stacksPurged",
  "eventBatchesRemoved",
  "versionsRemoved",
  "artifactsRemoved",
  "orphanBlobsRemoved",
  "partialBlobsRemoved",
] as const;
type SweepName = (typeof SWEEPS)[number];
/** What each sweep ended or removed; in a dry run, what it would have (its first batch). */
export type GcCounts = Record<SweepName, number>;

const running = new WeakMap<Context, Promise<GcRun>>();
const nextOrphanSweepMs = new WeakMap<Context, number>();

/**
 * Single flight. The cron shares a run that is under way; whoever asks by hand gets one of their own after it,
 * which has seen all that was there when they asked.
 */
export function runGc(ctx: Context, request: GcRequest): Promise<GcRun> {
  const current = running.get(ctx);
  if (current !== undefined && request.trigger === "cron") return current;
  const after = current?.then(nothing, nothing) ?? Promise.resolve();
  const run = after.then(() => sweepAll(ctx, request));
  running.set(ctx, run);
  const forget = () => {
    if (running.get(ctx) === run) running.delete(ctx);
  };
  run.then(forget, forget);
  return run;
}

function nothing(): void {
  // Only the end of the run before matters here.
}

async function sweepAll(ctx: Context, { trigger, dryRun }: GcRequest): Promise<GcRun> {
  const startedMs = ctx.nowMs();
  const counts = Object.fromEntries(SWEEPS.map((name) => [name, 0])) as GcCounts;
  const errors: string[] = [];
  const failed = new Set<SweepName>();
  const noteError: NoteError = (sweep, error) => {
    failed.add(sweep);
    ctx.log.error({ err: error, sweep }, "a sweep failed");
    if (errors.length < ERRORS_KEPT_MAX) errors.push(`${sweep}: ${messageOf(error)}`);
  };
  const isOrphanSweepDue = trigger !== "cron" || startedMs >= (nextOrphanSweepMs.get(ctx) ?? 0);
  const sweeps = sweepsAt(ctx, startedMs, { dryRun, isOrphanSweepDue, noteError });
  for (const name of SWEEPS) {
    try {
      counts[name] = await sweeps[name]();
    } catch (error) {
      noteError(name, error); // it must not keep the others from their work
    }
  }
  if (isOrphanSweepDue && !dryRun) {
    const isFailed = failed.has("orphanBlobsRemoved") || failed.has("partialBlobsRemoved");
    const nextMs = startedMs + (isFailed ? ORPHAN_RETRY_MS : ORPHAN_SWEEP_EVERY_MS);
    nextOrphanSweepMs.set(ctx, nextMs);
    if (isFailed) ctx.deadlines.note(nextMs);
  }
  const run: GcRun = {
    id: ctx.newId(),
    startedMs,
    endedMs: ctx.nowMs(),
    trigger,
    dryRun,
    counts: JSON.stringify(counts),
    error: errors.length === 0 ? null : errors.join("; "),
  };
  await conclude(ctx, run, counts);
  return run;
}

async function conclude(ctx: Context, run: GcRun, counts: GcCounts): Promise<void> {
  for (const [sweep, count] of Object.entries(counts))
    ctx.metrics.gcItems.inc({ sweep }, run.dryRun ? 0 : count);
  ctx.metrics.gcRuns.inc({ result: run.error === null ? "ok" : "failed" });
  ctx.metrics.gcSeconds.observe((run.endedMs - run.startedMs) / 1000);
  const didSomething = Object.values(counts).some((count) => count > 0) || run.error !== null;
  // A cron run that found nothing isn't worth a write each minute.
  if (didSomething || run.trigger !== "cron") await ctx.db.recordGcRun(run);
  if (didSomething) ctx.log.info({ ...counts, trigger: run.trigger, dryRun: run.dryRun }, "swept");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

interface Plan {
  readonly dryRun: boolean;
  readonly isOrphanSweepDue: boolean;
  readonly noteError: NoteError;
}

function sweepsAt(
  ctx: Context,
  nowMs: number,
  { dryRun, isOrphanSweepDue, noteError }: Plan,
): Readonly<Record<SweepName, () => Promise<number>>> {
  const { config, db } = ctx;
  const orphanedBeforeMs = nowMs - config.orphanBlobHours * HOUR_MS;
  const batches = async (step: (limit: number) => Promise<number>) => {
    const { rows, isCutOff } = await inBatches(dryRun, step);
    if (isCutOff) ctx.deadlines.note(nowMs + GO_ON_AFTER_MS);
    return rows;
  };
  return {
    leasesEnded: () => endLeases(ctx, nowMs, dryRun, noteError),
    updatesDiscarded: () => {
      const createdBeforeMs = nowMs - config.notStartedMinutes * MINUTE_MS;
      return batches((limit) => db.discardStaleUpdates({ createdBeforeMs, nowMs, limit, dryRun }));
    },
    updatesRemoved: () => {
      const endedBeforeMs = nowMs - DISCARDED_UPDATES_KEPT_MS;
      return batches((limit) => db.removeDiscardedUpdates({ endedBeforeMs, limit, dryRun }));
    },
    tokensRemoved: () => {
      const endedBeforeMs = nowMs - ENDED_TOKENS_KEPT_MS;
      return batches((limit) => db.removeEndedTokens({ endedBeforeMs, limit, dryRun }));
    },
    stacksPurged: () => purgeStacks(ctx, dryRun),
    eventBatchesRemoved: async () => {
      if (config.eventRetentionDays === null) return 0;
      const endedBeforeMs = nowMs - config.eventRetentionDays * DAY_MS;
      return batches((limit) => db.removeOldEvents({ endedBeforeMs, limit, dryRun }));
    },
    versionsRemoved: async () => {
      const { versionRetentionDays: days, versionsKeep: keepVersions } = config;
      if (days === null && keepVersions === null) return 0;
      const createdBeforeMs = days === null ? null : nowMs - days * DAY_MS;
      return batches((limit) => db.removeOldVersions({ createdBeforeMs, keepVersions, limit, dryRun }));
    },
    artifactsRemoved: () => sweepArtifacts(ctx, nowMs, dryRun),
    orphanBlobsRemoved: async () => (isOrphanSweepDue ? sweepBlobs(ctx, orphanedBeforeMs, dryRun) : 0),
    partialBlobsRemoved: async () =>
      isOrphanSweepDue ? ctx.blobs.sweepPartial(orphanedBeforeMs, { dryRun }) : 0,
  };
}

/**
 * Running updates whose lease is over: what they saved becomes the stack's state, and the stack is free. One
 * that can't be ended (its base can't be read) is left for the next run, and doesn't hold up those behind it.
 */
async function endLeases(
  ctx: Context,
  nowMs: number,
  dryRun: boolean,
  noteError: NoteError,
): Promise<number> {
  const failed = new Set<string>();
  let ended = 0;
  for (let batch = 0; batch < BATCHES_MAX; batch++) {
    const found = await ctx.db.listExpiredLeases(nowMs, BATCH);
    const expired = found.filter((it) => !failed.has(it.updateId));
    if (dryRun) return expired.length;
    if (expired.length === 0) return ended;
    for (const { updateId } of expired) {
      try {
        if (await endLease(ctx, updateId, nowMs)) ended++;
        else failed.add(updateId);
      } catch (error) {
        failed.add(updateId);
        noteError("leasesEnded", new Error(`update ${updateId}: ${messageOf(error)}`, { cause: error }));
      }
    }
  }
  return ended;
}

async function endLease(ctx: Context, updateId: string, nowMs: number): Promise<boolean> {
  try {
    const expired = { updateId, status: "failed", ending: "expired", onlyIfExpiredAtMs: nowMs } as const;
    const outcome = await finishUpdate(ctx, expired);
    return outcome.kind === "finished";
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "REPLAY_FAILED") throw error;
    ctx.log.error({ err: error, updateId }, "an ended update's journal could not be replayed; it is kept");
    return true;
  }
}

async function purgeStacks(ctx: Context, dryRun: boolean): Promise<number> {
  const stackIds = await ctx.db.listDeletedStacks(BATCH);
  if (dryRun) return stackIds.length;
  for (const stackId of stackIds) {
    for await (const blob of ctx.blobs.list(stackPrefix(stackId))) await ctx.blobs.delete(blob.key);
    await inBatches(false, async (limit) => {
      const { removed, done } = await ctx.db.purgeDeletedStack(stackId, limit);
      return done ? 0 : Math.max(removed, limit);
    });
  }
  return stackIds.length;
}

/** Settings of `nextDeadlineMs` that belong to the sweeps above. */
export function deadlineRules(ctx: Context): {
  leaseGraceMs: number;
  notStartedMs: number;
  removeMs: number;
} {
  return {
    leaseGraceMs: 0, // the grace is part of the lease as it was granted
    notStartedMs: ctx.config.notStartedMinutes * MINUTE_MS,
    removeMs: DISCARDED_UPDATES_KEPT_MS,
  };
}

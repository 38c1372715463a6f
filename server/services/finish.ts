/**
 * How an update ends: completed by its CLI, cancelled by a person, or closed because its lease ran out. In
 * each case all that was acknowledged becomes the stack's state: journal entries are replayed once, here.
 */
import type { FoldedState, FoldInput, StateDocument, UpdateRef } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { unseal } from "../crypto/seal.ts";
import { readDocument } from "../deployment/document.ts";
import { ReplayError } from "../deployment/journal.ts";
import { AppError } from "../errors.ts";
import type { LeaseClaim } from "../rules/access.ts";
import { type Actor, auditEvent } from "./audit.ts";
import { scopeOf } from "./lease.ts";
import { type KeptBatches, recentJournalsOf } from "./recent-journals.ts";
import { journalPurpose } from "./saves.ts";
import { problemSentence, reportProblems } from "./state.ts";

/** An update that keeps moving under us has a live CLI; the next sweep tries again. */
const FINISH_TRIES = 5;
const BATCHES_A_READ = 256;
/** Everything in it was accepted before, so this only keeps a disk from filling up. */
const REPLAYED_BYTES_MAX = 8 * 1024 ** 3;

export interface Ending {
  readonly updateId: string;
  /** Absent when the lease isn't asked for: a cancel or a sweep. */
  readonly tokenHash?: string;
  readonly status: "succeeded" | "failed";
  readonly ending: "cancelled" | "expired" | null;
  /** The CLI's version as it said with the call; else the one it started with. */
  readonly cliVersion?: string | null;
  /** Only if the lease is still over now; a renewal meanwhile saves the update. */
  readonly onlyIfExpiredAtMs?: number;
}

export type Finished =
  | { readonly kind: "finished"; readonly warning: string | null; readonly stackId: string }
  | { readonly kind: "already_finished" }
  /** By an earlier `complete`, whose journal could not be replayed. */
  | { readonly kind: "journal_kept" }
  | { readonly kind: "lease_refused"; readonly why: string }
  /** It moved on, or its lease was renewed. */
  | { readonly kind: "still_running" };

interface Folded {
  readonly state: FoldedState;
  readonly replayError: ReplayError | null;
}

/**
 * Ends a running update. Reads, replays and stores first, then commits in one step that only holds while
 * nothing was appended meanwhile; otherwise it starts over.
 * @throws AppError REPLAY_FAILED after the update was ended with its journal kept
 */
export async function finishUpdate(ctx: Context, ending: Ending): Promise<Finished> {
  const tokenHash = ending.tokenHash ?? null;
  for (let attempt = 0; attempt < FINISH_TRIES; attempt++) {
    const read = await ctx.db.readFold(ending.updateId, tokenHash);
    if (read.kind !== "fold") return repeatOf(ctx, ending);
    const { input } = read;
    if (ending.onlyIfExpiredAtMs !== undefined && !isOver(input, ending.onlyIfExpiredAtMs)) {
      return { kind: "still_running" };
    }
    const folded = await foldState(ctx, input, ending.cliVersion ?? input.cliVersion);
    const failed = folded.replayError !== null;
    const outcome = await ctx.db.finishUpdate({
      updateId: ending.updateId,
      tokenHash,
      status: failed ? "failed" : ending.status,
      ending: input.cancelRequested ? "cancelled" : ending.ending,
      state: folded.state,
      keepJournal: failed,
      revision: input.revision,
      nowMs: ctx.nowMs(),
    });
    if (outcome.kind === "finished") return afterFinish(ctx, input, folded);
    await dropDocument(ctx, input, folded.state);
    if (outcome.kind !== "moved") return outcome;
  }
  return { kind: "still_running" };
}

function isOver(input: FoldInput, nowMs: number): boolean {
  return input.cancelRequested || input.leaseExpiresMs === null || input.leaseExpiresMs <= nowMs;
}

/** The retry of a call whose answer was lost is told what the first one was. */
async function repeatOf(ctx: Context, ending: Ending): Promise<Finished> {
  const outcome = await ctx.db.finishUpdate({
    updateId: ending.updateId,
    tokenHash: ending.tokenHash ?? null,
    status: ending.status,
    ending: ending.ending,
    state: { kind: "unchanged" },
    keepJournal: false,
    revision: -1,
    nowMs: ctx.nowMs(),
  });
  if (outcome.kind === "already_finished" || outcome.kind === "journal_kept") return outcome;
  return { kind: "lease_refused", why: outcome.kind === "lease_refused" ? outcome.why : "not_running" };
}

async function afterFinish(ctx: Context, input: FoldInput, folded: Folded): Promise<Finished> {
  if (folded.replayError !== null) {
    ctx.metrics.replayFailures.inc();
    const context = { updateId: input.updateId, stackId: input.stackId };
    throw new AppError("REPLAY_FAILED", context, { cause: folded.replayError });
  }
  if (folded.state.kind === "unchanged") return { kind: "finished", warning: null, stackId: input.stackId };
  const { document } = folded.state;
  reportProblems(ctx, input.stackId, document);
  const goodVersion = input.base?.problems === null ? input.base.version : null;
  return { kind: "finished", warning: problemSentence(document, goodVersion), stackId: input.stackId };
}

/** A document that did not become a version and isn't the checkpoint that a row still names. */
async function dropDocument(ctx: Context, input: FoldInput, state: FoldedState): Promise<void> {
  if (state.kind !== "document" || state.document.blobKey === input.checkpoint?.blobKey) return;
  await ctx.documents.delete(state.document);
}

/** The state that an update leaves: its journal replayed, else its last checkpoint, else what was before. */
async function foldState(ctx: Context, input: FoldInput, cliVersion: string | null): Promise<Folded> {
  if (input.dryRun) return { state: { kind: "unchanged" }, replayError: null };
  const last: FoldedState =
    input.checkpoint === null ? { kind: "unchanged" } : { kind: "document", document: input.checkpoint };
  if (input.journalBatchCount === 0) return { state: last, replayError: null };
  try {
    return { state: (await replay(ctx, input, cliVersion)) ?? last, replayError: null };
  } catch (error) {
    if (!(error instanceof ReplayError)) throw error;
    return { state: { kind: "unchanged" }, replayError: error };
  }
}

async function replay(
  ctx: Context,
  input: FoldInput,
  cliVersion: string | null,
): Promise<FoldedState | null> {
  const base = input.checkpoint ?? input.base;
  const replayed = await ctx.replayer.replay({
    base:
      base === null
        ? null
        : { sizeBytes: base.sizeBytes, open: () => ctx.documents.open(input.stackId, base) },
    journalBytes: input.journalSizeBytes,
    kept: keptBatchesOf(ctx, input),
    readBatches: () => readJournal(ctx, input),
    cliVersion,
    now: new Date(ctx.nowMs()),
  });
  if (replayed.kind === "unchanged") return null;
  for (const warning of replayed.warnings) {
    ctx.log.warn({ updateId: input.updateId, stackId: input.stackId, warning }, "replayed with a warning");
  }
  const stream = readDocument("untyped", replayed.document());
  const blob = await ctx.documents.put(input.stackId, stream.document, {
    maxBytes: REPLAYED_BYTES_MAX,
    inRow: true,
  });
  const { summary } = stream.result();
  const document: StateDocument = {
    ...blob,
    resourceCount: summary.resourceCount,
    resourceTotal: summary.resourceTotal,
    problems: summary.problemCount === 0 ? null : JSON.stringify(summary.problems),
  };
  return { kind: "document", document };
}

function keptBatchesOf(ctx: Context, input: FoldInput): KeptBatches {
  const { journalBatchCount: batchCount, journalSizeBytes: sizeBytes } = input;
  return recentJournalsOf(ctx).take(input.updateId, { batchCount, sizeBytes });
}

async function readJournal(ctx: Context, input: FoldInput): Promise<Uint8Array[]> {
  const bodies: Uint8Array[] = [];
  const purpose = journalPurpose(input.updateId);
  for (let afterId = input.journalAfterId; ; ) {
    const page = await ctx.db.listJournalBatches(input.updateId, afterId, BATCHES_A_READ);
    for (const batch of page) bodies.push(unseal(ctx.keyring, input.stackId, purpose, batch.body));
    const lastId = page.at(-1)?.id;
    if (lastId === undefined || page.length < BATCHES_A_READ) return bodies;
    afterId = lastId;
  }
}

/**
 * `complete` of the CLI. Answered the same when it is sent again.
 * @throws AppError LEASE_EXPIRED | REPLAY_FAILED
 */
export async function completeUpdate(
  ctx: Context,
  claim: LeaseClaim,
  status: "succeeded" | "failed",
  cliVersion: string | null,
): Promise<{ warning: string | null }> {
  await scopeOf(ctx, claim.ref);
  const { updateId } = claim.ref;
  const outcome = await finishUpdate(ctx, {
    updateId,
    tokenHash: claim.tokenHash,
    status,
    ending: null,
    cliVersion,
  });
  switch (outcome.kind) {
    case "finished":
      return { warning: outcome.warning };
    case "already_finished":
      return { warning: null };
    case "journal_kept":
      throw new AppError("REPLAY_FAILED", { updateId });
    case "lease_refused":
      throw new AppError("LEASE_EXPIRED", { updateId, why: outcome.why });
    case "still_running":
      throw new AppError("UNAVAILABLE", { updateId });
    default:
      return outcome satisfies never;
  }
}

/**
 * Ends an update for somebody else: its token is refused at once, what it saved is kept.
 * @throws AppError UPDATE_NOT_FOUND | UPDATE_COMPLETED
 */
export async function cancelUpdate(ctx: Context, actor: Actor, ref: UpdateRef): Promise<void> {
  const target = `${ref.project}/${ref.stack}/${ref.updateId}`;
  const audit = auditEvent(ctx, actor, "update.cancel", ref.organization, target);
  const outcome = await ctx.db.requestCancel({ ref, nowMs: ctx.nowMs(), audit });
  switch (outcome.kind) {
    case "cancelling":
      ctx.deadlines.note(ctx.nowMs()); // should we die before the next line, the sweep ends it
      await finishUpdate(ctx, { updateId: ref.updateId, status: "failed", ending: "cancelled" });
      return;
    case "already_cancelled":
      // Perhaps by a server that died halfway: ending it twice does no harm.
      await finishUpdate(ctx, { updateId: ref.updateId, status: "failed", ending: "cancelled" });
      return;
    case "discarded":
      return;
    case "already_completed":
      throw new AppError("UPDATE_COMPLETED", { updateId: ref.updateId });
    case "absent":
      throw new AppError("UPDATE_NOT_FOUND", { updateId: ref.updateId });
    default:
      outcome satisfies never;
  }
}

/** The same for the admin API, which knows the id alone. */
export async function cancelUpdateById(ctx: Context, actor: Actor, updateId: string): Promise<void> {
  const update = await ctx.db.findUpdateById(updateId);
  if (update === null) throw new AppError("UPDATE_NOT_FOUND", { updateId });
  const { organization, project, stack } = update;
  await cancelUpdate(ctx, actor, { organization, project, stack, updateId });
}

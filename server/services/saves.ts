/**
 * What a running update saves: journal entries, or checkpoints in three forms. Each is answered after it is
 * durable, costs the same whatever the update or the stack already holds, and may be sent again.
 */
import { hash } from "node:crypto";
import type { Checkpoint, StateDocument } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { seal } from "../crypto/seal.ts";
import { applyDelta, DeltaError, parseDelta } from "../deployment/delta.ts";
import { type JournalEntry, JournalError, parseJournalBatch } from "../deployment/journal.ts";
import { AppError } from "../errors.ts";
import type { LeaseClaim } from "../rules/access.ts";
import { checkLease, leaseExpired, scopeOf } from "./lease.ts";
import { JOURNAL_BYTES_MAX, keepable, recentJournalsOf } from "./recent-journals.ts";
import { storeDocument } from "./state.ts";

/** A request's body in both its forms. */
export interface PackedBody {
  readonly plain: Buffer;
  /** The gzip it came as; null when it did not, or was too large to be held. */
  readonly gzip: Buffer | null;
}

/** Bound into a sealed batch, so that one update's journal can't be read as another's. */
export function journalPurpose(updateId: string): string {
  return `journal:${updateId}`;
}

/**
 * Appends one batch of journal entries. Nothing is replayed here.
 * @throws AppError INVALID_JOURNAL | LEASE_EXPIRED | JOURNAL_FULL
 */
export async function appendJournal(
  ctx: Context,
  claim: LeaseClaim,
  { plain, gzip }: PackedBody,
): Promise<void> {
  const journals = recentJournalsOf(ctx);
  const { updateId } = claim.ref;
  const facts = plain.byteLength <= JOURNAL_BYTES_MAX && journals.wants(updateId);
  const body = facts ? keepable(plain) : plain;
  const entries = parseBatch(ctx, body, facts);
  const { stackId } = await scopeOf(ctx, claim.ref);
  if (entries.length === 0) return checkLease(ctx, claim);
  const outcome = await ctx.db.appendJournal({
    ...claim,
    digest: hash("sha256", body, "base64url"),
    entryCount: entries.length,
    sizeBytes: body.byteLength,
    body: seal(ctx.keyring, stackId, journalPurpose(updateId), body, {
      compress: body.byteLength > 16_384,
      gzip,
    }),
    journalBytesMax: ctx.config.journalBytesMax,
    nowMs: ctx.nowMs(),
  });
  switch (outcome.kind) {
    case "appended":
      if (facts) journals.add(updateId, body, entries); // without, they can't be replayed
      return;
    case "already_appended": // the CLI did not hear our first answer
      return;
    case "journal_full":
      throw new AppError("JOURNAL_FULL", { updateId });
    case "lease_refused":
      throw leaseExpired(claim, outcome.why);
    default:
      outcome satisfies never;
  }
}

function parseBatch(ctx: Context, body: Uint8Array, facts: boolean): readonly JournalEntry[] {
  try {
    return parseJournalBatch(body, { depthMax: ctx.config.jsonDepthMax, facts });
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    throw new AppError("INVALID_JOURNAL", { reason: error.reason }, { cause: error, detail: error.message });
  }
}

/**
 * Saves a whole deployment, streamed. `isInvalid` without a deployment is an old CLI's word that the state is
 * unknown, and changes nothing.
 * @throws AppError INVALID_STATE | LEASE_EXPIRED | BODY_TOO_LARGE
 */
export async function saveCheckpoint(
  ctx: Context,
  claim: LeaseClaim,
  shape: "checkpoint" | "verbatim",
  bytes: AsyncIterable<Uint8Array>,
): Promise<void> {
  const { stackId } = await scopeOf(ctx, claim.ref);
  // Before hundreds of megabytes are read for nothing.
  await checkLease(ctx, claim);
  const stored = await storeDocument(ctx, stackId, shape, bytes);
  if (stored.document === null) return;
  const { sequenceNumber } = stored.body;
  if (shape === "verbatim" && sequenceNumber === null) {
    await ctx.documents.delete(stored.document);
    throw new AppError("INVALID_REQUEST", {}, { detail: "sequenceNumber is missing" });
  }
  await commitCheckpoint(ctx, claim, {
    ...stored.document,
    sequence: shape === "verbatim" ? sequenceNumber : null,
  });
}

/**
 * Applies a difference to the last saved bytes. Refused with a 4xx when it doesn't fit; the CLI then sends
 * the whole document with the same number.
 * @throws AppError INVALID_DELTA | LEASE_EXPIRED
 */
export async function saveDelta(ctx: Context, claim: LeaseClaim, body: Uint8Array): Promise<void> {
  const { stackId } = await scopeOf(ctx, claim.ref);
  const fold = await ctx.db.readFold(claim.ref.updateId, claim.tokenHash);
  if (fold.kind !== "fold") throw leaseExpired(claim, fold.kind);
  const base = fold.input.checkpoint;
  try {
    const delta = parseDelta(body, { depthMax: ctx.config.jsonDepthMax });
    if (base === null) throw new AppError("INVALID_DELTA", {}, { detail: "nothing was saved before it" });
    if (base.sequence !== null && delta.sequenceNumber < base.sequence) return;
    const isRepeat = base.sequence === delta.sequenceNumber && base.sha256 === delta.checkpointHash;
    if (isRepeat) return;
    const patched = applyDelta(await ctx.documents.open(stackId, base), delta.edits);
    const { document } = await storeDocument(ctx, stackId, "untyped", patched);
    if (document === null) throw new AppError("INVALID_DELTA");
    await acceptPatched(ctx, claim, document, delta);
  } catch (error) {
    if (!(error instanceof DeltaError)) throw error;
    throw new AppError("INVALID_DELTA", {}, { cause: error, detail: error.message });
  }
}

async function acceptPatched(
  ctx: Context,
  claim: LeaseClaim,
  document: StateDocument,
  delta: { readonly checkpointHash: string; readonly sequenceNumber: number },
): Promise<void> {
  if (document.sha256 !== delta.checkpointHash.toLowerCase()) {
    await ctx.documents.delete(document);
    throw new AppError("INVALID_DELTA", {}, { detail: "the result has another SHA-256" });
  }
  await commitCheckpoint(ctx, claim, { ...document, sequence: delta.sequenceNumber });
}

async function commitCheckpoint(ctx: Context, claim: LeaseClaim, checkpoint: Checkpoint): Promise<void> {
  const outcome = await ctx.db.saveCheckpoint({ ...claim, checkpoint, nowMs: ctx.nowMs() });
  switch (outcome.kind) {
    case "saved":
      if (outcome.replacedBlobKey !== null) await ctx.blobs.delete(outcome.replacedBlobKey);
      return;
    case "already_saved":
      await ctx.documents.delete(checkpoint);
      return;
    case "sequence_gap":
      await ctx.documents.delete(checkpoint);
      throw new AppError("SEQUENCE_GAP", { last: outcome.lastSequence });
    case "lease_refused":
      await ctx.documents.delete(checkpoint);
      throw leaseExpired(claim, outcome.why);
    default:
      outcome satisfies never;
  }
}

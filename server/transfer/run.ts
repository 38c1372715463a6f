/**
 * One transfer, from the first byte to the proof. While the source serves: blobs, then rows. Then it takes no
 * writes: what came since, until nothing differs; the proof; and the source says where it went. Each step may be
 * killed and done again. Only the last one can't be taken back: until then a failure opens the source again.
 */
import { createHash } from "node:crypto";
import type { ServingMode } from "../../db-adapters/contract.ts";
import { type BlobTally, copyBlob, copyBlobs, countBlobs, presentBlobs } from "./blobs.ts";
import { TransferError } from "./errors.ts";
import { carryKeys, withKeys } from "./keys.ts";
import { reconcile, reconcileOnce } from "./rows.ts";
import type { Source, SourceOverview } from "./source.ts";
import { claimTarget, findMarker, type Marker, mark, type Target, type TargetPlace } from "./target.ts";
import { type Verification, verify } from "./verify.ts";

export const CANARY_KEY = "encryption canary";
const POLL_MS = 500;

export type Phase = "blobs" | "rows" | "waiting" | "last blobs" | "last rows" | "verifying" | "done";

export interface Progress {
  readonly phase: Phase;
  readonly done: number;
  readonly total: number;
  /** Null where bytes say nothing. */
  readonly doneBytes: number | null;
}

export interface TransferOptions {
  /** What clients of the source are told to use from now on; null when that isn't known. */
  readonly newUrl: string | null;
  /** How long running updates are waited for; null refuses while there are any. */
  readonly waitMs: number | null;
  readonly nowMs: () => number;
  readonly onProgress: (progress: Progress) => void;
}

export interface TransferReport {
  readonly outcome: "moved" | "was_moved";
  readonly isResumed: boolean;
  readonly blobs: BlobTally;
  readonly copiedBlobs: BlobTally;
  readonly readOnlyMs: number;
  readonly totalMs: number;
  readonly verification: Verification | null;
}

function movedText(newUrl: string | null): string {
  return newUrl === null ? "ask its operators for the new address" : `it is now at ${newUrl}`;
}

/** Counts up to a total, and tells. */
function counter(options: TransferOptions, phase: Phase, total: number, countsBytes: boolean) {
  const state = { done: 0, bytes: 0 };
  const tell = () =>
    options.onProgress({
      phase,
      done: state.done,
      total: Math.max(total, state.done),
      doneBytes: countsBytes ? state.bytes : null,
    });
  tell();
  return (count: number, bytes: number) => {
    state.done += count;
    state.bytes += bytes;
    tell();
  };
}

function rowTotal(overview: SourceOverview): number {
  return Object.values(overview.rows).reduce((sum, count) => sum + count, 0);
}

async function requireSameTables(target: TargetPlace, overview: SourceOverview): Promise<void> {
  const { tables } = await target.db.describeBulk();
  if (JSON.stringify(tables) === JSON.stringify(overview.tables)) return;
  throw new TransferError(
    "other_release",
    "The two sides have different tables. Bring the source to this release first, then transfer.",
  );
}

/** Sealed with the source's key: which data this is, and the proof that a key is the right one. */
async function canaryOf(source: Source, overview: SourceOverview): Promise<string> {
  const table = overview.tables.find(({ name }) => name === "setting");
  const valueAt = table?.columns.indexOf("value") ?? -1;
  const keyAt = table?.columns.indexOf("key") ?? -1;
  const { rows } = await source.page({ table: "setting", after: null, through: null }, false);
  const canary = rows.find((row) => row[keyAt] === CANARY_KEY)?.[valueAt];
  if (typeof canary === "string") return canary;
  throw new TransferError("source_refused", "The source has never been started.");
}

/** From here on the source takes no writes. */
async function closeSource(source: Source, options: TransferOptions, mode: ServingMode): Promise<void> {
  const message = "it is being moved; try again in a few minutes";
  const state = { mode, message };
  let running = await source.setServing(state);
  if (running === 0) return;
  const updates = () => `${running} update${running === 1 ? " is" : "s are"} running on the source`;
  if (options.waitMs === null) {
    throw new TransferError(
      "updates_running",
      `${updates()}. What was copied stays; run this again when they have ended, or with --wait.`,
    );
  }
  // No new ones, so that there is an end to the wait.
  await source.setServing({ mode: "draining", message });
  const deadline = options.nowMs() + options.waitMs;
  while (running > 0) {
    options.onProgress({ phase: "waiting", done: 0, total: running, doneBytes: null });
    if (options.nowMs() >= deadline)
      throw new TransferError("updates_running", `After the wait ${updates()}. None was cut off.`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    running = await source.setServing(state);
  }
}

async function proven(
  source: Source,
  target: Target,
  overview: SourceOverview,
  options: TransferOptions,
): Promise<Verification> {
  const total = (overview.rows.state_version ?? 0) + (overview.rows.artifact ?? 0);
  const once = async () => {
    const count = counter(options, "verifying", total, true);
    return verify(target, overview, (sizeBytes) => count(1, sizeBytes));
  };
  const first = await once();
  const damaged = [...new Set(first.problems.flatMap(({ blobKey }) => blobKey ?? []))];
  if (damaged.length === 0) return first;
  // A copy that went wrong is made again, once: what is wrong at the source stays wrong, and is told.
  const sizes = new Map<string, number>();
  for await (const { key, sizeBytes } of source.blobs()) if (damaged.includes(key)) sizes.set(key, sizeBytes);
  for (const [key, sizeBytes] of sizes) await copyBlob(source, target, key, sizeBytes);
  return once();
}

async function finish(source: Source, target: Target, options: TransferOptions): Promise<void> {
  const running = await source.setServing({ mode: "moved", message: movedText(options.newUrl) });
  if (running > 0) throw new TransferError("updates_running", "An update runs on the source.");
  await mark(target, null);
}

export async function transfer(
  source: Source,
  place: TargetPlace,
  options: TransferOptions,
): Promise<TransferReport> {
  const startedMs = options.nowMs();
  let overview = await source.overview();
  await requireSameTables(place, overview);
  const canary = await canaryOf(source, overview);
  const target = await withKeys(place, { canary, carried: overview.carriedKeys });
  const id = createHash("sha256").update(canary).digest("hex").slice(0, 16);
  const before = await findMarker(target);
  if (overview.serving.mode === "moved") {
    if (before?.source !== id || before.phase !== "verified") {
      throw new TransferError("source_moved", `The source was moved already: ${overview.serving.message}.`);
    }
    await mark(target, null); // killed between the last two steps
    const none = { blobs: 0, bytes: 0 };
    const totalMs = options.nowMs() - startedMs;
    return {
      outcome: "was_moved",
      isResumed: true,
      ...{ blobs: none, copiedBlobs: none, readOnlyMs: 0, totalMs, verification: null },
    };
  }
  const marker = await claimTarget(target, id, startedMs);
  await carryKeys(target);

  const present = await presentBlobs(target);
  const blobs = await countBlobs(source);
  const onBlob = counter(options, "blobs", blobs.blobs, true);
  const early = await copyBlobs(source, target, present, (sizeBytes) => onBlob(1, sizeBytes));
  const onRows = counter(options, "rows", rowTotal(overview), false);
  await reconcileOnce(source, target, overview.tables, (count) => onRows(count, 0));

  let isMoved = false;
  let closedMs = options.nowMs();
  try {
    await closeSource(source, options, "read_only");
    closedMs = options.nowMs();
    overview = await source.overview();
    const lastBlob = counter(options, "last blobs", blobs.blobs, true);
    const tally = { blobs: 0, bytes: 0 };
    const late = await copyBlobs(source, target, present, (sizeBytes) => {
      tally.blobs += 1;
      tally.bytes += sizeBytes;
      lastBlob(1, sizeBytes);
    });
    const lastRows = counter(options, "last rows", 2 * rowTotal(overview), false);
    await reconcile(source, target, overview.tables, (count) => lastRows(count, 0));
    await target.db.writeTotals(overview);
    const verification = await proven(source, target, overview, options);
    if (verification.problems.length > 0) throw new VerificationError(verification);
    await mark(target, { ...marker, phase: "verified" } satisfies Marker);
    await finish(source, target, options);
    isMoved = true;
    const endedMs = options.nowMs();
    options.onProgress({ phase: "done", done: 1, total: 1, doneBytes: null });
    return {
      outcome: "moved",
      isResumed: before !== null,
      blobs: tally,
      copiedBlobs: { blobs: early.blobs + late.blobs, bytes: early.bytes + late.bytes },
      readOnlyMs: endedMs - closedMs,
      totalMs: endedMs - startedMs,
      verification,
    };
  } finally {
    if (!isMoved) await reopen(source, target);
  }
}

/** The source goes on as before, unless it says by now that it has moved. */
async function reopen(source: Source, target: Target): Promise<void> {
  try {
    const { serving } = await source.overview();
    if (serving.mode === "moved") return;
    const marker = await findMarker(target);
    if (marker?.phase === "verified") await mark(target, { ...marker, phase: "copying" });
    await source.setServing({ mode: "open", message: "" });
  } catch {
    // It can't be reached: running the transfer again, or `--reopen`, opens it.
  }
}

export class VerificationError extends TransferError {
  readonly verification: Verification;
  constructor(verification: Verification) {
    const { problems } = verification;
    const [first] = problems;
    const more = problems.length > 1 ? `, and ${problems.length - 1} more` : "";
    super(
      "verification_failed",
      `The target is not what the source is: ${first?.what ?? "?"}${more}. The source serves again.`,
    );
    this.verification = verification;
  }
}

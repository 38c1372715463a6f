/**
 * The update state machine and the lease rules: pure functions that both adapters call inside their atomic
 * steps, so that each rule lives once.
 *
 * not started ──start──▶ running ──complete──▶ succeeded | failed
 *      │                    └──cancel, lease end──▶ failed (cancelled | expired)
 *      └──cancel, an hour──▶ discarded
 */
import type { UpdateStatus } from "./vocabulary.ts";

/** Lease facts of one update row. */
export interface LeaseFacts {
  readonly status: UpdateStatus;
  readonly dryRun: boolean;
  readonly leaseTokenHash: string | null;
  readonly leaseExpiresMs: number | null;
  readonly cancelRequested: boolean;
}

export type LeaseDecision = "held" | "wrong_token" | "not_running";

/**
 * Whether a presented token may write. An ended lease still counts as long as nobody closed the update: a
 * short network outage then loses nothing (protocol reference 4.4). A cancel ends it at once.
 */
export function decideLease(update: LeaseFacts, tokenHash: string): LeaseDecision {
  if (update.leaseTokenHash === null || update.leaseTokenHash !== tokenHash) return "wrong_token";
  if (update.status !== "running" || update.cancelRequested) return "not_running";
  return "held";
}

export type StartDecision = "start" | "restart" | "finished" | "conflict" | "holder_expired";

/**
 * Whether an update may start. `holder` is the stack's running real update, if any. Dry runs take no lock.
 * A lease that is over by even a millisecond may be taken over: its update is closed first.
 */
export function decideStart(
  update: LeaseFacts & { readonly id: string },
  holder: (LeaseFacts & { readonly id: string }) | null,
  nowMs: number,
): StartDecision {
  if (update.status === "running") return update.cancelRequested ? "finished" : "restart";
  if (update.status !== "not started") return "finished";
  if (update.dryRun || holder === null || holder.id === update.id) return "start";
  const over = holder.cancelRequested || holder.leaseExpiresMs === null || holder.leaseExpiresMs <= nowMs;
  return over ? "holder_expired" : "conflict";
}

export type CheckpointDecision = "save" | "already_saved" | "sequence_gap";

/**
 * What to do with a numbered save. Plain checkpoints carry no number and always replace. The same number with
 * other bytes is the CLI's fallback after a refused delta (protocol reference 4.7).
 */
export function decideCheckpoint(
  last: { readonly sequence: number | null; readonly sha256: string } | null,
  next: { readonly sequence: number | null; readonly sha256: string },
): CheckpointDecision {
  if (next.sequence === null) return "save";
  const lastSequence = last?.sequence ?? 0;
  if (next.sequence < lastSequence) return "already_saved";
  if (next.sequence === lastSequence)
    return last !== null && last.sha256 === next.sha256 ? "already_saved" : "save";
  return next.sequence === lastSequence + 1 ? "save" : "sequence_gap";
}

export type CancelDecision = "cancel" | "discard" | "already_cancelled" | "already_completed";

export function decideCancel(update: {
  readonly status: UpdateStatus;
  readonly ending: "cancelled" | "expired" | null;
  readonly cancelRequested: boolean;
}): CancelDecision {
  switch (update.status) {
    case "not started":
      return "discard";
    case "discarded":
      return "already_cancelled";
    case "running":
      return update.cancelRequested ? "already_cancelled" : "cancel";
    case "succeeded":
      return "already_completed";
    case "failed":
      return update.ending === "cancelled" ? "already_cancelled" : "already_completed";
    default:
      return update.status satisfies never;
  }
}

export type FinishDecision =
  | "finish"
  | "already_finished"
  | "journal_kept"
  | "moved"
  | "wrong_token"
  | "not_running";

/** Whether an update may end now. `tokenHash` null is the server's own hand (cancel, sweep). */
export function decideFinish(
  update: LeaseFacts & {
    readonly ending: "cancelled" | "expired" | null;
    readonly revision: number;
    /** Of an update that has ended: kept, because it could not be replayed. */
    readonly hasJournal: boolean;
  },
  asked: {
    readonly tokenHash: string | null;
    readonly status: "succeeded" | "failed";
    readonly ending: "cancelled" | "expired" | null;
    readonly revision: number;
  },
): FinishDecision {
  const isHolder = asked.tokenHash !== null;
  if (isHolder && asked.tokenHash !== update.leaseTokenHash) return "wrong_token";
  if (isHolder && update.status === "failed" && update.ending === null && update.hasJournal)
    return "journal_kept";
  if (update.status === asked.status && update.ending === asked.ending) return "already_finished";
  if (update.status !== "running") return "not_running";
  if (isHolder && update.cancelRequested) return "not_running";
  return update.revision === asked.revision ? "finish" : "moved";
}

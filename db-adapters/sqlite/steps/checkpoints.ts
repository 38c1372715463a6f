import type { Checkpoint } from "../../contract.ts";
import { decideCheckpoint } from "../../rules.ts";
import type { UpdateRow } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { refusalOf, refuse } from "./leases.ts";
import type { StepsOf } from "./sync.ts";
import { findRefRow } from "./updates.ts";

/** The update's last checkpoint; null when none was saved. */
export function checkpointOf(row: UpdateRow): Checkpoint | null {
  const { checkpoint_blob_key: blobKey, checkpoint_sha256: sha256 } = row;
  if (blobKey === null || sha256 === null) return null;
  return {
    blobKey,
    sha256,
    sizeBytes: row.checkpoint_size_bytes ?? 0,
    resourceCount: row.checkpoint_resource_count ?? 0,
    resourceTotal: row.checkpoint_resource_total ?? 0,
    problems: row.checkpoint_problems,
    sealed: null,
    sequence: row.checkpoint_sequence,
  };
}

/** Whether any state version, checkpoint or artifact names this blob. */
export function isBlobNamed(sql: Sql, blobKey: string): boolean {
  const version = sql.get("select 1 from state_version where blob_key = ? limit 1", blobKey);
  if (version !== null) return true;
  const checkpoint = sql.get("select 1 from stack_update where checkpoint_blob_key = ? limit 1", blobKey);
  if (checkpoint !== null) return true;
  return sql.get("select 1 from artifact where blob_key = ? limit 1", blobKey) !== null;
}

/** Batches stored so far are superseded; they stay, so that a retried one is still known. */
function storeCheckpoint(sql: Sql, updateId: string, next: Checkpoint): void {
  sql.run(
    `update stack_update set revision = revision + 1, journal_count = 0, journal_bytes = 0,
       journal_after_id = coalesce((select max(id) from journal_batch where update_id = ?1), journal_after_id),
       checkpoint_sequence = ?2, checkpoint_blob_key = ?3, checkpoint_sha256 = ?4, checkpoint_size_bytes = ?5,
       checkpoint_resource_count = ?6, checkpoint_resource_total = ?7, checkpoint_problems = ?8
     where id = ?1`,
    updateId,
    next.sequence,
    next.blobKey,
    next.sha256,
    next.sizeBytes,
    next.resourceCount,
    next.resourceTotal,
    next.problems,
  );
}

export function checkpointSteps(sql: Sql): StepsOf<"saveCheckpoint"> {
  return {
    saveCheckpoint({ ref, tokenHash, checkpoint }) {
      const update = findRefRow(sql, ref);
      if (update === null) return refuse("unknown_update");
      const refusal = refusalOf(update, tokenHash);
      if (refusal !== null) return refusal;
      const last = checkpointOf(update);
      const decision = decideCheckpoint(last, checkpoint);
      if (decision === "already_saved") return { kind: "already_saved" };
      if (decision === "sequence_gap") return { kind: "sequence_gap", lastSequence: last?.sequence ?? 0 };
      storeCheckpoint(sql, update.id, checkpoint);
      const old = last?.blobKey ?? null;
      const replacedBlobKey = old === null || isBlobNamed(sql, old) ? null : old;
      return { kind: "saved", replacedBlobKey };
    },
  };
}

import type { Checkpoint } from "../../contract.ts";
import { decideCheckpoint } from "../../rules.ts";
import type { UpdateRow } from "../rows.ts";
import type { Sql, Transaction } from "../sql.ts";
import { refusalOf, refuse } from "./leases.ts";
import type { StepsOf } from "./types.ts";
import { OF_REF, refValues } from "./updates.ts";

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

/** Of the keys in $1, those that neither a state version nor a checkpoint names, in their order. */
export const UNNAMED = `select k.key from unnest($1::text[]) with ordinality as k (key, position)
  where not exists (select from state_version v where v.blob_key = k.key)
    and not exists (select from stack_update c where c.checkpoint_blob_key = k.key)
    and not exists (select from artifact a where a.blob_key = k.key)
  order by k.position`;

/** Batches stored so far are superseded; they stay, so that a retried one is still known. */
function storeCheckpoint(tx: Transaction, updateId: string, next: Checkpoint): void {
  tx.post(
    `update stack_update set revision = revision + 1, journal_count = 0, journal_bytes = 0,
       journal_after_id =
         coalesce((select max(id) from journal_batch where update_id = $1), journal_after_id),
       checkpoint_sequence = $2, checkpoint_blob_key = $3, checkpoint_sha256 = $4, checkpoint_size_bytes = $5,
       checkpoint_resource_count = $6, checkpoint_resource_total = $7, checkpoint_problems = $8
     where id = $1`,
    ...[updateId, next.sequence, next.blobKey, next.sha256, next.sizeBytes, next.resourceCount],
    ...[next.resourceTotal, next.problems],
  );
}

export function checkpointSteps(sql: Sql): StepsOf<"saveCheckpoint"> {
  return {
    saveCheckpoint({ ref, tokenHash, checkpoint }) {
      return sql.transaction(async (tx) => {
        // Locked in a statement of its own: the next one sees every batch that came before the lock.
        const update = await tx.get<UpdateRow>(
          `select u.* from stack_update u join stack s on s.id = u.stack_id
             join organization o on o.id = s.organization_id
           where ${OF_REF} for no key update of u`,
          ...refValues(ref),
        );
        if (update === null) return refuse("unknown_update");
        const refusal = refusalOf(update, tokenHash);
        if (refusal !== null) return refusal;
        const last = checkpointOf(update);
        const decision = decideCheckpoint(last, checkpoint);
        if (decision === "already_saved") return { kind: "already_saved" };
        if (decision === "sequence_gap") return { kind: "sequence_gap", lastSequence: last?.sequence ?? 0 };
        storeCheckpoint(tx, update.id, checkpoint);
        if (last === null) return { kind: "saved", replacedBlobKey: null };
        const unnamed = await tx.get<{ key: string }>(UNNAMED, [last.blobKey]);
        return { kind: "saved", replacedBlobKey: unnamed?.key ?? null };
      });
    },
  };
}

import { decideLease } from "../../rules.ts";
import { leaseFactsOf } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { HELD, HOT, type HotRow, hotValues, refuse } from "./leases.ts";
import type { StepsOf } from "./types.ts";

type EventBatch = Awaited<ReturnType<StepsOf<"listEventBatches">["listEventBatches"]>>[number];

export function eventSteps(sql: Sql): StepsOf<"appendEvents" | "listEventBatches"> {
  return {
    async appendEvents({ ref, tokenHash, digest, firstSequence, lastSequence, body, resourceChanges }) {
      // No lock: events are no state, and batches of one update needn't wait for each other's commit.
      const row = await sql.change<HotRow & { is_added: boolean }>(
        `with u as (${HOT}),
           added as (
             insert into event_batch (update_id, digest, first_sequence, last_sequence, body)
             select u.id, $6, $7, $8, $9 from u where ${HELD}
             on conflict (update_id, digest) do nothing returning update_id),
           noted as (
             update stack_update t set has_events = 1, resource_changes = coalesce($10, t.resource_changes)
             from added, u where t.id = added.update_id and (u.has_events = 0 or $10::text is not null))
         select u.*, exists (select from added) as is_added from u`,
        ...hotValues(ref, tokenHash),
        ...[digest, firstSequence, lastSequence, body, resourceChanges],
      );
      if (row === null) return refuse("unknown_update");
      if (row.is_added) return { kind: "appended" };
      const decision = decideLease(leaseFactsOf(row), tokenHash);
      // The CLI's last batches may be retried after complete; only a running update refuses (its cancel).
      if (decision === "not_running" && row.status !== "running") return { kind: "dropped" };
      return decision === "held" ? { kind: "already_appended" } : refuse(decision);
    },

    listEventBatches(updateId, afterSequence, limit) {
      return sql.all<EventBatch>(
        `select id, first_sequence as "firstSequence", last_sequence as "lastSequence", body
         from event_batch where update_id = $1 and last_sequence > $2 order by first_sequence, id limit $3`,
        ...[updateId, afterSequence, limit],
      );
    },
  };
}

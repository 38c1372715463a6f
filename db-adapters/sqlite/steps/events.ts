import { decideLease } from "../../rules.ts";
import { leaseFactsOf } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { findHotRow, type HotRow, refuse } from "./leases.ts";
import type { StepsOf } from "./sync.ts";

type EventBatch = ReturnType<StepsOf<"listEventBatches">["listEventBatches"]>[number];

/** Notes the summary's counts and that the update has events; the row is left alone when nothing is new. */
function noteEvents(sql: Sql, update: HotRow, resourceChanges: string | null): void {
  if (resourceChanges === null && update.has_events === 1) return;
  sql.run(
    "update stack_update set has_events = 1, resource_changes = coalesce(?, resource_changes) where id = ?",
    resourceChanges,
    update.id,
  );
}

export function eventSteps(sql: Sql): StepsOf<"appendEvents" | "listEventBatches"> {
  return {
    appendEvents({ ref, tokenHash, digest, firstSequence, lastSequence, body, resourceChanges }) {
      const update = findHotRow(sql, ref);
      if (update === null) return refuse("unknown_update");
      const decision = decideLease(leaseFactsOf(update), tokenHash);
      // The CLI's last batches may be retried after complete; only a running update refuses (its cancel).
      if (decision === "not_running" && update.status !== "running") return { kind: "dropped" };
      if (decision !== "held") return refuse(decision);
      const added = sql.run(
        `insert into event_batch (update_id, digest, first_sequence, last_sequence, body)
         values (?, ?, ?, ?, ?) on conflict (update_id, digest) do nothing`,
        update.id,
        digest,
        firstSequence,
        lastSequence,
        body,
      );
      if (added === 0) return { kind: "already_appended" };
      noteEvents(sql, update, resourceChanges);
      return { kind: "appended" };
    },

    listEventBatches(updateId, afterSequence, limit) {
      // The inner query sorts ids in the covering index; bodies are read for the page alone.
      return sql.all<EventBatch>(
        `select e.id, e.first_sequence as firstSequence, e.last_sequence as lastSequence, e.body
         from (select id from event_batch where update_id = ? and last_sequence > ?
               order by first_sequence, id limit ?) page
         join event_batch e on e.id = page.id order by e.first_sequence, e.id`,
        updateId,
        afterSequence,
        limit,
      );
    },
  };
}

import type { Sql, Value } from "../sql.ts";
import { isBlobNamed } from "./checkpoints.ts";
import type { StepsOf } from "./sync.ts";

/** Ids that a query finds, in pages small enough for one step. */
function idsOf(sql: Sql, text: string, ...values: Value[]): string[] {
  return sql.all<{ id: string }>(text, ...values).map((row) => row.id);
}

/** Events of updates that ended, oldest update first: batch ids with their update, up to `limit`. */
function findOldEvents(sql: Sql, endedBeforeMs: number, limit: number) {
  return sql.all<{ id: number; update_id: string }>(
    `select e.id, e.update_id from stack_update u join event_batch e on e.update_id = u.id
     where u.has_events = 1 and u.ended_ms is not null and u.ended_ms < ? order by u.ended_ms limit ?`,
    endedBeforeMs,
    limit,
  );
}

function minOf(sql: Sql, text: string, addMs: number): number | null {
  const value = sql.get<{ value: number | null }>(text)?.value ?? null;
  return value === null ? null : value + addMs;
}

export function sweepSteps(
  sql: Sql,
): StepsOf<
  | "nextDeadlineMs"
  | "listExpiredLeases"
  | "discardStaleUpdates"
  | "removeDiscardedUpdates"
  | "removeEndedTokens"
  | "findUnnamedBlobs"
  | "removeOldEvents"
> {
  return {
    nextDeadlineMs({ leaseGraceMs, notStartedMs, removeMs }) {
      // The sweeps ask for what ended *before* a moment, so what ends at t is theirs from t + 1 on.
      const min = (table: string, column: string, where: string, addMs: number) =>
        minOf(sql, `select min(${column}) as value from ${table} where ${where}`, addMs);
      const deadlines = [
        min("stack_update", "lease_expires_ms", "status = 'running'", leaseGraceMs + 1),
        min("stack_update", "cancel_ms", "status = 'running' and cancel_ms is not null", 0),
        min("stack_update", "created_ms", "status = 'not started'", notStartedMs + 1),
        min("stack_update", "ended_ms", "status = 'discarded'", removeMs + 1),
        min("access_token", "expires_ms", "expires_ms is not null", removeMs + 1),
        min("access_token", "revoked_ms", "revoked_ms is not null", removeMs + 1),
        min("stack", "deleted_ms", "deleted_ms is not null", 0),
        min("artifact", "pending_until_ms", "pending_until_ms is not null", 1),
      ];
      const pending = deadlines.filter((deadline) => deadline !== null);
      return pending.length === 0 ? null : Math.min(...pending);
    },

    listExpiredLeases(beforeMs, limit) {
      const rows = sql.all<{ id: string; dry_run: number }>(
        `select id, dry_run, min(at_ms) from (
           select * from (select id, dry_run, lease_expires_ms as at_ms from stack_update
             where status = 'running' and lease_expires_ms < ?1 order by lease_expires_ms limit ?2)
           union all
           select * from (select id, dry_run, cancel_ms as at_ms from stack_update
             where status = 'running' and cancel_ms is not null order by cancel_ms limit ?2))
         group by id order by min(at_ms), id limit ?2`,
        beforeMs,
        limit,
      );
      return rows.map((row) => ({ updateId: row.id, dryRun: row.dry_run === 1 }));
    },

    discardStaleUpdates({ createdBeforeMs, limit, nowMs, dryRun }) {
      const ids = idsOf(
        sql,
        `select id from stack_update where status = 'not started' and created_ms < ?
         order by created_ms limit ?`,
        createdBeforeMs,
        limit,
      );
      if (!dryRun)
        for (const id of ids)
          sql.run("update stack_update set status = 'discarded', ended_ms = ? where id = ?", nowMs, id);
      return ids.length;
    },

    removeDiscardedUpdates({ endedBeforeMs, limit, dryRun }) {
      const ids = idsOf(
        sql,
        "select id from stack_update where status = 'discarded' and ended_ms < ? order by ended_ms limit ?",
        endedBeforeMs,
        limit,
      );
      if (!dryRun) for (const id of ids) sql.run("delete from stack_update where id = ?", id);
      return ids.length;
    },

    removeEndedTokens({ endedBeforeMs, limit, dryRun }) {
      const ids = idsOf(
        sql,
        `select id from access_token where expires_ms is not null and expires_ms < ?1
         union select id from access_token where revoked_ms is not null and revoked_ms < ?1 limit ?2`,
        endedBeforeMs,
        limit,
      );
      if (!dryRun) for (const id of ids) sql.run("delete from access_token where id = ?", id);
      return ids.length;
    },

    findUnnamedBlobs(keys) {
      return keys.filter((key) => !isBlobNamed(sql, key));
    },

    removeOldEvents({ endedBeforeMs, limit, dryRun }) {
      const batches = findOldEvents(sql, endedBeforeMs, limit);
      if (dryRun) return batches.length;
      for (const batch of batches) sql.run("delete from event_batch where id = ?", batch.id);
      for (const updateId of new Set(batches.map((batch) => batch.update_id)))
        sql.run(
          `update stack_update set has_events = 0
           where id = ?1 and not exists (select 1 from event_batch where update_id = ?1)`,
          updateId,
        );
      return batches.length;
    },
  };
}

import type { Sql, Value } from "../sql.ts";
import { UNNAMED } from "./checkpoints.ts";
import type { StepsOf } from "./types.ts";

/** A sweep's rows: `found` gives their ids. What another transaction holds is left for the next round. */
async function sweep(
  sql: Sql,
  { found, change, dryRun }: { found: string; change: string; dryRun: boolean },
  ...values: Value[]
): Promise<number> {
  const text = dryRun
    ? `select count(*) as total from (${found}) found`
    : `with found as (${found} for no key update skip locked), changed as (${change} returning 1)
       select count(*) as total from changed`;
  return (await sql.change<{ total: number }>(text, ...values))?.total ?? 0;
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
    async nextDeadlineMs({ leaseGraceMs, notStartedMs, removeMs }) {
      // The sweeps ask for what ended *before* a moment, so what ends at t is theirs from t + 1 on.
      const row = await sql.get<{ at_ms: number | null }>(
        `select least(
           (select min(lease_expires_ms) from stack_update where status = 'running') + $1::bigint + 1,
           (select min(cancel_ms) from stack_update where status = 'running' and cancel_ms is not null),
           (select min(created_ms) from stack_update where status = 'not started') + $2::bigint + 1,
           (select min(ended_ms) from stack_update where status = 'discarded') + $3::bigint + 1,
           (select min(expires_ms) from access_token where expires_ms is not null) + $3::bigint + 1,
           (select min(revoked_ms) from access_token where revoked_ms is not null) + $3::bigint + 1,
           (select min(deleted_ms) from stack where deleted_ms is not null),
           (select min(pending_until_ms) from artifact where pending_until_ms is not null) + 1) as at_ms`,
        ...[leaseGraceMs, notStartedMs, removeMs],
      );
      return row?.at_ms ?? null;
    },

    async listExpiredLeases(beforeMs, limit) {
      const rows = await sql.all<{ id: string; dry_run: number }>(
        `select id, dry_run from (
           (select id, dry_run, lease_expires_ms as at_ms from stack_update
             where status = 'running' and lease_expires_ms < $1 order by lease_expires_ms limit $2)
           union all
           (select id, dry_run, cancel_ms as at_ms from stack_update
             where status = 'running' and cancel_ms is not null order by cancel_ms limit $2)) due
         group by id, dry_run order by min(at_ms), id limit $2`,
        ...[beforeMs, limit],
      );
      return rows.map((row) => ({ updateId: row.id, dryRun: row.dry_run === 1 }));
    },

    discardStaleUpdates({ createdBeforeMs, limit, nowMs, dryRun }) {
      const found = `select id from stack_update where status = 'not started' and created_ms < $1
        order by created_ms limit $2`;
      const change = `update stack_update set status = 'discarded', ended_ms = $3
        where id in (select id from found)`;
      const values = dryRun ? [createdBeforeMs, limit] : [createdBeforeMs, limit, nowMs];
      return sweep(sql, { found, change, dryRun }, ...values);
    },

    removeDiscardedUpdates({ endedBeforeMs, limit, dryRun }) {
      const found = `select id from stack_update where status = 'discarded' and ended_ms < $1
        order by ended_ms limit $2`;
      const change = "delete from stack_update where id in (select id from found)";
      return sweep(sql, { found, change, dryRun }, endedBeforeMs, limit);
    },

    removeEndedTokens({ endedBeforeMs, limit, dryRun }) {
      const found = `select id from access_token where id in (
          (select id from access_token where expires_ms is not null and expires_ms < $1 limit $2)
          union (select id from access_token where revoked_ms is not null and revoked_ms < $1 limit $2))
        limit $2`;
      const change = "delete from access_token where id in (select id from found)";
      return sweep(sql, { found, change, dryRun }, endedBeforeMs, limit);
    },

    async findUnnamedBlobs(keys) {
      if (keys.length === 0) return [];
      return (await sql.all<{ key: string }>(UNNAMED, keys)).map((row) => row.key);
    },

    async removeOldEvents({ endedBeforeMs, limit, dryRun }) {
      // Of updates that ended, oldest update first.
      const found = `select e.id from stack_update u join event_batch e on e.update_id = u.id
        where u.has_events = 1 and u.ended_ms is not null and u.ended_ms < $1 order by u.ended_ms limit $2`;
      if (dryRun) return sweep(sql, { found, change: "", dryRun }, endedBeforeMs, limit);
      return sql.transaction(async (tx) => {
        const removed = await tx.all<{ update_id: string }>(
          `delete from event_batch where id = any(array(${found})) returning update_id`,
          ...[endedBeforeMs, limit],
        );
        const ids = [...new Set(removed.map((row) => row.update_id))].sort();
        tx.post(
          `update stack_update u set has_events = 0
           where id = any($1::text[]) and not exists (select from event_batch where update_id = u.id)`,
          ids,
        );
        return removed.length;
      });
    },
  };
}

import type { Sql } from "../sql.ts";
import type { StepsOf } from "./sync.ts";

/** Deletes up to `limit` rows of `table` that belong to `ownerId`; answers how many went. */
function removeSome(sql: Sql, table: string, column: string, ownerId: string, limit: number): number {
  if (limit <= 0) return 0;
  return sql.run(
    `delete from ${table} where rowid in (select rowid from ${table} where ${column} = ? limit ?)`,
    ownerId,
    limit,
  );
}

/** Removes one update with its batches, as far as `limit` reaches. */
function removeUpdate(sql: Sql, updateId: string, limit: number): number {
  let removed = removeSome(sql, "journal_batch", "update_id", updateId, limit);
  removed += removeSome(sql, "event_batch", "update_id", updateId, limit - removed);
  if (removed < limit) removed += sql.run("delete from stack_update where id = ?", updateId);
  return removed;
}

function removeUpdates(sql: Sql, stackId: string, limit: number): number {
  let removed = 0;
  while (removed < limit) {
    const row = sql.get<{ id: string }>("select id from stack_update where stack_id = ? limit 1", stackId);
    if (row === null) break;
    removed += removeUpdate(sql, row.id, limit - removed);
  }
  return removed;
}

/** Pinned ones outlive their stack. */
function removeArtifacts(sql: Sql, stackId: string, limit: number): number {
  const some = "select id from artifact where stack_id = ? and pinned = 0 limit ?";
  return sql.run(`delete from artifact where id in (${some})`, stackId, limit);
}

export function purgeSteps(sql: Sql): StepsOf<"listDeletedStacks" | "purgeDeletedStack"> {
  return {
    listDeletedStacks(limit) {
      const text = "select id from stack where deleted_ms is not null order by deleted_ms, rowid limit ?";
      return sql.all<{ id: string }>(text, limit).map((row) => row.id);
    },

    purgeDeletedStack(stackId, limit) {
      const text = "select 1 from stack where id = ? and deleted_ms is not null";
      if (sql.get(text, stackId) === null) return { removed: 0, done: true };
      let removed = removeArtifacts(sql, stackId, limit);
      removed += removeUpdates(sql, stackId, limit - removed);
      removed += removeSome(sql, "state_version", "stack_id", stackId, limit - removed);
      removed += removeSome(sql, "stack_tag", "stack_id", stackId, limit - removed);
      // The stack's own row is the last: until it goes, the purge comes back.
      if (removed >= limit) return { removed, done: false };
      removed += sql.run("delete from stack where id = ?", stackId);
      return { removed, done: true };
    },
  };
}

import type { Sql, Transaction } from "../sql.ts";
import type { StepsOf } from "./types.ts";

const OF_UPDATES = "select b.id from stack_update u join";

/** Rows of a deleted stack ($1), at most $2 at a time: what others refer to goes last. */
const REMOVALS = [
  // Pinned ones outlive their stack.
  `delete from artifact where id = any(array(
     select id from artifact where stack_id = $1 and pinned = 0 limit $2))`,
  `delete from journal_batch where id = any(array(
     ${OF_UPDATES} journal_batch b on b.update_id = u.id where u.stack_id = $1 limit $2))`,
  `delete from event_batch where id = any(array(
     ${OF_UPDATES} event_batch b on b.update_id = u.id where u.stack_id = $1 limit $2))`,
  "delete from stack_update where id = any(array(select id from stack_update where stack_id = $1 limit $2))",
  `delete from state_version where stack_id = $1 and version = any(array(
     select version from state_version where stack_id = $1 limit $2))`,
  `delete from stack_tag where stack_id = $1 and name = any(array(
     select name from stack_tag where stack_id = $1 limit $2))`,
  "delete from stack where id = $1 and $2 > 0",
] as const;

async function purge(
  tx: Transaction,
  stackId: string,
  limit: number,
): Promise<{ removed: number; done: boolean }> {
  const lock = "select 1 from stack where id = $1 and deleted_ms is not null for update";
  if ((await tx.get(lock, stackId)) === null) return { removed: 0, done: true };
  let removed = 0;
  for (const text of REMOVALS) {
    // The stack's own row is the last: until it goes, the purge comes back.
    if (removed >= limit) return { removed, done: false };
    removed += await tx.run(text, stackId, limit - removed);
  }
  return { removed, done: true };
}

export function purgeSteps(sql: Sql): StepsOf<"listDeletedStacks" | "purgeDeletedStack"> {
  return {
    async listDeletedStacks(limit) {
      const text = "select id from stack where deleted_ms is not null order by deleted_ms, id limit $1";
      return (await sql.all<{ id: string }>(text, limit)).map((row) => row.id);
    },

    purgeDeletedStack(stackId, limit) {
      return sql.transaction((tx) => purge(tx, stackId, limit));
    },
  };
}

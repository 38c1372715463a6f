import type { Sql } from "../sql.ts";
import type { StepsOf } from "./types.ts";

/** Neither the stack's last good version nor the base of an update that runs or whose journal is kept. */
const FREE = `v.superseded = 1 and s.deleted_ms is null and v.version <> s.state_version
  and v.version is distinct from s.good_version
  and not exists (select from stack_update u
    where u.stack_id = v.stack_id and u.base_version is not null and u.base_version = v.version)`;

const BY_AGE = `(select v.stack_id, v.version from state_version v join stack s on s.id = v.stack_id
  where v.created_ms < $1 and ${FREE} order by v.created_ms limit $3)`;

/** Only stacks that hold more than $2 versions are visited, and of these only the versions past them. */
const BY_COUNT = `(select v.stack_id, v.version from stack s join state_version v on v.stack_id = s.id
  where s.state_count > 1 and s.state_count > $2 and ${FREE} and v.version <
    (select n.version from state_version n where n.stack_id = s.id order by n.version desc
     limit 1 offset greatest($2::bigint, 1) - 1)
  limit $3)`;

const FOUND = `select stack_id, version from (${BY_AGE} union ${BY_COUNT}) either limit $3`;

export function retentionSteps(sql: Sql): StepsOf<"removeOldVersions"> {
  return {
    removeOldVersions({ createdBeforeMs, keepVersions, limit, dryRun }) {
      const values = [createdBeforeMs, keepVersions, limit];
      if (dryRun)
        return sql
          .get<{ total: number }>(`select count(*) as total from (${FOUND}) found`, ...values)
          .then((row) => row?.total ?? 0);
      return sql.transaction(async (tx) => {
        // The stacks first, against a start that freezes one of these versions as its base.
        const stacks = await tx.all<{ id: string }>(
          `select id from stack where id in (select stack_id from (${FOUND}) found)
           order by id for no key update skip locked`,
          ...values,
        );
        return tx.run(
          `delete from state_version v using (${FOUND}) found
           where v.stack_id = found.stack_id and v.version = found.version
             and v.stack_id = any($4::text[])`,
          ...values,
          stacks.map((stack) => stack.id),
        );
      });
    },
  };
}

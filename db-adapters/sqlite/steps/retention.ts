import type { StateRow } from "../rows.ts";
import type { Sql } from "../sql.ts";
import type { StepsOf } from "./sync.ts";

type VersionKey = Pick<StateRow, "stack_id" | "version">;

/** Neither the stack's last good version nor the base of an update that runs or whose journal is kept. */
const FREE = `v.superseded = 1 and s.deleted_ms is null and v.version <> s.state_version
  and v.version is not s.good_version
  and not exists (select 1 from stack_update u
    where u.stack_id = v.stack_id and u.base_version is not null and u.base_version = v.version)`;

function findByAge(sql: Sql, createdBeforeMs: number, limit: number): VersionKey[] {
  return sql.all<VersionKey>(
    `select v.stack_id, v.version from state_version v join stack s on s.id = v.stack_id
     where v.created_ms < ? and ${FREE} order by v.created_ms limit ?`,
    createdBeforeMs,
    limit,
  );
}

/** Only stacks that hold more than `keepVersions` are visited, and of these only the versions past them. */
function findByCount(sql: Sql, keepVersions: number, limit: number): VersionKey[] {
  return sql.all<VersionKey>(
    `select v.stack_id, v.version from stack s join state_version v on v.stack_id = s.id
     where s.state_count > 1 and s.state_count > ?1 and ${FREE} and v.version <
       (select n.version from state_version n where n.stack_id = s.id order by n.version desc
        limit 1 offset max(?1, 1) - 1)
     limit ?2`,
    keepVersions,
    limit,
  );
}

export function retentionSteps(sql: Sql): StepsOf<"removeOldVersions"> {
  return {
    removeOldVersions({ createdBeforeMs, keepVersions, limit, dryRun }) {
      const found = new Map<string, VersionKey>();
      const note = (keys: readonly VersionKey[]) => {
        for (const key of keys) if (found.size < limit) found.set(`${key.stack_id}/${key.version}`, key);
      };
      if (createdBeforeMs !== null) note(findByAge(sql, createdBeforeMs, limit));
      if (keepVersions !== null) note(findByCount(sql, keepVersions, limit));
      if (!dryRun)
        for (const key of found.values())
          sql.run("delete from state_version where stack_id = ? and version = ?", key.stack_id, key.version);
      return found.size;
    },
  };
}

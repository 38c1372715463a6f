/** What artifacts may take up, and which have to go. */
import { excessOf, keepOf, limitsOf } from "../../artifact-rules.ts";
import { type ArtifactKeep, UNLIMITED } from "../../contract.ts";
import type { ArtifactLimitRow, ArtifactRow, ArtifactUsageRow } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { auditValues, INSERT_AUDIT } from "./audit.ts";
import type { StepsOf } from "./types.ts";

const LOOSE = "pinned = 0 and pending_until_ms is null";
/** Places over a limit that one step looks at. */
const SCOPES_A_STEP = 20;
const DAY_MS = 86_400_000;

type ScopeKind = "stack" | "organization";
type Removed = Pick<ArtifactRow, "id" | "blob_key" | "size_bytes">;

/** Older than what holds for its stack, its organization or everybody; only what is past the shortest is looked at. */
function findAged(sql: Sql, nowMs: number, ageDays: number | null, limit: number): Promise<Removed[]> {
  const held = "coalesce(s.age_days, o.age_days, $2::bigint)";
  return sql.all<Removed>(
    `select a.id, a.blob_key, a.size_bytes from artifact a
     left join artifact_limit s on s.scope = 's:' || a.stack_id
     left join artifact_limit o on o.scope = 'o:' || a.organization_id
     where a.pinned = 0 and a.pending_until_ms is null
       and a.created_ms < $1::bigint - ${DAY_MS} * least(nullif($2::bigint, ${UNLIMITED}),
         (select min(age_days) from artifact_limit where age_days >= 0))
       and ${held} >= 0 and a.created_ms < $1::bigint - ${held} * ${DAY_MS}
     order by a.created_ms limit $3`,
    ...[nowMs, ageDays ?? UNLIMITED, limit],
  );
}

type LimitedUsage = ArtifactUsageRow & Pick<ArtifactLimitRow, "files_max" | "bytes_max">;

/** Places with more files or bytes than hold for them, their own limits first. */
function findOver(
  sql: Sql,
  kind: ScopeKind,
  what: "files" | "bytes",
  max: number | null,
): Promise<LimitedUsage[]> {
  return sql.all<LimitedUsage>(
    `(select u.*, l.files_max, l.bytes_max from artifact_limit l join artifact_usage u on u.scope = l.scope
       where u.kind = $1 and l.${what}_max >= 0 and u.loose_${what} > l.${what}_max limit ${SCOPES_A_STEP})
     union all
     (select u.*, l.files_max, l.bytes_max from artifact_usage u left join artifact_limit l on l.scope = u.scope
       where u.kind = $1 and u.loose_${what} > $2::bigint and l.${what}_max is null limit ${SCOPES_A_STEP})`,
    ...[kind, max],
  );
}

async function findExcess(sql: Sql, kind: ScopeKind, keep: ArtifactKeep, limit: number): Promise<Removed[]> {
  const over = [
    ...(await findOver(sql, kind, "files", keep.filesMax)),
    ...(await findOver(sql, kind, "bytes", keep.bytesMax)),
  ];
  const scopes = new Map(over.map((it) => [it.scope, it]));
  const excess: Removed[] = [];
  for (const usage of scopes.values()) {
    const rows = await sql.all<Removed>(
      `select id, blob_key, size_bytes from artifact where ${kind}_id = $1 and ${LOOSE} order by id limit $2`,
      ...[usage.scope.slice(2), limit],
    );
    excess.push(
      ...excessOf(rows, { files: usage.loose_files, bytes: usage.loose_bytes }, keepOf(usage, keep)),
    );
  }
  return excess;
}

/** Removes rows, except those pinned meanwhile, unless it is a dry run; answers their blobs. */
async function remove(sql: Sql, rows: readonly Removed[], dryRun: boolean): Promise<string[]> {
  if (dryRun || rows.length === 0) return rows.map((row) => row.blob_key);
  return sql.transaction(async (tx) => {
    const gone = await tx.all<{ blob_key: string }>(
      "delete from artifact where id = any($1::text[]) and pinned = 0 returning blob_key",
      rows.map((row) => row.id),
    );
    return gone.map((row) => row.blob_key);
  });
}

export function artifactLimitSteps(
  sql: Sql,
): StepsOf<
  | "findArtifactLimits"
  | "setArtifactLimits"
  | "hasArtifactLimits"
  | "removePendingArtifacts"
  | "removeOldArtifacts"
> {
  return {
    async removePendingArtifacts({ beforeMs, limit, dryRun }) {
      const found = `select id, blob_key, size_bytes from artifact
        where pending_until_ms is not null and pending_until_ms < $1 order by pending_until_ms limit $2`;
      if (dryRun) return (await sql.all<Removed>(found, beforeMs, limit)).map((row) => row.blob_key);
      return sql.transaction(async (tx) => {
        const gone = await tx.all<Removed>(
          `delete from artifact where id in (select id from (${found}) found)
           and pending_until_ms is not null returning id, blob_key, size_bytes`,
          ...[beforeMs, limit],
        );
        return gone.map((row) => row.blob_key);
      });
    },

    async findArtifactLimits(organization, stackId) {
      const rows = await sql.all<ArtifactLimitRow>(
        `select * from artifact_limit where scope = 's:' || $2::text
           or scope = 'o:' || (select id from organization where name = $1)`,
        ...[organization, stackId],
      );
      return {
        ofOrganization: limitsOf(rows.find((row) => row.stack_id === null) ?? null),
        ofStack: limitsOf(rows.find((row) => row.stack_id !== null) ?? null),
      };
    },

    setArtifactLimits({ organization, stackId, limits, audit }) {
      return sql.transaction(async (tx) => {
        const text = "select id from organization where name = $1 for key share";
        const organizationId = (await tx.get<{ id: string }>(text, organization))?.id ?? null;
        if (organizationId === null) return "no_organization";
        if (stackId !== null) {
          const stack = `select 1 from stack where id = $1 and organization_id = $2 and deleted_ms is null
            for key share`;
          if ((await tx.get(stack, stackId, organizationId)) === null) return "no_stack";
        }
        const { ageDays, filesMax, bytesMax, quotaBytes } = limits;
        await tx.run(
          `insert into artifact_limit (scope, organization_id, stack_id, age_days, files_max, bytes_max, quota_bytes)
           values ($1, $2, $3, $4::bigint, $5::bigint, $6::bigint, $7::bigint)
           on conflict (scope) do update set age_days = excluded.age_days, files_max = excluded.files_max,
             bytes_max = excluded.bytes_max, quota_bytes = excluded.quota_bytes`,
          ...[stackId === null ? `o:${organizationId}` : `s:${stackId}`, organizationId, stackId],
          ...[ageDays, filesMax, bytesMax, quotaBytes],
        );
        await tx.run(
          `delete from artifact_limit where scope = $1 and age_days is null and files_max is null
             and bytes_max is null and quota_bytes is null`,
          stackId === null ? `o:${organizationId}` : `s:${stackId}`,
        );
        tx.post(INSERT_AUDIT, ...auditValues(audit));
        return "set";
      });
    },

    async hasArtifactLimits() {
      return (await sql.get("select 1 as found from artifact_limit limit 1")) !== null;
    },

    async removeOldArtifacts({ nowMs, ageDays, perStack, perOrganization, limit, dryRun }) {
      const old = await findAged(sql, nowMs, ageDays, limit);
      if (old.length > 0) return remove(sql, old, dryRun);
      const stacks = await findExcess(sql, "stack", perStack, limit);
      const excess =
        stacks.length > 0 ? stacks : await findExcess(sql, "organization", perOrganization, limit);
      return remove(sql, excess.slice(0, limit), dryRun);
    },
  };
}

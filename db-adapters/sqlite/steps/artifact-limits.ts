/** What artifacts may take up, and which have to go. */
import { excessOf, keepOf, limitsOf } from "../../artifact-rules.ts";
import { type ArtifactKeep, UNLIMITED } from "../../contract.ts";
import type { ArtifactLimitRow, ArtifactRow, ArtifactUsageRow } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { insertAudit } from "./audit.ts";
import { findOrganizationId } from "./organizations.ts";
import { findStackRow } from "./stacks.ts";
import type { StepsOf } from "./sync.ts";

const LOOSE = "pinned = 0 and pending_until_ms is null";
/** Places over a limit that one step looks at. */
const SCOPES_A_STEP = 20;
const DAY_MS = 86_400_000;

type ScopeKind = "stack" | "organization";
type Removed = Pick<ArtifactRow, "id" | "blob_key" | "size_bytes">;

export function limitRowOf(sql: Sql, scope: string): ArtifactLimitRow | null {
  return sql.get<ArtifactLimitRow>("select * from artifact_limit where scope = ?", scope);
}

/** Older than what holds for its stack, its organization or everybody; only what is past the shortest is looked at. */
function findAged(sql: Sql, nowMs: number, ageDays: number | null, limit: number): Removed[] {
  const shortest = sql.get<{ days: number | null }>(
    "select min(age_days) as days from artifact_limit where age_days >= 0",
  );
  const days = [shortest?.days ?? null, ageDays].filter((it) => it !== null);
  if (days.length === 0) return [];
  const held = "coalesce(s.age_days, o.age_days, ?)";
  return sql.all<Removed>(
    `select a.id, a.blob_key, a.size_bytes from artifact a
     left join artifact_limit s on s.scope = 's:' || a.stack_id
     left join artifact_limit o on o.scope = 'o:' || a.organization_id
     where a.pinned = 0 and a.pending_until_ms is null and a.created_ms < ?
       and ${held} >= 0 and a.created_ms < ? - ${held} * ${DAY_MS}
     order by a.created_ms limit ?`,
    ...[nowMs - Math.min(...days) * DAY_MS, ageDays ?? UNLIMITED, nowMs, ageDays ?? UNLIMITED, limit],
  );
}

type LimitedUsage = ArtifactUsageRow & Pick<ArtifactLimitRow, "files_max" | "bytes_max">;

/** Places with more files or bytes than hold for them, their own limits first. */
function findOver(sql: Sql, kind: ScopeKind, what: "files" | "bytes", max: number | null): LimitedUsage[] {
  const own = sql.all<LimitedUsage>(
    `select u.*, l.files_max, l.bytes_max from artifact_limit l cross join artifact_usage u on u.scope = l.scope
     where u.kind = ? and l.${what}_max >= 0 and u.loose_${what} > l.${what}_max limit ${SCOPES_A_STEP}`,
    kind,
  );
  if (max === null) return own;
  const others = sql.all<LimitedUsage>(
    `select u.*, l.files_max, l.bytes_max from artifact_usage u left join artifact_limit l on l.scope = u.scope
     where u.kind = ? and u.loose_${what} > ? and l.${what}_max is null limit ${SCOPES_A_STEP}`,
    ...[kind, max],
  );
  return [...own, ...others];
}

function findExcess(sql: Sql, kind: ScopeKind, keep: ArtifactKeep, limit: number): Removed[] {
  const over = [
    ...findOver(sql, kind, "files", keep.filesMax),
    ...findOver(sql, kind, "bytes", keep.bytesMax),
  ];
  const scopes = new Map(over.map((it) => [it.scope, it]));
  return [...scopes.values()].flatMap((usage) => {
    const rows = sql.all<Removed>(
      `select id, blob_key, size_bytes from artifact where ${kind}_id = ? and ${LOOSE} order by id limit ?`,
      usage.scope.slice(2),
      limit,
    );
    return excessOf(rows, { files: usage.loose_files, bytes: usage.loose_bytes }, keepOf(usage, keep));
  });
}

/** Removes rows unless it is a dry run; answers their blobs. */
function remove(sql: Sql, rows: readonly Removed[], dryRun: boolean): string[] {
  if (!dryRun) for (const row of rows) sql.run("delete from artifact where id = ?", row.id);
  return rows.map((row) => row.blob_key);
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
    removePendingArtifacts({ beforeMs, limit, dryRun }) {
      const rows = sql.all<Removed>(
        `select id, blob_key, size_bytes from artifact
         where pending_until_ms is not null and pending_until_ms < ? order by pending_until_ms limit ?`,
        beforeMs,
        limit,
      );
      return remove(sql, rows, dryRun);
    },

    findArtifactLimits(organization, stackId) {
      const organizationId = findOrganizationId(sql, organization);
      return {
        ofOrganization: limitsOf(organizationId === null ? null : limitRowOf(sql, `o:${organizationId}`)),
        ofStack: limitsOf(stackId === null ? null : limitRowOf(sql, `s:${stackId}`)),
      };
    },

    setArtifactLimits({ organization, stackId, limits, audit }) {
      const organizationId = findOrganizationId(sql, organization);
      if (organizationId === null) return "no_organization";
      if (stackId !== null && findStackRow(sql, stackId)?.organization_id !== organizationId)
        return "no_stack";
      const scope = stackId === null ? `o:${organizationId}` : `s:${stackId}`;
      sql.run("delete from artifact_limit where scope = ?", scope);
      const { ageDays, filesMax, bytesMax, quotaBytes } = limits;
      if ([ageDays, filesMax, bytesMax, quotaBytes].some((it) => it !== null)) {
        sql.insert("artifact_limit", {
          ...{ scope, organization_id: organizationId, stack_id: stackId },
          ...{ age_days: ageDays, files_max: filesMax, bytes_max: bytesMax, quota_bytes: quotaBytes },
        });
      }
      insertAudit(sql, audit);
      return "set";
    },

    hasArtifactLimits() {
      return sql.get("select 1 as found from artifact_limit where scope > '' limit 1") !== null;
    },

    removeOldArtifacts({ nowMs, ageDays, perStack, perOrganization, limit, dryRun }) {
      const old = findAged(sql, nowMs, ageDays, limit);
      if (old.length > 0) return remove(sql, old, dryRun);
      const stacks = findExcess(sql, "stack", perStack, limit);
      const excess = stacks.length > 0 ? stacks : findExcess(sql, "organization", perOrganization, limit);
      return remove(sql, excess.slice(0, limit), dryRun);
    },
  };
}

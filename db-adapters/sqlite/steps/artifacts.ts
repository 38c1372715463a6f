import { excessOf, keepOf, limitOf, limitsOf, placeOf } from "../../artifact-rules.ts";
import {
  type Artifact,
  type ArtifactFilter,
  type ArtifactKeep,
  type ArtifactPlace,
  type NewArtifact,
  UNLIMITED,
} from "../../contract.ts";
import type { ArtifactLimitRow, ArtifactRow, ArtifactUsageRow } from "../rows.ts";
import type { Sql, Value } from "../sql.ts";
import { insertAudit } from "./audit.ts";
import { findOrganizationId } from "./organizations.ts";
import { findStackId, findStackRow } from "./stacks.ts";
import type { StepsOf } from "./sync.ts";

/** Above every id: pages that descend begin here. */
const PAST_ALL_IDS = "\u{10ffff}";
const LOOSE = "pinned = 0 and pending_until_ms is null";
/** Places over a limit that one step looks at. */
const SCOPES_A_STEP = 20;
const DAY_MS = 86_400_000;

type ScopeKind = "stack" | "organization";

type ViewRow = ArtifactRow & {
  readonly organization: string;
  readonly project: string | null;
  readonly stack: string | null;
};
type Removed = Pick<ArtifactRow, "id" | "blob_key" | "size_bytes">;

const VIEW = `select a.*, o.name as organization, s.project, s.name as stack
  from artifact a join organization o on o.id = a.organization_id
  left join stack s on s.id = a.stack_id and s.deleted_ms is null`;

function artifactOf(row: ViewRow): Artifact {
  return {
    id: row.id,
    organization: row.organization,
    organizationId: row.organization_id,
    project: row.project,
    stack: row.stack,
    stackId: row.stack_id,
    updateId: row.update_id,
    commit: row.commit_sha,
    name: row.name,
    version: row.version,
    kind: row.kind,
    contentType: row.content_type,
    sizeBytes: row.size_bytes,
    sha256: row.sha256,
    blobKey: row.blob_key,
    isSealed: row.sealed === 1,
    labels: JSON.parse(row.labels) as Record<string, string>,
    isPinned: row.pinned === 1,
    actor: row.actor,
    createdMs: row.created_ms,
    pendingUntilMs: row.pending_until_ms,
  };
}

/** Whether the stack and the update are there, of this organization and of each other. */
function placeProblem(
  sql: Sql,
  organizationId: string,
  place: ArtifactPlace,
): "no_stack" | "no_update" | null {
  if (place.stackId === null) return place.updateId === null ? null : "no_update";
  if (findStackRow(sql, place.stackId)?.organization_id !== organizationId) return "no_stack";
  if (place.updateId === null) return null;
  const update = sql.get<{ stack_id: string }>(
    "select stack_id from stack_update where id = ?",
    place.updateId,
  );
  return update?.stack_id === place.stackId ? null : "no_update";
}

function insertArtifact(
  sql: Sql,
  organizationId: string,
  artifact: NewArtifact,
  times: { readonly nowMs: number; readonly pendingUntilMs: number | null },
): number {
  const place = placeOf(artifact);
  const last = sql.get<{ version: number }>(
    `select version from artifact where organization_id = ? and place = ? and name = ?
     order by version desc limit 1`,
    organizationId,
    place,
    artifact.name,
  );
  const version = (last?.version ?? 0) + 1;
  sql.insert("artifact", {
    id: artifact.id,
    organization_id: organizationId,
    stack_id: artifact.stackId,
    update_id: artifact.updateId,
    commit_sha: artifact.commit,
    place,
    name: artifact.name,
    version,
    kind: artifact.kind,
    content_type: artifact.contentType,
    size_bytes: artifact.sizeBytes,
    sha256: artifact.sha256,
    blob_key: artifact.blobKey,
    sealed: artifact.isSealed ? 1 : 0,
    labels: JSON.stringify(artifact.labels),
    pinned: artifact.isPinned ? 1 : 0,
    actor: artifact.actor,
    created_ms: times.nowMs,
    pending_until_ms: times.pendingUntilMs,
  });
  return version;
}

function usageOf(sql: Sql, scope: string): ArtifactUsageRow | null {
  return sql.get<ArtifactUsageRow>("select * from artifact_usage where scope = ?", scope);
}

/** Conditions on `a` beyond its organization; null when nothing can fit. */
function wheresOf(
  sql: Sql,
  organizationId: string,
  filter: ArtifactFilter,
  values: Value[],
): string[] | null {
  const wheres: string[] = [];
  const equal = (column: string, value: string | undefined) => {
    if (value === undefined) return;
    wheres.push(`a.${column} = ?`);
    values.push(value);
  };
  equal("stack_id", filter.stackId);
  equal("update_id", filter.updateId);
  equal("commit_sha", filter.commit);
  equal("name", filter.name);
  equal("sha256", filter.sha256);
  if (filter.project === undefined) return wheres;
  if (filter.stack === undefined) {
    wheres.push(
      "a.stack_id in (select id from stack where organization_id = ? and project = ? and deleted_ms is null)",
    );
    values.push(organizationId, filter.project);
    return wheres;
  }
  const stackId = findStackId(sql, organizationId, filter.project, filter.stack);
  if (stackId === null) return null;
  equal("stack_id", stackId);
  return wheres;
}

function find(sql: Sql, organization: string, id: string): ArtifactRow | null {
  return sql.get<ArtifactRow>(
    "select * from artifact where id = ? and organization_id = (select id from organization where name = ?)",
    id,
    organization,
  );
}

function limitRowOf(sql: Sql, scope: string): ArtifactLimitRow | null {
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

export function artifactSteps(
  sql: Sql,
): StepsOf<
  | "createArtifacts"
  | "confirmArtifact"
  | "findArtifact"
  | "listArtifacts"
  | "changeArtifact"
  | "deleteArtifact"
  | "findArtifactUsage"
  | "findArtifactLimits"
  | "setArtifactLimits"
  | "hasArtifactLimits"
  | "removePendingArtifacts"
  | "removeOldArtifacts"
> {
  return {
    createArtifacts({ organization, artifacts, quotaBytes, ...times }) {
      const organizationId = findOrganizationId(sql, organization);
      if (organizationId === null) return { kind: "no_organization" };
      for (const artifact of artifacts) {
        const problem = placeProblem(sql, organizationId, artifact);
        if (problem !== null) return { kind: problem };
      }
      const usedBytes = usageOf(sql, `o:${organizationId}`)?.bytes ?? 0;
      const addedBytes = artifacts.reduce((sum, it) => sum + it.sizeBytes, 0);
      const quota = limitOf(limitRowOf(sql, `o:${organizationId}`)?.quota_bytes ?? null, quotaBytes);
      if (quota !== null && usedBytes + addedBytes > quota)
        return { kind: "over_quota", usedBytes, quotaBytes: quota };
      const versions = artifacts.map((it) => insertArtifact(sql, organizationId, it, times));
      return { kind: "created", versions };
    },

    confirmArtifact({ organization, id, isSealed }) {
      const row = find(sql, organization, id);
      if (row === null) return "absent";
      if (row.pending_until_ms !== null)
        sql.run("update artifact set pending_until_ms = null, sealed = ? where id = ?", isSealed ? 1 : 0, id);
      return "confirmed";
    },

    findArtifact(organization, id) {
      const row = sql.get<ViewRow>(`${VIEW} where a.id = ? and o.name = ?`, id, organization);
      return row === null ? null : artifactOf(row);
    },

    listArtifacts(organization, filter, { after, limit }) {
      const organizationId = findOrganizationId(sql, organization);
      if (organizationId === null) return [];
      const values: Value[] = [];
      const wheres = wheresOf(sql, organizationId, filter, values);
      if (wheres === null) return [];
      const text = `${VIEW} where ${[...wheres, "a.organization_id = ?"].join(" and ")}
        and a.pending_until_ms is null and a.id < ? order by a.id desc limit ?`;
      return sql.all<ViewRow>(text, ...values, organizationId, after ?? PAST_ALL_IDS, limit).map(artifactOf);
    },

    changeArtifact({ organization, id, labels, isPinned }) {
      const row = find(sql, organization, id);
      if (row === null || row.pending_until_ms !== null) return "absent";
      sql.run(
        "update artifact set labels = ?, pinned = ? where id = ?",
        labels === undefined ? row.labels : JSON.stringify(labels),
        isPinned === undefined ? row.pinned : isPinned ? 1 : 0,
        id,
      );
      return "changed";
    },

    deleteArtifact({ organization, id }) {
      const row = find(sql, organization, id);
      if (row === null) return { kind: "absent" };
      if (row.pinned === 1) return { kind: "pinned" };
      sql.run("delete from artifact where id = ?", id);
      return { kind: "deleted", blobKey: row.blob_key };
    },

    findArtifactUsage(organization, stackId) {
      const scope = stackId === null ? `o:${findOrganizationId(sql, organization) ?? ""}` : `s:${stackId}`;
      const usage = usageOf(sql, scope);
      return { files: usage?.files ?? 0, bytes: usage?.bytes ?? 0 };
    },

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

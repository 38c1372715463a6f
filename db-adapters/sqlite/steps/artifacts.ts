import { limitOf, placeOf } from "../../artifact-rules.ts";
import type { Artifact, ArtifactFilter, ArtifactPlace, NewArtifact } from "../../contract.ts";
import type { ArtifactRow, ArtifactUsageRow } from "../rows.ts";
import type { Sql, Value } from "../sql.ts";
import { limitRowOf } from "./artifact-limits.ts";
import { findOrganizationId } from "./organizations.ts";
import { findStackId, findStackRow } from "./stacks.ts";
import type { StepsOf } from "./sync.ts";

/** Above every id: pages that descend begin here. */
const PAST_ALL_IDS = "\u{10ffff}";

type ViewRow = ArtifactRow & {
  readonly organization: string;
  readonly project: string | null;
  readonly stack: string | null;
};

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
  };
}

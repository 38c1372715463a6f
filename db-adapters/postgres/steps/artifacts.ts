import { limitOf, placeOf } from "../../artifact-rules.ts";
import type { Artifact, ArtifactFilter, NewArtifact } from "../../contract.ts";
import type { ArtifactLimitRow, ArtifactRow, ArtifactUsageRow } from "../rows.ts";
import type { Sql, Transaction, Value } from "../sql.ts";
import type { StepsOf } from "./types.ts";

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

/** The stack and the update have to be there, of this organization and of each other; they are held until the end. */
async function placeProblem(
  tx: Transaction,
  organizationId: string,
  artifacts: readonly NewArtifact[],
): Promise<"no_stack" | "no_update" | null> {
  const places = new Map(artifacts.map((it) => [`${it.stackId} ${it.updateId}`, it]));
  for (const { stackId, updateId } of places.values()) {
    if (stackId === null) {
      if (updateId !== null) return "no_update";
      continue;
    }
    const stack = `select 1 from stack where id = $1 and organization_id = $2 and deleted_ms is null for key share`;
    if ((await tx.get(stack, stackId, organizationId)) === null) return "no_stack";
    if (updateId === null) continue;
    const update = "select 1 from stack_update where id = $1 and stack_id = $2 for key share";
    if ((await tx.get(update, updateId, stackId)) === null) return "no_update";
  }
  return null;
}

/** Locks the organization's usage: versions are numbered and quotas are kept by one at a time. */
async function lockUsage(tx: Transaction, organizationId: string): Promise<number> {
  await tx.run(
    `insert into artifact_usage (scope, kind, organization_id, files, bytes, loose_files, loose_bytes)
     values ('o:' || $1::text, 'organization', $1, 0, 0, 0, 0) on conflict (scope) do nothing`,
    organizationId,
  );
  const text = "select bytes from artifact_usage where scope = 'o:' || $1::text for update";
  return (await tx.get<{ bytes: number }>(text, organizationId))?.bytes ?? 0;
}

async function insertArtifact(
  tx: Transaction,
  organizationId: string,
  artifact: NewArtifact,
  times: { readonly nowMs: number; readonly pendingUntilMs: number | null },
): Promise<number> {
  const row = await tx.get<{ version: number }>(
    `insert into artifact (id, organization_id, stack_id, update_id, commit_sha, place, name, version, kind,
       content_type, size_bytes, sha256, blob_key, sealed, labels, pinned, actor, created_ms, pending_until_ms)
     select $1, $2, $3, $4, $5, $6, $7,
       coalesce((select max(version) from artifact where organization_id = $2 and place = $6 and name = $7), 0) + 1,
       $8, $9, $10::bigint, $11, $12, $13::integer, $14, $15::integer, $16, $17::bigint, $18::bigint
     returning version`,
    ...[artifact.id, organizationId, artifact.stackId, artifact.updateId, artifact.commit, placeOf(artifact)],
    ...[artifact.name, artifact.kind, artifact.contentType, artifact.sizeBytes, artifact.sha256],
    ...[artifact.blobKey, artifact.isSealed ? 1 : 0, JSON.stringify(artifact.labels)],
    ...[artifact.isPinned ? 1 : 0, artifact.actor, times.nowMs, times.pendingUntilMs],
  );
  return row?.version ?? 0;
}

/** Conditions on `a` beyond its organization; pushes what they compare with. */
function wheresOf(filter: ArtifactFilter, values: Value[]): string {
  const wheres: string[] = [];
  const equal = (column: string, value: string | undefined) => {
    if (value !== undefined) wheres.push(`and ${column} = $${values.push(value)}`);
  };
  equal("a.stack_id", filter.stackId);
  equal("a.update_id", filter.updateId);
  equal("a.commit_sha", filter.commit);
  equal("a.name", filter.name);
  equal("a.sha256", filter.sha256);
  equal("s.project", filter.project);
  if (filter.project !== undefined) equal("s.name", filter.stack);
  return wheres.join(" ");
}

const IN_ORGANIZATION = "organization_id = (select id from organization where name = $2)";

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
      return sql.transaction(async (tx) => {
        const text = "select id from organization where name = $1 for key share";
        const organizationId = (await tx.get<{ id: string }>(text, organization))?.id ?? null;
        if (organizationId === null) return { kind: "no_organization" };
        const problem = await placeProblem(tx, organizationId, artifacts);
        if (problem !== null) return { kind: problem };
        const usedBytes = await lockUsage(tx, organizationId);
        const addedBytes = artifacts.reduce((sum, it) => sum + it.sizeBytes, 0);
        const own = await tx.get<Pick<ArtifactLimitRow, "quota_bytes">>(
          "select quota_bytes from artifact_limit where scope = 'o:' || $1::text",
          organizationId,
        );
        const quota = limitOf(own?.quota_bytes ?? null, quotaBytes);
        if (quota !== null && usedBytes + addedBytes > quota)
          return { kind: "over_quota", usedBytes, quotaBytes: quota };
        const versions: number[] = [];
        for (const artifact of artifacts)
          versions.push(await insertArtifact(tx, organizationId, artifact, times));
        return { kind: "created", versions };
      });
    },

    async confirmArtifact({ organization, id, isSealed }) {
      const row = await sql.change(
        `with a as (select id, pending_until_ms from artifact where id = $1 and ${IN_ORGANIZATION} for update),
           done as (update artifact set pending_until_ms = null, sealed = $3 from a
             where artifact.id = a.id and a.pending_until_ms is not null)
         select id from a`,
        ...[id, organization, isSealed ? 1 : 0],
      );
      return row === null ? "absent" : "confirmed";
    },

    async findArtifact(organization, id) {
      const row = await sql.get<ViewRow>(`${VIEW} where a.id = $1 and o.name = $2`, id, organization);
      return row === null ? null : artifactOf(row);
    },

    async listArtifacts(organization, filter, { after, limit }) {
      const values: Value[] = [organization, after ?? PAST_ALL_IDS, limit];
      const text = `${VIEW} where o.name = $1 and a.id < $2 and a.pending_until_ms is null
        ${wheresOf(filter, values)} order by a.id desc limit $3`;
      return (await sql.all<ViewRow>(text, ...values)).map(artifactOf);
    },

    async changeArtifact({ organization, id, labels, isPinned }) {
      const row = await sql.change(
        `update artifact set labels = coalesce($3, labels), pinned = coalesce($4::integer, pinned)
         where id = $1 and ${IN_ORGANIZATION} and pending_until_ms is null returning id`,
        ...[id, organization, labels === undefined ? null : JSON.stringify(labels)],
        isPinned === undefined ? null : isPinned ? 1 : 0,
      );
      return row === null ? "absent" : "changed";
    },

    async deleteArtifact({ organization, id }) {
      const row = await sql.changeOnce<{ blob_key: string; pinned: number }>(
        `with a as (select id, blob_key, pinned from artifact where id = $1 and ${IN_ORGANIZATION} for update),
           gone as (delete from artifact using a where artifact.id = a.id and a.pinned = 0)
         select blob_key, pinned from a`,
        ...[id, organization],
      );
      if (row === null) return { kind: "absent" };
      return row.pinned === 1 ? { kind: "pinned" } : { kind: "deleted", blobKey: row.blob_key };
    },

    async findArtifactUsage(organization, stackId) {
      const row = await sql.get<ArtifactUsageRow>(
        `select * from artifact_usage where scope =
           coalesce('s:' || $2::text, 'o:' || (select id from organization where name = $1))`,
        ...[organization, stackId],
      );
      return { files: row?.files ?? 0, bytes: row?.bytes ?? 0 };
    },
  };
}

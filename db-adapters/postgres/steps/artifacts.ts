import { excessOf, keepOf, limitOf, limitsOf, placeOf } from "../../artifact-rules.ts";
import {
  type Artifact,
  type ArtifactFilter,
  type ArtifactKeep,
  type NewArtifact,
  UNLIMITED,
} from "../../contract.ts";
import type { ArtifactLimitRow, ArtifactRow, ArtifactUsageRow } from "../rows.ts";
import type { Sql, Transaction, Value } from "../sql.ts";
import { auditValues, INSERT_AUDIT } from "./audit.ts";
import type { StepsOf } from "./types.ts";

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
  | "findArtifactLimits"
  | "setArtifactLimits"
  | "hasArtifactLimits"
  | "removePendingArtifacts"
  | "removeOldArtifacts"
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

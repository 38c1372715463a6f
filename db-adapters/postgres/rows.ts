/** Rows to the contract's types. */
import type { Stack, StackName, StateDocument, StateVersion, Update } from "../contract.ts";
import type { LeaseFacts } from "../rules.ts";
import type * as schema from "./schema.ts";

export type OrganizationRow = typeof schema.organization.$inferSelect;
export type UserRow = typeof schema.user.$inferSelect;
export type TokenRow = typeof schema.access_token.$inferSelect;
export type StackRow = typeof schema.stack.$inferSelect;
export type UpdateRow = typeof schema.stack_update.$inferSelect;
export type InputRow = typeof schema.update_input.$inferSelect;
export type StateRow = typeof schema.state_version.$inferSelect;
export type GcRunRow = typeof schema.gc_run.$inferSelect;
export type ArtifactRow = typeof schema.artifact.$inferSelect;
export type ArtifactLimitRow = typeof schema.artifact_limit.$inferSelect;
export type ArtifactUsageRow = typeof schema.artifact_usage.$inferSelect;
export type AuditRow = typeof schema.audit_event.$inferSelect;

/** An update with the immutable columns of `update_input`. */
export type FullUpdateRow = UpdateRow & Pick<InputRow, "config" | "metadata">;
export type NamedRow = { readonly organization: string; readonly project: string; readonly stack: string };

/** The running update's facts beside the stack's own columns. */
export type StackViewRow = StackRow & {
  readonly organization: string;
  readonly running_kind: UpdateRow["kind"] | null;
  readonly running_actor: string | null;
  readonly running_started_ms: number | null;
};

export function nameOf(row: NamedRow): StackName {
  return { organization: row.organization, project: row.project, stack: row.stack };
}

export function stackOf(row: StackViewRow): Stack {
  const { running_update_id: updateId, running_kind: kind, running_actor: author } = row;
  const startedMs = row.running_started_ms;
  const runs = updateId !== null && kind !== null && author !== null && startedMs !== null;
  return {
    ...nameOf({ organization: row.organization, project: row.project, stack: row.name }),
    id: row.id,
    createdMs: row.created_ms,
    tags: JSON.parse(row.tags) as Record<string, string>,
    version: row.version,
    stateVersion: row.state_version,
    goodVersion: row.good_version,
    activeUpdateId: row.active_update_id,
    currentOperation: runs ? { updateId, kind, author, startedMs } : null,
    lastUpdateMs: row.last_update_ms,
    resourceCount: row.resource_count,
  };
}

export function updateOf(row: FullUpdateRow): Update {
  return {
    id: row.id,
    stackId: row.stack_id,
    kind: row.kind,
    dryRun: row.dry_run === 1,
    status: row.status,
    ending: row.ending,
    version: row.version,
    actor: row.actor,
    createdMs: row.created_ms,
    startedMs: row.started_ms,
    endedMs: row.ended_ms,
    config: row.config,
    metadata: row.metadata,
    resourceChanges: row.resource_changes,
    resourceCount: row.resource_count,
    journalVersion: row.journal_version,
    leaseExpiresMs: row.lease_expires_ms,
  };
}

export function documentOf(row: Omit<StateRow, "superseded">): StateDocument {
  return {
    blobKey: row.blob_key,
    sha256: row.sha256,
    sizeBytes: row.size_bytes,
    resourceCount: row.resource_count,
    resourceTotal: row.resource_total,
    problems: row.problems,
    sealed: row.sealed,
  };
}

export function stateOf(row: StateRow): StateVersion {
  return {
    ...documentOf(row),
    stackId: row.stack_id,
    version: row.version,
    updateId: row.update_id,
    createdMs: row.created_ms,
  };
}

/** The columns that `leaseFactsOf` reads. */
export type LeaseRow = Pick<
  UpdateRow,
  "id" | "stack_id" | "status" | "dry_run" | "lease_token_hash" | "lease_expires_ms" | "cancel_ms"
>;

export function leaseFactsOf(row: LeaseRow): LeaseFacts & { readonly id: string } {
  return {
    id: row.id,
    status: row.status,
    dryRun: row.dry_run === 1,
    leaseTokenHash: row.lease_token_hash,
    leaseExpiresMs: row.lease_expires_ms,
    cancelRequested: row.cancel_ms !== null,
  };
}

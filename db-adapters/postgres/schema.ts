/**
 * The tables of `sqlite/schema.ts`, name for name: a key is a column, so `$inferSelect` is the type of a raw
 * row. The adapter imports types alone from here; Drizzle itself runs only when a migration is generated.
 *
 * Every index serves one step of the contract; nothing may scan a table that grows. Counts that a metrics
 * scrape reads live in `counter`, kept by triggers (migration 0001).
 */
import { sql } from "drizzle-orm";
import { bigint, customType, index, integer, pgTable, primaryKey, uniqueIndex } from "drizzle-orm/pg-core";
import { ROLES, UPDATE_KINDS, UPDATE_STATUSES } from "../vocabulary.ts";

type Words = readonly [string, ...string[]];

/** Byte order, as SQLite and JavaScript sort: pages and their keys must not depend on the cluster's locale. */
function text<const Enum extends Words = Words>(_options?: { readonly enum: Enum }) {
  return customType<{ data: Enum[number] }>({ dataType: () => 'text COLLATE "C"' })();
}

const bytea = customType<{ data: Buffer }>({ dataType: () => "bytea" });
const big = () => bigint({ mode: "number" });

export const organization = pgTable("organization", {
  id: text().primaryKey(),
  name: text().notNull().unique(),
  created_ms: big().notNull(),
});

const ofOrganization = () =>
  text()
    .notNull()
    .references(() => organization.id, { onDelete: "cascade" });

export const user = pgTable("user", {
  id: text().primaryKey(),
  login: text().notNull().unique(),
  name: text().notNull(),
  email: text().notNull(),
  created_ms: big().notNull(),
});

export const membership = pgTable(
  "membership",
  {
    organization_id: ofOrganization(),
    user_id: text()
      .notNull()
      .references(() => user.id, { onDelete: "cascade" }),
    role: text({ enum: ROLES }).notNull(),
    created_ms: big().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.organization_id, t.user_id] }),
    index("membership_user").on(t.user_id, t.organization_id),
  ],
);

export const access_token = pgTable(
  "access_token",
  {
    id: text().primaryKey(),
    token_hash: text().notNull().unique(),
    name: text().notNull(),
    kind: text({ enum: ["person", "machine"] }).notNull(),
    user_id: text().references(() => user.id, { onDelete: "cascade" }),
    organization_id: text().references(() => organization.id, { onDelete: "cascade" }),
    role: text({ enum: ROLES }),
    /** The one stack whose artifacts a machine token is for. No foreign key: without its stack it opens nothing. */
    stack_id: text(),
    created_ms: big().notNull(),
    created_by: text().notNull(),
    expires_ms: big(),
    last_used_ms: big(),
    revoked_ms: big(),
  },
  (t) => [
    index("access_token_user").on(t.user_id, t.id),
    index("access_token_organization").on(t.organization_id, t.id),
    index("access_token_expires").on(t.expires_ms).where(sql`expires_ms is not null`),
    index("access_token_revoked").on(t.revoked_ms).where(sql`revoked_ms is not null`),
  ],
);

/** `organization_id` is no foreign key: an organization may go while deleted stacks still wait for the purge. */
export const stack = pgTable(
  "stack",
  {
    id: text().primaryKey(),
    organization_id: text().notNull(),
    project: text().notNull(),
    name: text().notNull(),
    created_ms: big().notNull(),
    tags: text().notNull(),
    version: big().notNull(),
    state_version: big(),
    good_version: big(),
    active_update_id: text(),
    /** The lock: the running real update. */
    running_update_id: text(),
    last_update_ms: big(),
    resource_count: integer().notNull(),
    /** Rows in `state_version`, kept by triggers: finds the stacks with old versions to remove. */
    state_count: integer().notNull().default(0),
    deleted_ms: big(),
  },
  (t) => [
    uniqueIndex("stack_name").on(t.organization_id, t.project, t.name).where(sql`deleted_ms is null`),
    index("stack_deleted").on(t.deleted_ms).where(sql`deleted_ms is not null`),
    index("stack_state_count").on(t.state_count).where(sql`state_count > 1`),
  ],
);

/** The tags again, one row each, for the filter of `listStacks`; `stack.tags` is what is served. */
export const stack_tag = pgTable(
  "stack_tag",
  {
    stack_id: text()
      .notNull()
      .references(() => stack.id),
    name: text().notNull(),
    value: text().notNull(),
  },
  (t) => [primaryKey({ columns: [t.stack_id, t.name] }), index("stack_tag_value").on(t.name, t.value)],
);

/** `update` is a word of SQL. What is large and never changes is in `update_input`: this row is rewritten often. */
export const stack_update = pgTable(
  "stack_update",
  {
    id: text().primaryKey(),
    stack_id: text()
      .notNull()
      .references(() => stack.id),
    kind: text({ enum: UPDATE_KINDS }).notNull(),
    dry_run: integer().notNull(),
    status: text({ enum: UPDATE_STATUSES }).notNull(),
    ending: text({ enum: ["cancelled", "expired"] }),
    version: big(),
    actor: text().notNull(),
    created_ms: big().notNull(),
    started_ms: big(),
    ended_ms: big(),
    resource_changes: text(),
    resource_count: integer(),
    cli_version: text(),
    /** Kept after the end: a retried complete is recognised by it. */
    lease_token_hash: text(),
    lease_expires_ms: big(),
    /** When a cancel was begun; the lease token is refused from then on. */
    cancel_ms: big(),
    revision: big().notNull().default(0),
    /** The state version frozen at start; cleared at the end unless the journal is kept. */
    base_version: big(),
    journal_version: integer().notNull().default(0),
    journal_after_id: big().notNull().default(0),
    /** Batches after `journal_after_id`, and their bytes. */
    journal_count: integer().notNull().default(0),
    journal_bytes: big().notNull().default(0),
    /** Bytes of all batches, superseded ones included: what the limit counts. */
    journal_stored_bytes: big().notNull().default(0),
    has_events: integer().notNull().default(0),
    checkpoint_sequence: big(),
    checkpoint_blob_key: text(),
    checkpoint_sha256: text(),
    checkpoint_size_bytes: big(),
    checkpoint_resource_count: integer(),
    checkpoint_resource_total: integer(),
    checkpoint_problems: text(),
  },
  (t) => [
    index("stack_update_stack").on(t.stack_id),
    uniqueIndex("stack_update_history")
      .on(t.stack_id, t.version)
      .where(sql`dry_run = 0 and version is not null`),
    index("stack_update_preview")
      .on(t.stack_id, t.started_ms, t.id)
      .where(sql`dry_run = 1 and started_ms is not null`),
    index("stack_update_running").on(t.id).where(sql`status = 'running'`),
    index("stack_update_running_stack").on(t.stack_id).where(sql`status = 'running'`),
    index("stack_update_lease").on(t.lease_expires_ms).where(sql`status = 'running'`),
    index("stack_update_cancel").on(t.cancel_ms).where(sql`status = 'running' and cancel_ms is not null`),
    index("stack_update_not_started").on(t.created_ms).where(sql`status = 'not started'`),
    index("stack_update_discarded").on(t.ended_ms).where(sql`status = 'discarded'`),
    index("stack_update_events").on(t.ended_ms).where(sql`has_events = 1 and ended_ms is not null`),
    index("stack_update_base").on(t.stack_id, t.base_version).where(sql`base_version is not null`),
    index("stack_update_blob").on(t.checkpoint_blob_key).where(sql`checkpoint_blob_key is not null`),
  ],
);

export const update_input = pgTable("update_input", {
  update_id: text()
    .primaryKey()
    .references(() => stack_update.id, { onDelete: "cascade" }),
  config: bytea(),
  metadata: text().notNull(),
});

export const state_version = pgTable(
  "state_version",
  {
    stack_id: text()
      .notNull()
      .references(() => stack.id),
    version: big().notNull(),
    update_id: text(),
    created_ms: big().notNull(),
    blob_key: text().notNull(),
    sha256: text().notNull(),
    size_bytes: big().notNull(),
    resource_count: integer().notNull(),
    resource_total: integer().notNull(),
    problems: text(),
    /** 1 once a newer version is current: idle stacks' only versions stay out of the retention sweep's way. */
    superseded: integer().notNull().default(0),
    /** The sealed document itself when it is small: then there is no blob of that key. */
    sealed: bytea(),
  },
  (t) => [
    primaryKey({ columns: [t.stack_id, t.version] }),
    index("state_version_blob").on(t.blob_key),
    index("state_version_old").on(t.created_ms).where(sql`superseded = 1`),
  ],
);

export const journal_batch = pgTable(
  "journal_batch",
  {
    id: big().primaryKey().generatedByDefaultAsIdentity(),
    update_id: text()
      .notNull()
      .references(() => stack_update.id, { onDelete: "cascade" }),
    digest: text().notNull(),
    entry_count: integer().notNull(),
    size_bytes: big().notNull(),
    body: bytea().notNull(),
  },
  (t) => [
    uniqueIndex("journal_batch_digest").on(t.update_id, t.digest),
    index("journal_batch_update").on(t.update_id, t.id),
  ],
);

export const event_batch = pgTable(
  "event_batch",
  {
    id: big().primaryKey().generatedByDefaultAsIdentity(),
    update_id: text()
      .notNull()
      .references(() => stack_update.id, { onDelete: "cascade" }),
    digest: text().notNull(),
    first_sequence: big().notNull(),
    last_sequence: big().notNull(),
    body: bytea().notNull(),
  },
  (t) => [
    uniqueIndex("event_batch_digest").on(t.update_id, t.digest),
    index("event_batch_sequence").on(t.update_id, t.last_sequence, t.first_sequence),
  ],
);

export const gc_run = pgTable(
  "gc_run",
  {
    id: text().primaryKey(),
    started_ms: big().notNull(),
    ended_ms: big().notNull(),
    trigger: text({ enum: ["cron", "api", "command"] }).notNull(),
    dry_run: integer().notNull(),
    counts: text().notNull(),
    error: text(),
  },
  (t) => [index("gc_run_started").on(t.started_ms, t.id)],
);

export const audit_event = pgTable(
  "audit_event",
  {
    id: text().primaryKey(),
    at_ms: big().notNull(),
    actor: text().notNull(),
    action: text().notNull(),
    organization: text(),
    target: text().notNull(),
    source_ip: text().notNull(),
  },
  (t) => [index("audit_event_organization").on(t.organization, t.id)],
);

/**
 * Files that belong to an organization, or within it to a stack, an update of it or a commit. `stack_id` and
 * `update_id` are no foreign keys: what is pinned outlives them. A row with `pending_until_ms` is an upload that
 * was granted and not confirmed.
 */
export const artifact = pgTable(
  "artifact",
  {
    id: text().primaryKey(),
    organization_id: ofOrganization(),
    stack_id: text(),
    update_id: text(),
    commit_sha: text(),
    /** The three above in one text, for the index that numbers versions. */
    place: text().notNull(),
    name: text().notNull(),
    version: integer().notNull(),
    kind: text().notNull(),
    content_type: text().notNull(),
    size_bytes: big().notNull(),
    sha256: text().notNull(),
    blob_key: text().notNull(),
    sealed: integer().notNull(),
    labels: text().notNull(),
    pinned: integer().notNull().default(0),
    actor: text().notNull(),
    created_ms: big().notNull(),
    pending_until_ms: big(),
  },
  (t) => [
    uniqueIndex("artifact_version").on(t.organization_id, t.place, t.name, t.version),
    index("artifact_organization").on(t.organization_id, t.id),
    index("artifact_name").on(t.organization_id, t.name, t.id),
    index("artifact_stack").on(t.stack_id, t.id).where(sql`stack_id is not null`),
    index("artifact_update").on(t.update_id, t.id).where(sql`update_id is not null`),
    index("artifact_commit").on(t.commit_sha, t.id).where(sql`commit_sha is not null`),
    index("artifact_blob").on(t.blob_key),
    index("artifact_pending").on(t.pending_until_ms).where(sql`pending_until_ms is not null`),
    index("artifact_loose").on(t.created_ms).where(sql`pinned = 0 and pending_until_ms is null`),
  ],
);

/** What artifacts take up, by organization (`o:<id>`) and stack (`s:<id>`); kept by triggers. */
export const artifact_usage = pgTable(
  "artifact_usage",
  {
    scope: text().primaryKey(),
    kind: text({ enum: ["organization", "stack"] }).notNull(),
    organization_id: ofOrganization(),
    files: big().notNull(),
    bytes: big().notNull(),
    /** Neither pinned nor pending: what retention may take. */
    loose_files: big().notNull(),
    loose_bytes: big().notNull(),
  },
  (t) => [
    index("artifact_usage_organization").on(t.organization_id),
    index("artifact_usage_files").on(t.kind, t.loose_files),
    index("artifact_usage_bytes").on(t.kind, t.loose_bytes),
  ],
);

/** What an organization (`o:<id>`) or a stack (`s:<id>`) set for itself; null falls back, -1 is no limit. */
export const artifact_limit = pgTable(
  "artifact_limit",
  {
    scope: text().primaryKey(),
    organization_id: ofOrganization(),
    stack_id: text().references(() => stack.id, { onDelete: "cascade" }),
    age_days: big(),
    files_max: big(),
    bytes_max: big(),
    quota_bytes: big(),
  },
  (t) => [
    index("artifact_limit_organization").on(t.organization_id),
    index("artifact_limit_stack").on(t.stack_id).where(sql`stack_id is not null`),
    index("artifact_limit_age").on(t.age_days).where(sql`age_days >= 0`),
    index("artifact_limit_files").on(t.files_max).where(sql`files_max >= 0`),
    index("artifact_limit_bytes").on(t.bytes_max).where(sql`bytes_max >= 0`),
  ],
);

export const setting = pgTable("setting", {
  key: text().primaryKey(),
  value: text().notNull(),
});

/** How often something happened in the window that ends at `ends_ms`, counted by all replicas. */
export const rate_count = pgTable(
  "rate_count",
  {
    key: text().primaryKey(),
    count: integer().notNull(),
    ends_ms: big().notNull(),
  },
  (t) => [index("rate_count_ends").on(t.ends_ms)],
);

/**
 * Running totals for `statistics`: a metrics scrape must not count rows. Each total is the sum of its slots: one
 * row would make the ends of all updates wait for each other's commit.
 */
export const counter = pgTable(
  "counter",
  {
    name: text().notNull(),
    slot: integer().notNull(),
    value: big().notNull(),
  },
  (t) => [primaryKey({ columns: [t.name, t.slot] })],
);

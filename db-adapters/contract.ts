/**
 * What Statehouse needs of a database. Every method is one whole atomic step that returns what happened: a
 * caller never holds a transaction, so an adapter may batch commits (SQLite), retry a serialization failure
 * (Postgres) or move to another thread without anybody knowing. What a method acknowledged is durable.
 *
 * Times are Unix milliseconds of the caller's clock (`…Ms`); bodies are bytes that the adapter never reads.
 * Adapters decide with the pure rules in `rules.ts`; they import nothing from `server/`.
 */
import type { Role, UpdateKind, UpdateStatus } from "./vocabulary.ts";

export type { Role, UpdateKind, UpdateStatus } from "./vocabulary.ts";

/** Thrown by every step once the database can't be reached or has been closed. The request may be retried. */
export class DatabaseUnavailableError extends Error {
  override readonly name = "DatabaseUnavailableError";
}

/**
 * Thrown by every step that would write to data which is being moved elsewhere, or was. The message is for people
 * and says where to.
 */
export class DatabaseReadOnlyError extends Error {
  override readonly name = "DatabaseReadOnlyError";
  readonly isMoved: boolean;
  constructor(message: string, isMoved: boolean, options?: ErrorOptions) {
    super(message, options);
    this.isMoved = isMoved;
  }
}

/** Keyset paging: `after` is the last key of the page before (exclusive), null for the first page. */
export interface PageRequest {
  readonly after: string | null;
  readonly limit: number;
}

// ---------------------------------------------------------------- people

export interface Organization {
  readonly id: string;
  readonly name: string;
  readonly createdMs: number;
}

export interface User {
  readonly id: string;
  readonly login: string;
  readonly name: string;
  readonly email: string;
  readonly createdMs: number;
}

export interface Member {
  readonly login: string;
  readonly name: string;
  readonly email: string;
  readonly role: Role;
  readonly createdMs: number;
}

/** A credential. A person's token has a `login`; a machine's has an organization and a role of its own. */
export interface AccessToken {
  readonly id: string;
  readonly name: string;
  readonly kind: "person" | "machine";
  /** The person's login, null for a machine. */
  readonly login: string | null;
  /** A machine token's organization, null for a person. */
  readonly organization: string | null;
  /** A machine token's role there, null for a person. */
  readonly role: Role | null;
  /** The one stack whose artifacts a machine token is for, by id; null for no such limit. */
  readonly stackId: string | null;
  readonly createdMs: number;
  readonly createdBy: string;
  readonly expiresMs: number | null;
  readonly lastUsedMs: number | null;
  readonly revokedMs: number | null;
}

/** Who a presented token stands for, with all that authorisation needs. */
export interface Identity {
  readonly tokenId: string;
  readonly tokenName: string;
  readonly kind: "person" | "machine";
  /** A person's login; for a machine the organization's name (the CLI needs an owner-like name). */
  readonly login: string;
  readonly name: string;
  readonly email: string;
  readonly expiresMs: number | null;
  readonly memberships: readonly { readonly organization: string; readonly role: Role }[];
  /** Artifacts of this stack are all that it may touch; null for no such limit. */
  readonly stackId: string | null;
}

/** A change with what the audit log says of it: the event is stored when the change is made, and only then. */
export interface Audited {
  readonly audit?: AuditEvent;
}

export interface PeopleStore {
  createOrganization(
    input: { id: string; name: string; nowMs: number } & Audited,
  ): Promise<"created" | "name_taken">;
  findOrganization(name: string): Promise<Organization | null>;
  /** By name, ascending; `after` is a name. */
  listOrganizations(page: PageRequest): Promise<Organization[]>;
  /** Only an organization without stacks can go; its memberships and machine tokens go with it. */
  deleteOrganization(
    input: { name: string; nowMs: number } & Audited,
  ): Promise<"deleted" | "has_stacks" | "absent">;

  createUser(
    input: { id: string; login: string; name: string; email: string; nowMs: number } & Audited,
  ): Promise<"created" | "login_taken">;
  findUser(login: string): Promise<User | null>;
  /** By login, ascending; `after` is a login. */
  listUsers(page: PageRequest): Promise<User[]>;
  updateUser(
    input: { login: string; name?: string; email?: string } & Audited,
  ): Promise<"updated" | "absent">;
  /** Memberships and tokens of the user go in the same step. */
  deleteUser(input: { login: string } & Audited): Promise<"deleted" | "absent">;

  setMembership(
    input: { organization: string; login: string; role: Role; nowMs: number } & Audited,
  ): Promise<"set" | "no_organization" | "no_user">;
  removeMembership(input: { organization: string; login: string } & Audited): Promise<"removed" | "absent">;
  /** By login, ascending; null when there is no such organization. */
  listMembers(organization: string, page: PageRequest): Promise<Member[] | null>;

  /** `tokenHash` is the SHA-256 of the token, hex; the token itself is never stored. */
  createToken(
    input: {
      id: string;
      tokenHash: string;
      name: string;
      kind: "person" | "machine";
      login: string | null;
      organization: string | null;
      role: Role | null;
      /** For a machine token of one stack's artifacts. */
      stackId?: string | null;
      createdBy: string;
      expiresMs: number | null;
      nowMs: number;
    } & Audited,
  ): Promise<"created" | "no_user" | "no_organization">;
  /** By id, ascending; ended ones included until the sweep removes them. */
  listTokens(filter: { login?: string; organization?: string }, page: PageRequest): Promise<AccessToken[]>;
  /** The event gets the token's organization; a person's token has none. */
  revokeToken(
    input: { id: string; nowMs: number } & Audited,
  ): Promise<"revoked" | "already_revoked" | "absent">;
  /** Null for an unknown, expired or revoked token. */
  findIdentity(tokenHash: string, nowMs: number): Promise<Identity | null>;
  /** Notes when tokens were last used; called seldom, with many at once. Unknown ids are ignored. */
  touchTokens(uses: readonly { id: string; usedMs: number }[]): Promise<void>;
}

// ---------------------------------------------------------------- stacks

/** The path of a stack as clients write it. */
export interface StackName {
  readonly organization: string;
  readonly project: string;
  readonly stack: string;
}

export interface Stack extends StackName {
  readonly id: string;
  readonly createdMs: number;
  readonly tags: Readonly<Record<string, string>>;
  /** Number of the latest completed or running real update; 0 for none. */
  readonly version: number;
  /** The version whose state is current; null when no state was ever stored. */
  readonly stateVersion: number | null;
  /** The newest version that passed verification; null when none did. */
  readonly goodVersion: number | null;
  /** The running real update, else the most recent one; null for a never-updated stack. */
  readonly activeUpdateId: string | null;
  /** What runs now, if a real update does. */
  readonly currentOperation: {
    readonly updateId: string;
    readonly kind: UpdateKind;
    readonly author: string;
    readonly startedMs: number;
  } | null;
  /** End of the last real update; null when there was none. */
  readonly lastUpdateMs: number | null;
  /** Live resources in the current state. */
  readonly resourceCount: number;
}

/** Where a stored deployment document is, and what is known of it. */
export interface StateDocument {
  readonly blobKey: string;
  /** SHA-256 of the plain document, hex. */
  readonly sha256: string;
  /** Size of the plain document. */
  readonly sizeBytes: number;
  /** Resources without `delete: true`. */
  readonly resourceCount: number;
  /** All entries of `resources`; a stack with any can't be removed without force. */
  readonly resourceTotal: number;
  /** What verification found wrong, as JSON (a list of {code, message}); null for a sound document. */
  readonly problems: string | null;
  /** The stored bytes themselves when they are few; null when they are in the blob. A checkpoint has none. */
  readonly sealed: Uint8Array | null;
}

export interface StateVersion extends StateDocument {
  readonly stackId: string;
  readonly version: number;
  readonly updateId: string | null;
  readonly createdMs: number;
}

export interface StackStore {
  /** `state` is what the stack starts with: version 0. */
  createStack(input: {
    id: string;
    name: StackName;
    tags: Readonly<Record<string, string>>;
    state: StateDocument | null;
    nowMs: number;
  }): Promise<"created" | "exists" | "no_organization">;
  findStack(name: StackName): Promise<Stack | null>;
  /** Ascending by (organization, project, stack); `after` is `organization/project/stack`. */
  listStacks(
    filter: {
      organizations: readonly string[];
      project?: string;
      tagName?: string;
      tagValue?: string;
    },
    page: PageRequest,
  ): Promise<Stack[]>;
  projectExists(organization: string, project: string): Promise<boolean>;
  /** Replaces the whole map. */
  replaceTags(stackId: string, tags: Readonly<Record<string, string>>): Promise<"replaced" | "absent">;
  /** Frees the name at once, in constant time; the purge removes rows and blobs later, in batches. */
  deleteStack(
    input: { stackId: string; force: boolean; nowMs: number } & Audited,
  ): Promise<"deleted" | "has_resources" | "update_running" | "absent">;
  /**
   * Takes the new name and stores the rewritten state as a new version of kind `rename`, both or neither.
   * `state` null only for a stack without state. `expectedStateVersion` is what the rewrite was made from.
   */
  renameStack(input: {
    stackId: string;
    project: string;
    stack: string;
    tags: Readonly<Record<string, string>>;
    updateId: string;
    actor: string;
    state: StateDocument | null;
    expectedStateVersion: number | null;
    nowMs: number;
  }): Promise<"renamed" | "name_taken" | "update_running" | "state_changed" | "absent">;
  /** `"latest"` is the current state. Null when there is none. */
  findState(stackId: string, version: number | "latest"): Promise<StateVersion | null>;
  /** The same by the stack's name. */
  findStateOf(
    name: StackName,
    version: number | "latest",
  ): Promise<{ kind: "absent" } | { kind: "stack"; state: StateVersion | null }>;
  /** Stores a document as the next version with a finished update of kind `import`. */
  importState(input: {
    stackId: string;
    updateId: string;
    actor: string;
    message: string;
    state: StateDocument;
    nowMs: number;
  }): Promise<{ kind: "imported"; version: number } | { kind: "update_running" } | { kind: "absent" }>;
}

// ---------------------------------------------------------------- updates

/** An update as a URL names it: the id must belong to the stack of that name. */
export interface UpdateRef extends StackName {
  readonly updateId: string;
}

export interface Update {
  readonly id: string;
  readonly stackId: string;
  readonly kind: UpdateKind;
  readonly dryRun: boolean;
  readonly status: UpdateStatus;
  /** Why a failed update failed, when it wasn't its own doing. */
  readonly ending: "cancelled" | "expired" | null;
  /** Null until started; for a dry run the stack's version at its start. */
  readonly version: number | null;
  readonly actor: string;
  readonly createdMs: number;
  readonly startedMs: number | null;
  readonly endedMs: number | null;
  /** Configuration as sent at create: sealed bytes. */
  readonly config: Uint8Array | null;
  /** `{message, environment}` as JSON text. */
  readonly metadata: string;
  /** The last summary event's counts by operation, as JSON text. */
  readonly resourceChanges: string | null;
  readonly resourceCount: number | null;
  readonly journalVersion: number;
  readonly leaseExpiresMs: number | null;
}

/** Why a lease token isn't accepted; all of them are 403 outside, the difference is for the log. */
export type LeaseRefusal = {
  readonly kind: "lease_refused";
  readonly why: "unknown_update" | "wrong_token" | "not_running";
};

/** A checkpoint of a running update (journaling not granted). */
export interface Checkpoint extends StateDocument {
  /** Number of the save within the update; null for plain checkpoints, which carry none. */
  readonly sequence: number | null;
}

/** All that is needed to work out the state which an update leaves behind. */
export interface FoldInput {
  readonly updateId: string;
  readonly stackId: string;
  readonly dryRun: boolean;
  readonly status: UpdateStatus;
  readonly cliVersion: string | null;
  readonly cancelRequested: boolean;
  readonly leaseExpiresMs: number | null;
  /** The state frozen at start; null for a stack without state. */
  readonly base: StateVersion | null;
  readonly checkpoint: Checkpoint | null;
  /** Compare-and-swap value: changes whenever a batch, a checkpoint or a renewal is accepted. */
  readonly revision: number;
  /** Id of the last journal batch before the checkpoint; batches up to it are superseded. */
  readonly journalAfterId: number;
  readonly journalBatchCount: number;
  readonly journalSizeBytes: number;
}

export interface JournalBatch {
  readonly id: number;
  /** Sealed bytes of the request body. */
  readonly body: Uint8Array;
}

/** What an update leaves: a new document, or the base's as it is. */
export type FoldedState =
  | { readonly kind: "document"; readonly document: StateDocument }
  | { readonly kind: "unchanged" };

export interface UpdateStore {
  createUpdate(input: {
    id: string;
    stackId: string;
    kind: UpdateKind;
    dryRun: boolean;
    actor: string;
    config: Uint8Array | null;
    metadata: string;
    nowMs: number;
  }): Promise<"created" | "absent">;

  /**
   * Grants the right to write. Of many callers at once exactly one real update starts; dry runs never
   * conflict. Starting a running update again (a proxy's retry) grants a fresh token.
   */
  startUpdate(input: {
    ref: UpdateRef;
    leaseTokenHash: string;
    leaseExpiresMs: number;
    journalVersion: number;
    cliVersion: string | null;
    /** Replaces the stack's tags when given, for real updates only. */
    tags: Readonly<Record<string, string>> | null;
    nowMs: number;
  }): Promise<
    | { kind: "started"; version: number; journalVersion: number }
    | { kind: "conflict"; holder: { updateId: string; kind: UpdateKind; author: string; startedMs: number } }
    /** The holder's lease has ended: finish that update, then start again. */
    | { kind: "holder_expired"; updateId: string }
    | { kind: "finished" }
    | { kind: "absent" }
  >;

  /** The stack id behind a ref (immutable facts; callers may cache them). */
  findUpdateScope(ref: UpdateRef): Promise<{ stackId: string; dryRun: boolean } | null>;
  findUpdate(ref: UpdateRef): Promise<Update | null>;
  findUpdateById(updateId: string): Promise<(Update & StackName) | null>;

  /** A late renewal is accepted as long as the update runs: a short outage then loses nothing. */
  renewLease(input: {
    ref: UpdateRef;
    tokenHash: string;
    expiresMs: number;
    nowMs: number;
  }): Promise<{ kind: "renewed"; expiresMs: number } | LeaseRefusal>;

  /** Checks a lease token without changing anything. */
  checkLease(ref: UpdateRef, tokenHash: string): Promise<{ kind: "held" } | LeaseRefusal>;

  /** Appends one batch; the same bytes again (by `digest`) are not stored twice. */
  appendJournal(input: {
    ref: UpdateRef;
    tokenHash: string;
    digest: string;
    entryCount: number;
    sizeBytes: number;
    body: Uint8Array;
    /** Refused once the update's journal would hold more than this. */
    journalBytesMax: number;
    nowMs: number;
  }): Promise<{ kind: "appended" } | { kind: "already_appended" } | { kind: "journal_full" } | LeaseRefusal>;

  /**
   * Saves one checkpoint; the row is the commit point of a blob stored before. With a `sequence`, a repeat of
   * the last number is `already_saved` when the bytes are the same and replaces it otherwise (a refused delta
   * is followed by a verbatim save with its number), a lower one is `already_saved`, a gap is `sequence_gap`.
   * `replacedBlobKey` is the blob that no row names any more.
   */
  saveCheckpoint(input: {
    ref: UpdateRef;
    tokenHash: string;
    checkpoint: Checkpoint;
    nowMs: number;
  }): Promise<
    | { kind: "saved"; replacedBlobKey: string | null }
    | { kind: "already_saved" }
    | { kind: "sequence_gap"; lastSequence: number }
    | LeaseRefusal
  >;

  /** Events of a finished update are dropped without complaint when the token was its own. */
  appendEvents(input: {
    ref: UpdateRef;
    tokenHash: string;
    digest: string;
    firstSequence: number;
    lastSequence: number;
    body: Uint8Array;
    /** Counts of a summary event in this batch, as JSON text; null when it has none. */
    resourceChanges: string | null;
    nowMs: number;
  }): Promise<{ kind: "appended" } | { kind: "already_appended" } | { kind: "dropped" } | LeaseRefusal>;
  /** Batches that may hold events after `afterSequence`, ascending by first sequence, then arrival. */
  listEventBatches(
    updateId: string,
    afterSequence: number,
    limit: number,
  ): Promise<{ id: number; firstSequence: number; lastSequence: number; body: Uint8Array }[]>;

  /** `tokenHash` null asks without a lease (cancel, sweep). */
  readFold(
    updateId: string,
    tokenHash: string | null,
  ): Promise<{ kind: "fold"; input: FoldInput } | { kind: "absent" } | LeaseRefusal>;
  /** Batches after `afterId`, ascending by id, at most `limit`. */
  listJournalBatches(updateId: string, afterId: number, limit: number): Promise<JournalBatch[]>;

  /**
   * Ends a running update: history entry, new state version, lock free, all or nothing. Only while `revision`
   * is still what `readFold` gave; otherwise `moved`, and the caller folds again. The journal is removed.
   * With the token of an update that already ended the same way: `already_finished` (the call is retried); of
   * one whose `complete` kept the journal: `journal_kept`, whatever is asked now.
   */
  finishUpdate(input: {
    updateId: string;
    tokenHash: string | null;
    status: "succeeded" | "failed";
    ending: "cancelled" | "expired" | null;
    /** Ignored for dry runs. */
    state: FoldedState;
    /** Keep the journal for an operator because it could not be replayed. */
    keepJournal: boolean;
    revision: number;
    nowMs: number;
  }): Promise<
    | { kind: "finished" }
    | { kind: "already_finished" }
    | { kind: "journal_kept" }
    | { kind: "moved" }
    | LeaseRefusal
  >;

  /**
   * First half of a cancel: from here on the lease token is refused. A not-started update is discarded.
   * If the caller dies before the second half, the lease sweep ends the update as cancelled.
   */
  requestCancel(
    input: { ref: UpdateRef; nowMs: number } & Audited,
  ): Promise<
    | { kind: "cancelling"; stackId: string }
    | { kind: "discarded" }
    | { kind: "already_cancelled" }
    | { kind: "already_completed" }
    | { kind: "absent" }
  >;

  /** Real updates that were started, newest first. `page` is 1-based. */
  listHistory(stackId: string, page: { page: number; pageSize: number }): Promise<Update[]>;
  /** Dry runs that were started, newest first. */
  listPreviews(stackId: string, page: { page: number; pageSize: number }): Promise<Update[]>;
  /** The real update with this version. */
  findUpdateByVersion(stackId: string, version: number): Promise<Update | null>;

  /** Running updates of all stacks, by id, ascending; `after` is an update id. */
  listActiveLeases(page: PageRequest): Promise<(StackName & { update: Update })[]>;
}

// ---------------------------------------------------------------- upkeep

export interface GcRun {
  readonly id: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly trigger: "cron" | "api" | "command";
  readonly dryRun: boolean;
  /** Counts by sweep, as JSON text. */
  readonly counts: string;
  readonly error: string | null;
}

/** Runs that are of use to anybody. */
export const GC_RUNS_KEPT = 1_000;

export interface AuditEvent {
  readonly id: string;
  readonly atMs: number;
  readonly actor: string;
  readonly action: string;
  readonly organization: string | null;
  readonly target: string;
  readonly sourceIp: string;
}

export interface Statistics {
  readonly organizations: number;
  readonly users: number;
  readonly stacks: number;
  readonly activeLeases: number;
  /** Plain bytes of all state versions. */
  readonly stateBytes: number;
  readonly stateVersions: number;
  readonly artifacts: number;
  /** Plain bytes of all artifacts, granted uploads included. */
  readonly artifactBytes: number;
}

export interface UpkeepStore {
  /** The earliest moment at which a sweep may have something to do; null when nothing is pending. */
  nextDeadlineMs(input: {
    leaseGraceMs: number;
    notStartedMs: number;
    removeMs: number;
  }): Promise<number | null>;
  /** Running updates whose lease ended before `beforeMs` or whose cancel was begun; oldest first. */
  listExpiredLeases(beforeMs: number, limit: number): Promise<{ updateId: string; dryRun: boolean }[]>;
  /** Marks updates not started since `createdBeforeMs` as discarded. */
  discardStaleUpdates(input: {
    createdBeforeMs: number;
    limit: number;
    nowMs: number;
    dryRun: boolean;
  }): Promise<number>;
  /** Deletes the rows of discarded updates that ended before `endedBeforeMs`. */
  removeDiscardedUpdates(input: { endedBeforeMs: number; limit: number; dryRun: boolean }): Promise<number>;
  /** Deletes tokens that expired or were revoked before `endedBeforeMs`. */
  removeEndedTokens(input: { endedBeforeMs: number; limit: number; dryRun: boolean }): Promise<number>;
  /** Of `keys`, those that no row names. */
  findUnnamedBlobs(keys: readonly string[]): Promise<string[]>;
  /** Deletes event batches of updates that ended before `endedBeforeMs`. */
  removeOldEvents(input: { endedBeforeMs: number; limit: number; dryRun: boolean }): Promise<number>;
  /**
   * Deletes old state versions, never a stack's current, last good or frozen base version. A version goes
   * when it is older than `createdBeforeMs` (if given) or not among the newest `keepVersions` (if given).
   */
  removeOldVersions(input: {
    createdBeforeMs: number | null;
    keepVersions: number | null;
    limit: number;
    dryRun: boolean;
  }): Promise<number>;
  /** Stacks that were deleted and still have rows, oldest first. */
  listDeletedStacks(limit: number): Promise<string[]>;
  /** Removes up to `limit` rows of a deleted stack; `done` when none is left. */
  purgeDeletedStack(stackId: string, limit: number): Promise<{ removed: number; done: boolean }>;
  /** The newest GC_RUNS_KEPT stay. */
  recordGcRun(run: GcRun): Promise<void>;
  /** Newest first. */
  listGcRuns(limit: number): Promise<GcRun[]>;
  appendAuditEvents(events: readonly AuditEvent[]): Promise<void>;
  /** Newest first; `after` is an event id (ids sort by time). */
  listAuditEvents(filter: { organization?: string }, page: PageRequest): Promise<AuditEvent[]>;
  statistics(): Promise<Statistics>;
  /** Stores `value` under `key` unless there is one already; returns what is stored. */
  claimSetting(key: string, value: string): Promise<string>;
}

// ---------------------------------------------------------------- artifacts

/** What an artifact is bound to within its organization. An update's artifact has its stack too. */
export interface ArtifactPlace {
  readonly stackId: string | null;
  readonly updateId: string | null;
  readonly commit: string | null;
}

/** An artifact as it is stored; never changed but for labels and pin. */
export interface NewArtifact extends ArtifactPlace {
  /** Ids sort by time: lists are newest first. */
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly contentType: string;
  /** Of the plain bytes. */
  readonly sizeBytes: number;
  /** Of the plain bytes, hex. */
  readonly sha256: string;
  readonly blobKey: string;
  /** False for bytes that went to a bucket directly. */
  readonly isSealed: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly isPinned: boolean;
  readonly actor: string;
}

export interface Artifact extends NewArtifact {
  readonly organization: string;
  readonly organizationId: string;
  /** The stack's names; null without a stack, or once it is gone. */
  readonly project: string | null;
  readonly stack: string | null;
  /** Counts the artifacts of one name at one place, from 1. */
  readonly version: number;
  readonly createdMs: number;
  /** Until when a granted upload may be confirmed; null for one that is there. */
  readonly pendingUntilMs: number | null;
}

export interface ArtifactFilter {
  readonly project?: string;
  /** Only together with `project`. */
  readonly stack?: string;
  readonly stackId?: string;
  readonly updateId?: string;
  readonly commit?: string;
  readonly name?: string;
  readonly sha256?: string;
}

export interface ArtifactUsage {
  readonly files: number;
  /** Granted uploads included. */
  readonly bytes: number;
}

/** In ArtifactLimits: no limit at all, whatever the wider ones say. */
export const UNLIMITED = -1;

/** What an organization or a stack has set for itself; null where what is set more widely holds. */
export interface ArtifactLimits {
  readonly ageDays: number | null;
  readonly filesMax: number | null;
  readonly bytesMax: number | null;
  /** An organization's alone. */
  readonly quotaBytes: number | null;
}

/** Limits of one kind of place; null for none. Pinned artifacts neither count nor go. */
export interface ArtifactKeep {
  readonly filesMax: number | null;
  readonly bytesMax: number | null;
}

export interface ArtifactStore {
  /**
   * Adds all or none: the rows are the commit point of bytes stored before. A name that is there already at
   * the same place gets its next version. `quotaBytes` bounds the organization's total, granted uploads included,
   * unless the organization has a quota of its own.
   */
  createArtifacts(input: {
    organization: string;
    artifacts: readonly NewArtifact[];
    quotaBytes: number | null;
    pendingUntilMs: number | null;
    nowMs: number;
  }): Promise<
    | { kind: "created"; versions: readonly number[] }
    | { kind: "over_quota"; usedBytes: number; quotaBytes: number }
    | { kind: "no_organization" }
    | { kind: "no_stack" }
    | { kind: "no_update" }
  >;
  /** Shows a granted upload, encrypted by us or by its bucket; again is fine. */
  confirmArtifact(input: {
    organization: string;
    id: string;
    isSealed: boolean;
  }): Promise<"confirmed" | "absent">;
  /** Granted uploads included. */
  findArtifact(organization: string, id: string): Promise<Artifact | null>;
  /** Newest first, without granted uploads; `after` is an id. */
  listArtifacts(organization: string, filter: ArtifactFilter, page: PageRequest): Promise<Artifact[]>;
  changeArtifact(input: {
    organization: string;
    id: string;
    labels?: Readonly<Record<string, string>>;
    isPinned?: boolean;
  }): Promise<"changed" | "absent">;
  /** The blob is the caller's to remove. A pinned one stays. */
  deleteArtifact(input: {
    organization: string;
    id: string;
  }): Promise<{ kind: "deleted"; blobKey: string } | { kind: "pinned" } | { kind: "absent" }>;
  /** Of the organization, or of one stack in it. */
  findArtifactUsage(organization: string, stackId: string | null): Promise<ArtifactUsage>;
  /** All null where nothing was set. */
  findArtifactLimits(
    organization: string,
    stackId: string | null,
  ): Promise<{ readonly ofOrganization: ArtifactLimits; readonly ofStack: ArtifactLimits }>;
  /** Replaces those of the organization, or of one stack in it. */
  setArtifactLimits(
    input: { organization: string; stackId: string | null; limits: ArtifactLimits } & Audited,
  ): Promise<"set" | "no_organization" | "no_stack">;
  /** Whether any organization or stack has limits of its own. */
  hasArtifactLimits(): Promise<boolean>;
  /** Removes uploads that were granted until before `beforeMs` and never confirmed; gives their blobs. */
  removePendingArtifacts(input: { beforeMs: number; limit: number; dryRun: boolean }): Promise<string[]>;
  /**
   * Removes what is neither pinned nor kept, oldest first; gives the blobs of up to `limit`. Call it until it
   * gives none. A stack's or an organization's own limits go before those given here, a stack's age before its
   * organization's.
   */
  removeOldArtifacts(input: {
    nowMs: number;
    ageDays: number | null;
    perStack: ArtifactKeep;
    perOrganization: ArtifactKeep;
    limit: number;
    dryRun: boolean;
  }): Promise<string[]>;
}

// ---------------------------------------------------------------- moving it all

/** One value of a row as both engines hold it. */
export type BulkValue = string | number | null | Uint8Array;
/** Values in the order of the table's `columns`. */
export type BulkRow = readonly BulkValue[];

export interface BulkTable {
  readonly name: string;
  /** In alphabetical order: the engines may have them in orders of their own. */
  readonly columns: readonly string[];
  /** The columns of the primary key. */
  readonly key: readonly string[];
}

export interface BulkOverview {
  /** Parents before what refers to them. */
  readonly tables: readonly BulkTable[];
  /** Running totals by name. */
  readonly counters: Readonly<Record<string, number>>;
  /** The last number that each table with generated ids gave out. */
  readonly sequences: Readonly<Record<string, number>>;
}

/**
 * Whether data takes writes: `open` all, `draining` no new updates while those that run go on, `read_only` none
 * for now, `moved` none any more. It lies with the data: it holds for every replica at once, and after a restart.
 */
export type ServingMode = "open" | "draining" | "read_only" | "moved";

export interface ServingState {
  readonly mode: ServingMode;
  /** What refused clients are told; "" while open. */
  readonly message: string;
}

/** Whole tables, whatever they mean, for `statehouse transfer`. Totals and the transfer's own notes are no rows. */
export interface BulkStore {
  describeBulk(): Promise<BulkOverview>;
  /**
   * Rows by ascending key: those after `after` (exclusive) up to `through` (inclusive), at most `limit`, and no
   * more than about `bytesMax` bytes but one row at least.
   */
  readRows(input: {
    table: string;
    after: BulkRow | null;
    through: BulkRow | null;
    limit: number;
    bytesMax: number;
  }): Promise<BulkRow[]>;
  countRows(table: string): Promise<number>;
  /** Adds or replaces rows by key. What another row stands in the way of is left out; returns how many. */
  writeRows(table: string, rows: readonly BulkRow[]): Promise<number>;
  /** Deletes rows by key. What other rows refer to is left; returns how many. */
  deleteRows(table: string, keys: readonly BulkRow[]): Promise<number>;
  /** Makes totals what they are elsewhere, and lets no number be given out that was given out there. */
  writeTotals(input: Pick<BulkOverview, "counters" | "sequences">): Promise<void>;
  findSetting(key: string): Promise<string | null>;
  /** Null takes it away. */
  putSetting(key: string, value: string | null): Promise<void>;
  findServingState(): Promise<ServingState>;
  /**
   * From the answer on every write is refused, those under way have been committed. With `read_only` and `moved`
   * only while no update runs; otherwise nothing changes.
   */
  setServingState(state: ServingState): Promise<{ kind: "set" } | { kind: "updates_running"; count: number }>;
}

export interface Database
  extends PeopleStore,
    StackStore,
    UpdateStore,
    UpkeepStore,
    ArtifactStore,
    BulkStore {
  /** Engine, version, schema version and, for SQLite, the journal mode and why it was chosen. */
  describe(): Promise<Readonly<Record<string, string>>>;
  /** A trivial read, for readiness. */
  ping(): Promise<void>;
  /** Finishes what was accepted, then closes. Later calls throw DatabaseUnavailableError. */
  close(): Promise<void>;
}

// ---------------------------------------------------------------- between replicas

/** Live events across replicas: at most once each, kept nowhere. What must not be lost is a row. */
export interface EventBus {
  /** Tells every subscriber of `topic`, the publisher's own replica included. @throws RangeError past 7,000 bytes */
  publish(topic: string, payload: string): Promise<void>;
  /**
   * `onEvent` gets null when events may have been missed (a connection was lost): read the rows again. Ends with
   * the function that it gives back, which may be called twice.
   */
  subscribe(topic: string, onEvent: (payload: string | null) => void): Promise<() => Promise<void>>;
}

/** Work that one replica at a time does. */
export interface CronLock {
  /** Null while anyone holds `name`. The holder's death frees it. */
  tryCronLock(name: string): Promise<{ release(): Promise<void> } | null>;
}

export interface RateCount {
  readonly count: number;
  /** When the window ends and counting begins anew, Unix milliseconds. */
  readonly endsMs: number;
}

/** Counts that all replicas keep together, for rate limits. */
export interface RateCounter {
  /**
   * One more under `key`, in a window of `lengthMs` that begins with its first. Null when nobody counts with us,
   * or nobody can be asked now: the caller then goes by its own count. Never throws.
   */
  countRate(key: string, window: { lengthMs: number; nowMs: number }): Promise<RateCount | null>;
}

/** What `openDatabase` gives: the data, and what replicas share beside it. */
export interface SharedDatabase extends Database, EventBus, CronLock, RateCounter {}

/** Bytes of UTF-8 that an event's payload may have on any bus. */
export const EVENT_BYTES_MAX = 7_000;

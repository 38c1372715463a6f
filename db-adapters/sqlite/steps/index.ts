/** All steps of the contract, and which of them write. */
import { bulkSteps } from "../bulk.ts";
import type { Sql } from "../sql.ts";
import { artifactLimitSteps } from "./artifact-limits.ts";
import { artifactSteps } from "./artifacts.ts";
import { checkpointSteps } from "./checkpoints.ts";
import { eventSteps } from "./events.ts";
import { finishSteps } from "./finish.ts";
import { historySteps } from "./history.ts";
import { journalSteps } from "./journal.ts";
import { leaseSteps } from "./leases.ts";
import { organizationSteps } from "./organizations.ts";
import { purgeSteps } from "./purge.ts";
import { recordSteps } from "./records.ts";
import { retentionSteps } from "./retention.ts";
import { stackSteps } from "./stacks.ts";
import { stateSteps } from "./states.ts";
import { sweepSteps } from "./sweeps.ts";
import type { StepName, Steps } from "./sync.ts";
import { tokenSteps } from "./tokens.ts";
import { updateSteps } from "./updates.ts";
import { membershipSteps, userSteps } from "./users.ts";

export function allSteps(sql: Sql): Steps {
  return {
    ...organizationSteps(sql),
    ...userSteps(sql),
    ...membershipSteps(sql),
    ...tokenSteps(sql),
    ...stackSteps(sql),
    ...stateSteps(sql),
    ...updateSteps(sql),
    ...leaseSteps(sql),
    ...journalSteps(sql),
    ...checkpointSteps(sql),
    ...eventSteps(sql),
    ...finishSteps(sql),
    ...historySteps(sql),
    ...sweepSteps(sql),
    ...retentionSteps(sql),
    ...purgeSteps(sql),
    ...recordSteps(sql),
    ...artifactSteps(sql),
    ...artifactLimitSteps(sql),
    ...bulkSteps(sql),
  };
}

/** A read never changes a row: it is answered before the commit of its batch. */
export const STEP_KINDS = {
  createOrganization: "write",
  findOrganization: "read",
  listOrganizations: "read",
  deleteOrganization: "write",
  createUser: "write",
  findUser: "read",
  listUsers: "read",
  updateUser: "write",
  deleteUser: "write",
  setMembership: "write",
  removeMembership: "write",
  listMembers: "read",
  createToken: "write",
  listTokens: "read",
  revokeToken: "write",
  findIdentity: "read",
  touchTokens: "write",
  createStack: "write",
  findStack: "read",
  listStacks: "read",
  projectExists: "read",
  replaceTags: "write",
  deleteStack: "write",
  renameStack: "write",
  findState: "read",
  findStateOf: "read",
  importState: "write",
  createUpdate: "write",
  startUpdate: "write",
  findUpdateScope: "read",
  findUpdate: "read",
  findUpdateById: "read",
  renewLease: "write",
  checkLease: "read",
  appendJournal: "write",
  saveCheckpoint: "write",
  appendEvents: "write",
  listEventBatches: "read",
  readFold: "read",
  listJournalBatches: "read",
  finishUpdate: "write",
  requestCancel: "write",
  listHistory: "read",
  listPreviews: "read",
  findUpdateByVersion: "read",
  listActiveLeases: "read",
  nextDeadlineMs: "read",
  listExpiredLeases: "read",
  discardStaleUpdates: "write",
  removeDiscardedUpdates: "write",
  removeEndedTokens: "write",
  findUnnamedBlobs: "read",
  removeOldEvents: "write",
  removeOldVersions: "write",
  listDeletedStacks: "read",
  purgeDeletedStack: "write",
  recordGcRun: "write",
  listGcRuns: "read",
  appendAuditEvents: "write",
  listAuditEvents: "read",
  statistics: "read",
  claimSetting: "write",
  createArtifacts: "write",
  confirmArtifact: "write",
  findArtifact: "read",
  listArtifacts: "read",
  changeArtifact: "write",
  deleteArtifact: "write",
  findArtifactUsage: "read",
  findArtifactLimits: "read",
  setArtifactLimits: "write",
  hasArtifactLimits: "read",
  removePendingArtifacts: "write",
  removeOldArtifacts: "write",
  describeBulk: "read",
  readRows: "read",
  countRows: "read",
  writeRows: "write",
  deleteRows: "write",
  writeTotals: "write",
  findSetting: "read",
  putSetting: "write",
  findServingState: "read",
  setServingState: "write",
} as const satisfies Record<StepName, "read" | "write">;

export const STEP_NAMES = Object.keys(STEP_KINDS) as StepName[];

/** Whether a step needs a commit. */
export function isWriteStep(step: StepName | "describe" | "ping"): boolean {
  return step !== "describe" && step !== "ping" && STEP_KINDS[step] === "write";
}

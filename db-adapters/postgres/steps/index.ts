/**
 * All steps of the contract. What each does about a connection that is lost shows in how it asks (sql.ts):
 * - reads, and the changes that say the same the second time (`change`) are sent again: appendJournal,
 *   appendEvents, renewLease, startUpdate, finishUpdate, touchTokens, updateUser, setMembership, claimSetting,
 *   appendAuditEvents, recordGcRun and the sweeps of one statement;
 * - what takes several statements (`transaction`) is sent again until its COMMIT was on the way;
 * - the rest (`changeOnce`: create…, delete…, remove…, revokeToken, publish) is not, once it was sent. The caller
 *   gets DatabaseUnavailableError, and the client's retry of its request finds what there is.
 */
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
import { tokenSteps } from "./tokens.ts";
import type { Steps } from "./types.ts";
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

/** All steps of the contract. */
import type { Sql } from "../sql.ts";
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
  };
}

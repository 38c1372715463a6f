/** What clients of several replicas did and saw: each attempt with its times, and what was there in the end. */

export type OperationKind = "start" | "renew" | "journal" | "checkpoint" | "complete" | "cancel";

/**
 * `done`: acknowledged. `refused`: answered that it has no effect. `unknown`: the connection broke or the server
 * could not say; it may have taken effect, or may yet.
 */
export type Outcome = "done" | "refused" | "unknown";

/** One request. A retry is another one. */
export interface Operation {
  readonly kind: OperationKind;
  readonly client: number;
  readonly stack: string;
  readonly updateId: string;
  /** On one monotonic clock for all clients. */
  readonly invokedMs: number;
  readonly endedMs: number;
  readonly outcome: Outcome;
  /** Of a start that is done. */
  readonly version?: number;
  /** Of starts and renewals: how long the lease was asked for. */
  readonly leaseMs?: number;
  /** Of a journal batch the resources that it adds; of a checkpoint all that there are. */
  readonly names?: readonly string[];
  /** Of a complete. */
  readonly status?: Result;
}

export type Result = "succeeded" | "failed";

/** A version as the history has it once everything has ended. */
export interface Version {
  readonly version: number;
  readonly updateId: string;
  readonly result: string;
  /** The exported resources; null where there is no state yet. */
  readonly names: readonly string[] | null;
}

export interface StackEnd {
  readonly stack: string;
  /** In the order of the history, oldest first. */
  readonly versions: readonly Version[];
  /** An update still holds it. */
  readonly isHeld: boolean;
}

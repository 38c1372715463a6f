/** What the two threads say to each other. */
import type { ConnectionOptions } from "./connection.ts";
import type { FenceHandle } from "./fence.ts";
import type { StepName } from "./steps/sync.ts";

export interface WorkerInput extends ConnectionOptions {
  readonly fence: FenceHandle | null;
}

export interface StepRequest {
  readonly id: number;
  readonly step: StepName | "describe" | "ping";
  readonly args: readonly unknown[];
}

export type Request = StepRequest | { readonly id: number; readonly step: "close" };

/** `unavailable` becomes a DatabaseUnavailableError; the others are named after the class they become. */
export interface Failure {
  readonly kind: "unavailable" | "read_only" | "moved" | "schema_too_new" | "other";
  readonly message: string;
  readonly found?: number;
  readonly known?: number;
}

export type Answer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly failure: Failure };

export interface Commit {
  /** Writes that shared the transaction. */
  readonly batchSize: number;
  readonly durationMs: number;
}

export type Message =
  | { readonly kind: "opened" }
  | { readonly kind: "refused"; readonly failure: Failure }
  | { readonly kind: "answers"; readonly answers: readonly Answer[]; readonly commit: Commit | null };

import type { GcRun } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import type { Actor } from "../services/audit.ts";

/** What the running process knows of itself and the database doesn't. */
export interface InstanceStatus {
  readonly version: string;
  readonly startedMs: number;
  /** The owner record of the one-instance guard (host, pid, since…); null when the engine needs none. */
  readonly owner: Readonly<Record<string, string>> | null;
}

/** What the admin API asks of the rest of the server. */
export interface AdminDeps {
  /**
   * Ends an update whoever holds it; in the audit log as the actor's.
   * @throws AppError UPDATE_NOT_FOUND | UPDATE_COMPLETED
   */
  readonly cancelUpdate: (ctx: Context, actor: Actor, updateId: string) => Promise<void>;
  /** One run of all sweeps. If one is on the way, the answer is that of a run of its own after it. */
  readonly runGc: (
    ctx: Context,
    options: { readonly trigger: "api"; readonly dryRun: boolean },
  ) => Promise<GcRun>;
  readonly status: (ctx: Context) => Promise<InstanceStatus>;
}

import type { FoldInput, StateDocument } from "../../contract.ts";
import { decideFinish } from "../../rules.ts";
import { documentOf, leaseFactsOf, stateOf, type UpdateRow } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { checkpointOf } from "./checkpoints.ts";
import { refusalOf, refuse } from "./leases.ts";
import { findStackRow } from "./stacks.ts";
import { advanceStack, findStateRow } from "./states.ts";
import type { StepsOf } from "./sync.ts";
import { findUpdateRow } from "./updates.ts";

type Finish = Parameters<StepsOf<"finishUpdate">["finishUpdate"]>[0];

/** The document of the update's version: the folded one, or the base's again; null when there is no state. */
function outcomeOf(sql: Sql, update: UpdateRow, input: Finish): StateDocument | null {
  if (input.state.kind === "document") return input.state.document;
  const base = findStateRow(sql, update.stack_id, update.base_version);
  return base === null ? null : documentOf(base);
}

const SAVES_CLEARED = `, base_version = null, journal_after_id = 0, journal_count = 0, journal_bytes = 0,
  journal_stored_bytes = 0, checkpoint_sequence = null, checkpoint_blob_key = null, checkpoint_sha256 = null,
  checkpoint_size_bytes = null, checkpoint_resource_count = null, checkpoint_resource_total = null,
  checkpoint_problems = null`;

/** A kept journal stays replayable: its checkpoint and its base stay named with it. */
function closeUpdate(sql: Sql, update: UpdateRow, input: Finish, resourceCount: number | null): void {
  sql.run(
    `update stack_update set status = ?, ending = ?, ended_ms = ?, resource_count = ?
       ${input.keepJournal ? "" : SAVES_CLEARED} where id = ?`,
    input.status,
    input.ending,
    input.nowMs,
    resourceCount,
    update.id,
  );
  if (!input.keepJournal && update.journal_stored_bytes > 0)
    sql.run("delete from journal_batch where update_id = ?", update.id);
}

function finishReal(sql: Sql, update: UpdateRow, input: Finish): void {
  const document = outcomeOf(sql, update, input);
  closeUpdate(sql, update, input, document?.resourceCount ?? null);
  const stack = findStackRow(sql, update.stack_id);
  if (stack === null || update.version === null) return;
  const { version, id: updateId } = update;
  advanceStack(sql, stack, { version, updateId, document, nowMs: input.nowMs });
}

function foldInputOf(sql: Sql, update: UpdateRow): FoldInput {
  const base = findStateRow(sql, update.stack_id, update.base_version);
  return {
    updateId: update.id,
    stackId: update.stack_id,
    dryRun: update.dry_run === 1,
    status: update.status,
    leaseExpiresMs: update.lease_expires_ms,
    cliVersion: update.cli_version,
    cancelRequested: update.cancel_ms !== null,
    base: base === null ? null : stateOf(base),
    checkpoint: checkpointOf(update),
    revision: update.revision,
    journalAfterId: update.journal_after_id,
    journalBatchCount: update.journal_count,
    journalSizeBytes: update.journal_bytes,
  };
}

export function finishSteps(sql: Sql): StepsOf<"readFold" | "finishUpdate"> {
  return {
    readFold(updateId, tokenHash) {
      const update = findUpdateRow(sql, updateId);
      if (update === null) return { kind: "absent" };
      const refusal = tokenHash === null ? null : refusalOf(update, tokenHash);
      if (refusal !== null) return refusal;
      return { kind: "fold", input: foldInputOf(sql, update) };
    },

    finishUpdate(input) {
      const update = findUpdateRow(sql, input.updateId);
      if (update === null) return refuse("unknown_update");
      const { ending, revision } = update;
      const facts = { ...leaseFactsOf(update), ending, revision, hasJournal: update.journal_count > 0 };
      const decision = decideFinish(facts, input);
      switch (decision) {
        case "finish":
          if (update.dry_run === 1) closeUpdate(sql, update, input, null);
          else finishReal(sql, update, input);
          return { kind: "finished" };
        case "already_finished":
        case "journal_kept":
        case "moved":
          return { kind: decision };
        case "wrong_token":
        case "not_running":
          return refuse(decision);
        default:
          return decision satisfies never;
      }
    },
  };
}

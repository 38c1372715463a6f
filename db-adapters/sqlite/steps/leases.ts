import type { LeaseRefusal, UpdateRef } from "../../contract.ts";
import { decideCancel, decideLease } from "../../rules.ts";
import { type LeaseRow, leaseFactsOf } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { insertAudit } from "./audit.ts";
import type { StepsOf } from "./sync.ts";
import { findRefRow } from "./updates.ts";

export function refuse(why: LeaseRefusal["why"]): LeaseRefusal {
  return { kind: "lease_refused", why };
}

/** Null when `tokenHash` may write; else why it may not. */
export function refusalOf(row: LeaseRow | null, tokenHash: string): LeaseRefusal | null {
  if (row === null) return refuse("unknown_update");
  const decision = decideLease(leaseFactsOf(row), tokenHash);
  return decision === "held" ? null : refuse(decision);
}

/** What the steps of a running update read before they write: few columns, no joins that aren't needed. */
export type HotRow = LeaseRow & {
  readonly revision: number;
  readonly journal_stored_bytes: number;
  readonly has_events: number;
};

export function findHotRow(sql: Sql, ref: UpdateRef): HotRow | null {
  return sql.get<HotRow>(
    `select u.id, u.stack_id, u.status, u.dry_run, u.lease_token_hash, u.lease_expires_ms, u.cancel_ms,
       u.revision, u.journal_stored_bytes, u.has_events
     from stack_update u join stack s on s.id = u.stack_id join organization o on o.id = s.organization_id
     where u.id = ? and s.name = ? and s.project = ? and o.name = ? and s.deleted_ms is null`,
    ref.updateId,
    ref.stack,
    ref.project,
    ref.organization,
  );
}

export function leaseSteps(sql: Sql): StepsOf<"renewLease" | "checkLease" | "requestCancel"> {
  return {
    renewLease({ ref, tokenHash, expiresMs }) {
      const refusal = refusalOf(findHotRow(sql, ref), tokenHash);
      if (refusal !== null) return refusal;
      sql.run(
        "update stack_update set lease_expires_ms = ?, revision = revision + 1 where id = ?",
        expiresMs,
        ref.updateId,
      );
      return { kind: "renewed", expiresMs };
    },

    checkLease(ref, tokenHash) {
      return refusalOf(findHotRow(sql, ref), tokenHash) ?? { kind: "held" };
    },

    requestCancel({ ref, nowMs, audit }) {
      const update = findRefRow(sql, ref);
      if (update === null) return { kind: "absent" };
      const { status, ending } = update;
      const decision = decideCancel({ status, ending, cancelRequested: update.cancel_ms !== null });
      switch (decision) {
        case "already_cancelled":
        case "already_completed":
          return { kind: decision };
        case "discard":
          sql.run(
            "update stack_update set status = 'discarded', ended_ms = ? where id = ?",
            nowMs,
            update.id,
          );
          insertAudit(sql, audit);
          return { kind: "discarded" };
        case "cancel":
          sql.run(
            "update stack_update set cancel_ms = ?, revision = revision + 1 where id = ?",
            nowMs,
            update.id,
          );
          insertAudit(sql, audit);
          return { kind: "cancelling", stackId: update.stack_id };
        default:
          return decision satisfies never;
      }
    },
  };
}

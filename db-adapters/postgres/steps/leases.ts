import type { LeaseRefusal, UpdateRef } from "../../contract.ts";
import { decideCancel, decideLease } from "../../rules.ts";
import { type LeaseRow, leaseFactsOf, type UpdateRow } from "../rows.ts";
import type { Sql, Value } from "../sql.ts";
import { auditValues, INSERT_AUDIT } from "./audit.ts";
import type { StepsOf } from "./types.ts";
import { OF_REF, refValues } from "./updates.ts";

export function refuse(why: LeaseRefusal["why"]): LeaseRefusal {
  return { kind: "lease_refused", why };
}

/** Null when `tokenHash` may write; else why it may not. */
export function refusalOf(row: LeaseRow | null, tokenHash: string): LeaseRefusal | null {
  if (row === null) return refuse("unknown_update");
  const decision = decideLease(leaseFactsOf(row), tokenHash);
  return decision === "held" ? null : refuse(decision);
}

/**
 * `u`: what the steps of a running update look at, of the update that $1 to $4 name. With `for no key update
 * of u` these are the newest facts, and nothing happens to the update until the step commits.
 */
export const HOT = `select u.id, u.stack_id, u.status, u.dry_run, u.lease_token_hash, u.lease_expires_ms,
    u.cancel_ms, u.journal_stored_bytes, u.has_events
  from stack_update u join stack s on s.id = u.stack_id join organization o on o.id = s.organization_id
  where ${OF_REF}`;

export type HotRow = LeaseRow & Pick<UpdateRow, "journal_stored_bytes" | "has_events">;

/**
 * `decideLease` says held, for the token hash $5. A step that writes in one statement carries its guard in it;
 * when it didn't write, the rule says why from the same facts.
 */
export const HELD = "u.lease_token_hash = $5 and u.status = 'running' and u.cancel_ms is null";

export function hotValues(ref: UpdateRef, tokenHash: string): Value[] {
  return [...refValues(ref), tokenHash];
}

/** Facts that say "held" under a guard that said no: the two are not the same rule any more. */
export function contradiction(step: string): Error {
  return new Error(`${step}: the statement's guard and the rule disagree`);
}

export function leaseSteps(sql: Sql): StepsOf<"renewLease" | "checkLease" | "requestCancel"> {
  return {
    async renewLease({ ref, tokenHash, expiresMs }) {
      const row = await sql.change<HotRow & { is_renewed: boolean }>(
        `with u as (${HOT} for no key update of u),
           renewed as (update stack_update t set lease_expires_ms = $6, revision = t.revision + 1
             from u where t.id = u.id and ${HELD} returning t.id)
         select u.*, exists (select from renewed) as is_renewed from u`,
        ...hotValues(ref, tokenHash),
        expiresMs,
      );
      if (row?.is_renewed === true) return { kind: "renewed", expiresMs };
      const refusal = refusalOf(row, tokenHash);
      if (refusal === null) throw contradiction("renewLease");
      return refusal;
    },

    async checkLease(ref, tokenHash) {
      return refusalOf(await sql.get<HotRow>(HOT, ...refValues(ref)), tokenHash) ?? { kind: "held" };
    },

    requestCancel({ ref, nowMs, audit }) {
      return sql.transaction(async (tx) => {
        const lock = `select u.id, u.stack_id, u.status, u.ending, u.cancel_ms
          from stack_update u join stack s on s.id = u.stack_id join organization o on o.id = s.organization_id
          where ${OF_REF} for no key update of u`;
        type Row = Pick<UpdateRow, "id" | "stack_id" | "status" | "ending" | "cancel_ms">;
        const update = await tx.get<Row>(lock, ...refValues(ref));
        if (update === null) return { kind: "absent" };
        const { id, stack_id: stackId, status, ending } = update;
        const decision = decideCancel({ status, ending, cancelRequested: update.cancel_ms !== null });
        switch (decision) {
          case "already_cancelled":
          case "already_completed":
            return { kind: decision };
          case "discard":
            tx.post("update stack_update set status = 'discarded', ended_ms = $2 where id = $1", id, nowMs);
            tx.post(INSERT_AUDIT, ...auditValues(audit));
            return { kind: "discarded" };
          case "cancel":
            tx.post(
              "update stack_update set cancel_ms = $2, revision = revision + 1 where id = $1",
              id,
              nowMs,
            );
            tx.post(INSERT_AUDIT, ...auditValues(audit));
            return { kind: "cancelling", stackId };
          default:
            return decision satisfies never;
        }
      });
    },
  };
}

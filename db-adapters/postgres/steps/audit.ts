import type { AuditEvent } from "../../contract.ts";
import type { Value } from "../sql.ts";

/**
 * A part of a `with` that stores the event when `done`, an earlier part, has a row. The event's seven values
 * (`auditValues`) come last in the statement, from parameter `first` on. `organization` is asked before the
 * event's own.
 * An id that is there already is the same event, sent again.
 */
export function auditPart(done: string, first: number, organization?: string): string {
  const [id, atMs, actor, action, own, target, sourceIp] = [0, 1, 2, 3, 4, 5, 6].map((i) => `$${first + i}`);
  return `noted as (
    insert into audit_event (id, at_ms, actor, action, organization, target, source_ip)
    select ${id}::text, ${atMs}::bigint, ${actor}::text, ${action}::text,
      coalesce(${organization ?? "null"}, ${own}::text), ${target}::text, ${sourceIp}::text
    from ${done} where ${id}::text is not null on conflict (id) do nothing)`;
}

/** All null for no event. */
export function auditValues(event: AuditEvent | undefined): Value[] {
  if (event === undefined) return [null, null, null, null, null, null, null];
  const { id, atMs, actor, action, organization, target, sourceIp } = event;
  return [id, atMs, actor, action, organization, target, sourceIp];
}

/** The same as a statement of its own, for a step of several. */
export const INSERT_AUDIT = `with done as (select 1), ${auditPart("done", 1)} select 1`;

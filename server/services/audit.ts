/** Who did what to which thing, when and from where: append-only. */
import type { AuditEvent } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";

/**
 * What was done: a noun of ours, a dot, a verb. A literal type, so that no value out of a request can become
 * an action by mistake.
 */
export type AuditAction = `${string}.${string}`;

/** A principal, or who made a link that somebody uses now. */
export interface Actor {
  readonly identity: { readonly login: string };
  readonly sourceIp: string;
}

/** Events of one context so far: the number that the last one's id began with. */
const lastOrder = new WeakMap<Context, number>();
/** Of a millisecond; more events than that borrow from the next one. */
const EVENTS_A_MS = 1024;
const ORDER_DIGITS = 14;

/** Ids sort by time, whatever `newId` makes, and in the order of the calls within a millisecond. */
function eventId(ctx: Context, atMs: number): string {
  const order = Math.max(atMs * EVENTS_A_MS, (lastOrder.get(ctx) ?? 0) + 1);
  lastOrder.set(ctx, order);
  return `${order.toString(16).padStart(ORDER_DIGITS, "0")}-${ctx.newId()}`;
}

/**
 * The event of a change, for the step that makes it: the database stores both or neither. `target` names the
 * thing as people do; never give a token, a value of a configuration or a body.
 */
export function auditEvent(
  ctx: Context,
  { identity, sourceIp }: Actor,
  action: AuditAction,
  organization: string | null,
  target: string,
): AuditEvent {
  const atMs = ctx.nowMs();
  return { id: eventId(ctx, atMs), atMs, actor: identity.login, action, organization, target, sourceIp };
}

/** Notes what changes no row of its own (a read of a secret, a sweep): called before it is done or answered. */
export async function audit(ctx: Context, ...facts: EventFacts): Promise<void> {
  await ctx.db.appendAuditEvents([auditEvent(ctx, ...facts)]);
}

type EventFacts = Parameters<typeof auditEvent> extends [Context, ...infer Facts] ? Facts : never;

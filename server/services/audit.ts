/** Who did what to which thing, when and from where: append-only. */
import type { Context } from "../context.ts";
import type { Principal } from "../http/access.ts";

/**
 * What was done: a noun of ours, a dot, a verb. A literal type, so that no value out of a request can become
 * an action by mistake.
 */
export type AuditAction = `${string}.${string}`;

/**
 * Notes a change that has happened. Called after it and before the answer: what a client was told is in the
 * log. `target` names the thing as people do; never give a token, a value of a configuration or a body.
 */
export async function audit(
  ctx: Context,
  principal: Principal,
  action: AuditAction,
  organization: string | null,
  target: string,
): Promise<void> {
  await ctx.db.appendAuditEvents([
    {
      id: ctx.newId(),
      atMs: ctx.nowMs(),
      actor: principal.identity.login,
      action,
      organization,
      target,
      sourceIp: principal.sourceIp,
    },
  ]);
}

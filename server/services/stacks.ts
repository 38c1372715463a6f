/** Stacks: create, look up, tag, rename, delete. */
import type { Stack, StackName, StateDocument } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { renameDocument } from "../deployment/rename.ts";
import { AppError } from "../errors.ts";
import { authorize, can, type OrganizationAccess, type Principal, requireMore } from "../rules/access.ts";
import { findTagProblem, isProjectName, isStackName } from "../rules/names.ts";
import { auditEvent } from "./audit.ts";
import { getStack, openVersion, storeDocument } from "./state.ts";

type Tags = Readonly<Record<string, string>>;

export const STACKS_A_PAGE = 500;

/** @throws AppError INVALID_REQUEST */
export function checkTags(tags: Tags): void {
  const problem = findTagProblem(tags);
  if (problem !== null) throw new AppError("INVALID_REQUEST", {}, { detail: problem });
}

function checkStackName(name: StackName): void {
  if (isProjectName(name.project) && isStackName(name.stack)) return;
  const detail = "project and stack are 1 to 100 of letters, digits, - _ and .";
  throw new AppError("INVALID_NAME", {}, { detail });
}

/**
 * Creates a stack; its project comes into being with it. `state` is a document to start with (the stack's
 * version 0), sent when it has another secrets provider than ours from the beginning.
 * @throws AppError INVALID_NAME | INVALID_REQUEST | STACK_EXISTS | ORGANIZATION_NOT_FOUND | INVALID_STATE
 */
export async function createStack(
  ctx: Context,
  access: OrganizationAccess,
  input: { name: StackName; tags: Tags; state: Uint8Array | null },
): Promise<void> {
  checkStackName(input.name);
  checkTags(input.tags);
  const id = ctx.newId();
  const state = input.state === null ? null : await storeInitialState(ctx, id, input.state);
  const outcome = await ctx.db.createStack({
    id,
    name: { ...input.name, organization: access.organization },
    tags: input.tags,
    state,
    nowMs: ctx.nowMs(),
  });
  if (outcome === "created") return;
  if (state !== null) await ctx.documents.delete(state);
  throw new AppError(outcome === "exists" ? "STACK_EXISTS" : "ORGANIZATION_NOT_FOUND");
}

async function storeInitialState(
  ctx: Context,
  stackId: string,
  state: Uint8Array,
): Promise<StateDocument | null> {
  const body = (async function* () {
    yield state;
  })();
  return (await storeDocument(ctx, stackId, "untyped", body, { inRow: true })).document;
}

/** Every stack the caller may see, in pages. `after` is what the page before ended with. */
export async function listStacks(
  ctx: Context,
  principal: Principal,
  filter: { organization?: string; project?: string; tagName?: string; tagValue?: string },
  after: string | null,
): Promise<Stack[]> {
  const organizations =
    filter.organization === undefined
      ? await visibleOrganizations(ctx, principal)
      : [authorize(principal, filter.organization, "stack:read").organization];
  const { organization: _, ...rest } = filter;
  return ctx.db.listStacks({ ...rest, organizations }, { after, limit: STACKS_A_PAGE });
}

/** The organizations that somebody sees: memberships, or all of them for the admin token. */
export async function visibleOrganizations(ctx: Context, principal: Principal): Promise<string[]> {
  if (!principal.isInstanceAdmin) {
    const { memberships } = principal.identity;
    return memberships.map((it) => it.organization).filter((it) => can(principal, it, "stack:read"));
  }
  const names: string[] = [];
  for (let after: string | null = null; ; ) {
    const page = await ctx.db.listOrganizations({ after, limit: 200 });
    names.push(...page.map((it) => it.name));
    const last = page.at(-1);
    if (last === undefined || page.length < 200) return names;
    after = last.name;
  }
}

/** Replaces the whole map, as `stack tag set` and `rm` do. */
export async function replaceTags(
  ctx: Context,
  access: OrganizationAccess,
  name: StackName,
  tags: Tags,
): Promise<void> {
  checkTags(tags);
  const stack = await getStack(ctx, access, name);
  const outcome = await ctx.db.replaceTags(stack.id, tags);
  if (outcome === "absent") throw new AppError("STACK_NOT_FOUND");
}

/**
 * Removing what still has resources needs `force` and the role for it.
 * @throws AppError STACK_HAS_RESOURCES | STACK_BUSY | STACK_NOT_FOUND | FORBIDDEN
 */
export async function deleteStack(
  ctx: Context,
  access: OrganizationAccess,
  name: StackName,
  force: boolean,
): Promise<void> {
  const stack = await getStack(ctx, access, name);
  if (force && stack.resourceCount > 0) requireMore(access, "stack:delete");
  const nowMs = ctx.nowMs();
  const target = `${name.project}/${name.stack}`;
  const audit = auditEvent(ctx, access.principal, "stack.delete", access.organization, target);
  const outcome = await ctx.db.deleteStack({ stackId: stack.id, force, nowMs, audit });
  switch (outcome) {
    case "deleted":
      ctx.deadlines.note(nowMs);
      return;
    case "has_resources":
      throw new AppError("STACK_HAS_RESOURCES", { stackId: stack.id });
    case "update_running":
      throw new AppError("STACK_BUSY", { stackId: stack.id });
    case "absent":
      throw new AppError("STACK_NOT_FOUND", { stackId: stack.id });
    default:
      outcome satisfies never;
  }
}

/**
 * The CLI leaves the rewrite to the server: names inside the state change together with the stack's own
 * (protocol reference 6.4). The id stays, and with it keys, history and ciphertexts.
 * @throws AppError INVALID_NAME | STACK_NOT_FOUND | STACK_EXISTS | STACK_BUSY | STACK_CHANGED
 */
export async function renameStack(
  ctx: Context,
  access: OrganizationAccess,
  from: StackName,
  to: { project: string; stack: string },
): Promise<void> {
  const target = { organization: access.organization, project: to.project, stack: to.stack };
  checkStackName(target);
  const stack = await getStack(ctx, access, from);
  if (target.project === stack.project && target.stack === stack.stack) return;
  if (stack.currentOperation !== null) throw new AppError("STACK_BUSY", { stackId: stack.id });
  if ((await ctx.db.findStack(target)) !== null) throw new AppError("STACK_EXISTS");
  const state = await renamedState(ctx, stack, target);
  const outcome = await ctx.db.renameStack({
    stackId: stack.id,
    project: target.project,
    stack: target.stack,
    tags: "pulumi:project" in stack.tags ? { ...stack.tags, "pulumi:project": target.project } : stack.tags,
    updateId: ctx.newOrderedId(),
    actor: access.principal.identity.login,
    state,
    expectedStateVersion: stack.stateVersion,
    nowMs: ctx.nowMs(),
  });
  if (outcome === "renamed") return;
  if (state !== null) await ctx.documents.delete(state);
  throw new AppError(RENAME_ERRORS[outcome], { stackId: stack.id });
}

const RENAME_ERRORS = {
  name_taken: "STACK_EXISTS",
  update_running: "STACK_BUSY",
  state_changed: "STACK_CHANGED",
  absent: "STACK_NOT_FOUND",
} as const;

async function renamedState(ctx: Context, stack: Stack, to: StackName): Promise<StateDocument | null> {
  const current = await ctx.db.findState(stack.id, "latest");
  if (current === null) return null;
  const { bytes } = await openVersion(ctx, current);
  const from = { org: stack.organization, project: stack.project, stack: stack.stack };
  const renamed = renameDocument(asAsync(bytes), from, {
    org: to.organization,
    project: to.project,
    stack: to.stack,
  });
  return (await storeDocument(ctx, stack.id, "untyped", renamed, { inRow: true })).document;
}

async function* asAsync(bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* bytes;
}

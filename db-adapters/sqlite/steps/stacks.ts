import { type StackRow, type StackViewRow, stackOf } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { insertAudit } from "./audit.ts";
import { findOrganizationId } from "./organizations.ts";
import { listStacks, VIEW } from "./stack-list.ts";
import { insertState, isMarked } from "./states.ts";
import type { StepsOf } from "./sync.ts";

/** A live stack by id; a deleted one is invisible to every step but the purge. */
export function findStackRow(sql: Sql, stackId: string): StackRow | null {
  return sql.get<StackRow>("select * from stack where id = ? and deleted_ms is null", stackId);
}

/** Whether a live stack of `organizationId` has this name. */
export function findStackId(sql: Sql, organizationId: string, project: string, name: string): string | null {
  const row = sql.get<{ id: string }>(
    "select id from stack where organization_id = ? and project = ? and name = ? and deleted_ms is null",
    organizationId,
    project,
    name,
  );
  return row?.id ?? null;
}

/** Replaces the stack's tags, in both places that hold them. Every start of an update brings the same again. */
export function writeTags(sql: Sql, stackId: string, tags: Readonly<Record<string, string>>): void {
  const text = JSON.stringify(tags);
  if (sql.run("update stack set tags = ? where id = ? and tags <> ?", text, stackId, text) === 0) return;
  sql.run("delete from stack_tag where stack_id = ?", stackId);
  for (const [name, value] of Object.entries(tags))
    sql.insert("stack_tag", { stack_id: stackId, name, value });
}

export function stackSteps(
  sql: Sql,
): StepsOf<"createStack" | "findStack" | "listStacks" | "projectExists" | "replaceTags" | "deleteStack"> {
  return {
    createStack({ id, name, tags, state, nowMs }) {
      const organizationId = findOrganizationId(sql, name.organization);
      if (organizationId === null) return "no_organization";
      if (findStackId(sql, organizationId, name.project, name.stack) !== null) return "exists";
      sql.insert("stack", {
        id,
        organization_id: organizationId,
        project: name.project,
        name: name.stack,
        created_ms: nowMs,
        tags: "{}",
        version: 0,
        state_version: state === null ? null : 0,
        good_version: state === null || isMarked(state) ? null : 0,
        resource_count: state?.resourceCount ?? 0,
      });
      writeTags(sql, id, tags);
      if (state !== null)
        insertState(sql, { stackId: id, version: 0, updateId: null, createdMs: nowMs }, state);
      return "created";
    },

    findStack(name) {
      const row = sql.get<StackViewRow>(
        `${VIEW} where o.name = ? and s.project = ? and s.name = ? and s.deleted_ms is null`,
        name.organization,
        name.project,
        name.stack,
      );
      return row === null ? null : stackOf(row);
    },

    listStacks: (filter, page) => listStacks(sql, filter, page),

    projectExists(organization, project) {
      const id = findOrganizationId(sql, organization);
      if (id === null) return false;
      const text =
        "select 1 from stack where organization_id = ? and project = ? and deleted_ms is null limit 1";
      return sql.get(text, id, project) !== null;
    },

    replaceTags(stackId, tags) {
      if (findStackRow(sql, stackId) === null) return "absent";
      writeTags(sql, stackId, tags);
      return "replaced";
    },

    deleteStack({ stackId, force, nowMs, audit }) {
      const stack = findStackRow(sql, stackId);
      if (stack === null) return "absent";
      if (stack.running_update_id !== null) return "update_running";
      const state = sql.get<{ resource_total: number }>(
        "select resource_total from state_version where stack_id = ? and version = ?",
        stackId,
        stack.state_version,
      );
      if (!force && state !== null && state.resource_total > 0) return "has_resources";
      sql.run("update stack set deleted_ms = ? where id = ?", nowMs, stackId);
      // Previews that still run end with it, so that no lease of an invisible stack is ever listed.
      sql.run(
        `update stack_update set status = 'failed', ending = 'cancelled', ended_ms = ?
         where stack_id = ? and status = 'running'`,
        nowMs,
        stackId,
      );
      insertAudit(sql, audit);
      return "deleted";
    },
  };
}

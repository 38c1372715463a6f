import type { Stack, StackName } from "../../contract.ts";
import { type StackRow, type StackViewRow, stackOf } from "../rows.ts";
import type { Sql, Value } from "../sql.ts";
import { insertAudit } from "./audit.ts";
import { findOrganizationId } from "./organizations.ts";
import { insertState, isMarked } from "./states.ts";
import type { StepsOf } from "./sync.ts";

const VIEW = `select s.*, o.name as organization, r.kind as running_kind, r.actor as running_actor,
  r.started_ms as running_started_ms
  from stack s join organization o on o.id = s.organization_id
  left join stack_update r on r.id = s.running_update_id`;

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

/** Replaces the stack's tags, in both places that hold them. */
export function writeTags(sql: Sql, stackId: string, tags: Readonly<Record<string, string>>): void {
  sql.run("update stack set tags = ? where id = ?", JSON.stringify(tags), stackId);
  sql.run("delete from stack_tag where stack_id = ?", stackId);
  for (const [name, value] of Object.entries(tags))
    sql.insert("stack_tag", { stack_id: stackId, name, value });
}

type StackFilter = { project?: string; tagName?: string; tagValue?: string };

/** The names of one organization's stacks after (project, stack), by its index or by the tag's. */
function listInOrganization(
  sql: Sql,
  organizationId: string,
  filter: StackFilter,
  after: { project: string; stack: string },
  limit: number,
): StackViewRow[] {
  const wheres = ["s.organization_id = ?", "s.deleted_ms is null", "(s.project, s.name) > (?, ?)"];
  const values: Value[] = [organizationId, after.project, after.stack];
  if (filter.project !== undefined) {
    wheres.push("s.project = ?");
    values.push(filter.project);
  }
  if (filter.tagName !== undefined) {
    const value = filter.tagValue === undefined ? "" : " and value = ?";
    wheres.push(`s.id in (select stack_id from stack_tag where name = ?${value})`);
    values.push(filter.tagName);
    if (filter.tagValue !== undefined) values.push(filter.tagValue);
  }
  const text = `${VIEW} where ${wheres.join(" and ")} order by s.project, s.name limit ?`;
  return sql.all<StackViewRow>(text, ...values, limit);
}

function splitKey(after: string | null): StackName {
  const [organization = "", project = "", stack = ""] = (after ?? "").split("/");
  return { organization, project, stack };
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

    listStacks(filter, { after, limit }) {
      const start = splitKey(after);
      const stacks: Stack[] = [];
      for (const organization of [...new Set(filter.organizations)].sort()) {
        if (stacks.length >= limit) break;
        if (organization < start.organization) continue;
        const id = findOrganizationId(sql, organization);
        if (id === null) continue;
        const from = organization === start.organization ? start : { project: "", stack: "" };
        stacks.push(...listInOrganization(sql, id, filter, from, limit - stacks.length).map(stackOf));
      }
      return stacks;
    },

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

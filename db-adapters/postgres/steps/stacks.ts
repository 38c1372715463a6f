import type { StateDocument } from "../../contract.ts";
import { type StackRow, type StackViewRow, stackOf } from "../rows.ts";
import type { Sql, Transaction, Value } from "../sql.ts";
import { auditValues, INSERT_AUDIT } from "./audit.ts";
import { COLUMNS, listStacks, RUNNING } from "./stack-list.ts";
import { isMarked } from "./states.ts";
import type { StepsOf } from "./types.ts";

/** A live stack, locked until the end of the transaction; whatever changes a stack comes past here. */
export function lockStack(tx: Transaction, stackId: string): Promise<StackRow | null> {
  const text = "select * from stack where id = $1 and deleted_ms is null for no key update";
  return tx.get<StackRow>(text, stackId);
}

/** Replaces the locked stack's tags, in both places that hold them. */
export function writeTags(tx: Transaction, stackId: string, tags: Readonly<Record<string, string>>): void {
  tx.post(
    `with t as (update stack set tags = $2 where id = $1),
       gone as (delete from stack_tag where stack_id = $1 and name <> all($3::text[]))
     insert into stack_tag (stack_id, name, value)
     select $1, t.name, t.value from unnest($3::text[], $4::text[]) as t (name, value)
     on conflict (stack_id, name) do update set value = excluded.value`,
    ...[stackId, JSON.stringify(tags), Object.keys(tags), Object.values(tags)],
  );
}

/** A document's columns, in the order that `insert into state_version` names them; all null for none. */
export function documentValues(document: StateDocument | null): Value[] {
  if (document === null) return [null, null, null, null, null, null, null];
  const { blobKey, sha256, sizeBytes, resourceCount, resourceTotal, problems, sealed } = document;
  return [blobKey, sha256, sizeBytes, resourceCount, resourceTotal, problems, sealed];
}

export function stackSteps(
  sql: Sql,
): StepsOf<"createStack" | "findStack" | "listStacks" | "projectExists" | "replaceTags" | "deleteStack"> {
  return {
    async createStack({ id, name, tags, state, nowMs }) {
      const row = await sql.changeOnce<{ organization_id: string | null; id: string | null }>(
        `with o as (select id from organization where name = $2 for key share),
           added as (
             insert into stack (id, organization_id, project, name, created_ms, tags, version, state_version,
               good_version, resource_count)
             select $1, o.id, $3, $4, $5, $6, 0, $7, $8, $9 from o
             on conflict (organization_id, project, name) where deleted_ms is null do nothing
             returning id),
           tags as (insert into stack_tag (stack_id, name, value) select added.id, t.name, t.value
             from added, unnest($10::text[], $11::text[]) as t (name, value)),
           state as (
             insert into state_version (stack_id, version, update_id, created_ms, blob_key, sha256, size_bytes,
               resource_count, resource_total, problems, sealed)
             select added.id, 0, null, $5, $12, $13, $14::bigint, $15::integer, $16::integer, $17, $18::bytea
             from added
             where $12::text is not null)
         select (select id from o) as organization_id, (select id from added) as id`,
        ...[id, name.organization, name.project, name.stack, nowMs, JSON.stringify(tags)],
        ...[state === null ? null : 0, state === null || isMarked(state) ? null : 0],
        ...[state?.resourceCount ?? 0, Object.keys(tags), Object.values(tags)],
        ...documentValues(state),
      );
      if (row === null || row.organization_id === null) return "no_organization";
      return row.id === null ? "exists" : "created";
    },

    async findStack(name) {
      const row = await sql.get<StackViewRow>(
        `select ${COLUMNS}, o.name as organization from organization o join stack s on s.organization_id = o.id
         ${RUNNING} where o.name = $1 and s.project = $2 and s.name = $3 and s.deleted_ms is null`,
        ...[name.organization, name.project, name.stack],
      );
      return row === null ? null : stackOf(row);
    },

    listStacks: (filter, page) => listStacks(sql, filter, page),

    async projectExists(organization, project) {
      const row = await sql.get(
        `select 1 from organization o join stack s on s.organization_id = o.id
         where o.name = $1 and s.project = $2 and s.deleted_ms is null limit 1`,
        ...[organization, project],
      );
      return row !== null;
    },

    replaceTags(stackId, tags) {
      return sql.transaction(async (tx) => {
        if ((await lockStack(tx, stackId)) === null) return "absent";
        writeTags(tx, stackId, tags);
        return "replaced";
      });
    },

    deleteStack({ stackId, force, nowMs, audit }) {
      return sql.transaction(async (tx) => {
        const stack = await lockStack(tx, stackId);
        if (stack === null) return "absent";
        if (stack.running_update_id !== null) return "update_running";
        if (!force) {
          const text = "select resource_total from state_version where stack_id = $1 and version = $2";
          const state = await tx.get<{ resource_total: number }>(text, stackId, stack.state_version);
          if (state !== null && state.resource_total > 0) return "has_resources";
        }
        tx.post("update stack set deleted_ms = $2 where id = $1", stackId, nowMs);
        // Previews that still run end with it, so that no lease of an invisible stack is ever listed.
        tx.post(
          `update stack_update set status = 'failed', ending = 'cancelled', ended_ms = $2
           where stack_id = $1 and status = 'running'`,
          ...[stackId, nowMs],
        );
        tx.post(INSERT_AUDIT, ...auditValues(audit));
        return "deleted";
      });
    },
  };
}

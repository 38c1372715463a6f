import type { StateDocument } from "../../contract.ts";
import { isTaken } from "../errors.ts";
import { type StackRow, type StateRow, stateOf } from "../rows.ts";
import type { Sql, Transaction } from "../sql.ts";
import { documentValues, lockStack, writeTags } from "./stacks.ts";
import type { StepsOf } from "./types.ts";

/** Whether verification found something wrong. */
export function isMarked(document: StateDocument): boolean {
  return document.problems !== null;
}

interface Change {
  readonly id: string;
  readonly kind: "import" | "rename";
  readonly actor: string;
  readonly message: string;
  /** Null: there is no state and none was produced. */
  readonly document: StateDocument | null;
  readonly nowMs: number;
}

/** A change that is over as soon as it begins: history's entry, and its document as the locked stack's state. */
function storeChange(tx: Transaction, stack: StackRow, change: Change): number {
  const { id, kind, actor, message, document, nowMs } = change;
  const version = stack.version + 1;
  tx.post(
    `with entry as (
         insert into stack_update (id, stack_id, kind, dry_run, status, version, actor, created_ms, started_ms,
           ended_ms, resource_count)
         values ($1, $2, $3, 0, 'succeeded', $4, $5, $6, $6, $6, $11)),
       input as (insert into update_input (update_id, metadata) values ($1, $7)),
       advanced as (
         update stack set version = $4, active_update_id = $1, running_update_id = null, last_update_ms = $6,
           state_version = case when $8::text is null then state_version else $4 end,
           good_version = case when $8::text is null or $13::text is not null then good_version else $4 end,
           resource_count = coalesce($11, resource_count)
         where id = $2),
       old as (update state_version set superseded = 1
         where stack_id = $2 and version = $15 and $8::text is not null)
     insert into state_version (stack_id, version, update_id, created_ms, blob_key, sha256, size_bytes,
       resource_count, resource_total, problems, sealed)
     select $2, $4, $1, $6, $8, $9, $10::bigint, $11::integer, $12::integer, $13, $14::bytea where $8::text is not null`,
    ...[id, stack.id, kind, version, actor, nowMs, JSON.stringify({ message, environment: {} })],
    ...documentValues(document),
    stack.state_version,
  );
  return version;
}

type Rename = Parameters<StepsOf<"renameStack">["renameStack"]>[0];

async function rename(tx: Transaction, input: Rename): ReturnType<StepsOf<"renameStack">["renameStack"]> {
  const { stackId, project, stack: name, updateId, actor, state, nowMs } = input;
  const stack = await lockStack(tx, stackId);
  if (stack === null) return "absent";
  if (stack.running_update_id !== null) return "update_running";
  const owner = await tx.get<{ id: string }>(
    "select id from stack where organization_id = $1 and project = $2 and name = $3 and deleted_ms is null",
    ...[stack.organization_id, project, name],
  );
  if (owner !== null && owner.id !== stackId) return "name_taken";
  const isUnseen = state === null && stack.state_version !== null;
  if (stack.state_version !== input.expectedStateVersion || isUnseen) return "state_changed";
  const message = `Renamed from ${stack.project}/${stack.name} to ${project}/${name}`;
  tx.post("update stack set project = $2, name = $3 where id = $1", stackId, project, name);
  writeTags(tx, stackId, input.tags);
  storeChange(tx, stack, { id: updateId, kind: "rename", actor, message, document: state, nowMs });
  return "renamed";
}

export function stateSteps(sql: Sql): StepsOf<"renameStack" | "findState" | "findStateOf" | "importState"> {
  return {
    async renameStack(input) {
      try {
        return await sql.transaction((tx) => rename(tx, input));
      } catch (error) {
        // Another stack took the name between the look and the change.
        if (isTaken(error, "stack_name")) return "name_taken";
        throw error;
      }
    },

    async findState(stackId, version) {
      const row = await sql.get<StateRow>(
        `select v.* from stack s join state_version v
           on v.stack_id = s.id and v.version = coalesce($2, s.state_version)
         where s.id = $1 and s.deleted_ms is null`,
        ...[stackId, version === "latest" ? null : version],
      );
      return row === null ? null : stateOf(row);
    },

    async findStateOf({ organization, project, stack }, version) {
      // One row for a stack without that state too: all of its columns are null.
      const row = await sql.get<StateRow | Record<keyof StateRow, null>>(
        `select v.* from organization o join stack s on s.organization_id = o.id
           left join state_version v on v.stack_id = s.id and v.version = coalesce($4, s.state_version)
         where o.name = $1 and s.project = $2 and s.name = $3 and s.deleted_ms is null`,
        ...[organization, project, stack, version === "latest" ? null : version],
      );
      if (row === null) return { kind: "absent" };
      return { kind: "stack", state: row.stack_id === null ? null : stateOf(row) };
    },

    importState({ stackId, updateId, actor, message, state, nowMs }) {
      return sql.transaction(async (tx) => {
        const stack = await lockStack(tx, stackId);
        if (stack === null) return { kind: "absent" };
        if (stack.running_update_id !== null) return { kind: "update_running" };
        const change = { id: updateId, kind: "import", actor, message, document: state, nowMs } as const;
        return { kind: "imported", version: storeChange(tx, stack, change) };
      });
    },
  };
}

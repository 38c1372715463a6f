import type { StateDocument } from "../../contract.ts";
import { type StackRow, type StateRow, stateOf } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { findStackId, findStackRow, writeTags } from "./stacks.ts";
import type { StepsOf } from "./sync.ts";

/** Whether verification found something wrong. */
export function isMarked(document: StateDocument): boolean {
  return document.problems !== null;
}

export function insertState(
  sql: Sql,
  at: { stackId: string; version: number; updateId: string | null; createdMs: number },
  document: StateDocument,
): void {
  sql.insert("state_version", {
    stack_id: at.stackId,
    version: at.version,
    update_id: at.updateId,
    created_ms: at.createdMs,
    blob_key: document.blobKey,
    sha256: document.sha256,
    size_bytes: document.sizeBytes,
    resource_count: document.resourceCount,
    resource_total: document.resourceTotal,
    problems: document.problems,
    sealed: document.sealed,
  });
}

export function findStateRow(sql: Sql, stackId: string, version: number | null): StateRow | null {
  if (version === null) return null;
  return sql.get<StateRow>(
    "select * from state_version where stack_id = ? and version = ?",
    stackId,
    version,
  );
}

/**
 * Makes `document` the stack's state as `version`, and frees the stack: what the end of an update, an import
 * and a rename share. `document` null: there is no state and none was produced.
 */
export function advanceStack(
  sql: Sql,
  stack: Pick<StackRow, "id" | "state_version">,
  next: { version: number; updateId: string; document: StateDocument | null; nowMs: number },
): void {
  const { version, updateId, document, nowMs } = next;
  sql.run(
    `update stack set version = ?, active_update_id = ?, running_update_id = null, last_update_ms = ?,
       state_version = coalesce(?, state_version), good_version = coalesce(?, good_version),
       resource_count = coalesce(?, resource_count)
     where id = ?`,
    version,
    updateId,
    nowMs,
    document === null ? null : version,
    document === null || isMarked(document) ? null : version,
    document?.resourceCount ?? null,
    stack.id,
  );
  if (document === null) return;
  insertState(sql, { stackId: stack.id, version, updateId, createdMs: nowMs }, document);
  if (stack.state_version !== null)
    sql.run(
      "update state_version set superseded = 1 where stack_id = ? and version = ?",
      stack.id,
      stack.state_version,
    );
}

/** History's entry for a change that is over as soon as it begins. */
function insertFinishedUpdate(
  sql: Sql,
  stack: StackRow,
  update: { id: string; kind: "import" | "rename"; actor: string; message: string; nowMs: number },
  resourceCount: number | null,
): void {
  const { id, kind, actor, message, nowMs } = update;
  sql.insert("stack_update", {
    id,
    stack_id: stack.id,
    kind,
    dry_run: 0,
    status: "succeeded",
    version: stack.version + 1,
    actor,
    created_ms: nowMs,
    started_ms: nowMs,
    ended_ms: nowMs,
    resource_count: resourceCount,
  });
  const metadata = JSON.stringify({ message, environment: {} });
  sql.insert("update_input", { update_id: id, config: null, metadata });
}

export function stateSteps(sql: Sql): StepsOf<"renameStack" | "findState" | "findStateOf" | "importState"> {
  return {
    renameStack(input) {
      const { stackId, project, stack: name, updateId, actor, state, nowMs } = input;
      const stack = findStackRow(sql, stackId);
      if (stack === null) return "absent";
      if (stack.running_update_id !== null) return "update_running";
      const owner = findStackId(sql, stack.organization_id, project, name);
      if (owner !== null && owner !== stackId) return "name_taken";
      const unseen = state === null && stack.state_version !== null;
      if (stack.state_version !== input.expectedStateVersion || unseen) return "state_changed";
      const message = `Renamed from ${stack.project}/${stack.name} to ${project}/${name}`;
      insertFinishedUpdate(
        sql,
        stack,
        { id: updateId, kind: "rename", actor, message, nowMs },
        state?.resourceCount ?? null,
      );
      sql.run("update stack set project = ?, name = ? where id = ?", project, name, stackId);
      writeTags(sql, stackId, input.tags);
      advanceStack(sql, stack, { version: stack.version + 1, updateId, document: state, nowMs });
      return "renamed";
    },

    findState(stackId, version) {
      const stack = findStackRow(sql, stackId);
      if (stack === null) return null;
      const row = findStateRow(sql, stackId, version === "latest" ? stack.state_version : version);
      return row === null ? null : stateOf(row);
    },

    findStateOf({ organization, project, stack }, version) {
      const found = sql.get<Pick<StackRow, "id" | "state_version">>(
        `select s.id, s.state_version from organization o join stack s on s.organization_id = o.id
         where o.name = ? and s.project = ? and s.name = ? and s.deleted_ms is null`,
        organization,
        project,
        stack,
      );
      if (found === null) return { kind: "absent" };
      const row = findStateRow(sql, found.id, version === "latest" ? found.state_version : version);
      return { kind: "stack", state: row === null ? null : stateOf(row) };
    },

    importState({ stackId, updateId, actor, message, state, nowMs }) {
      const stack = findStackRow(sql, stackId);
      if (stack === null) return { kind: "absent" };
      if (stack.running_update_id !== null) return { kind: "update_running" };
      insertFinishedUpdate(
        sql,
        stack,
        { id: updateId, kind: "import", actor, message, nowMs },
        state.resourceCount,
      );
      const version = stack.version + 1;
      advanceStack(sql, stack, { version, updateId, document: state, nowMs });
      return { kind: "imported", version };
    },
  };
}

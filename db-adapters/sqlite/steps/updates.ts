import type { UpdateRef } from "../../contract.ts";
import { decideStart } from "../../rules.ts";
import {
  type FullUpdateRow,
  leaseFactsOf,
  type NamedRow,
  nameOf,
  type StackRow,
  type UpdateRow,
  updateOf,
} from "../rows.ts";
import type { Sql } from "../sql.ts";
import { findStackRow, writeTags } from "./stacks.ts";
import type { StepsOf } from "./sync.ts";

/** Every column of an update and what it was created with. */
export const FULL = "u.*, i.config, i.metadata";
export const WITH_INPUT = "stack_update u join update_input i on i.update_id = u.id";

const LIVE = "join stack s on s.id = u.stack_id and s.deleted_ms is null";
const NAMED = `${LIVE} join organization o on o.id = s.organization_id`;
const OF_REF = "where u.id = ? and s.name = ? and s.project = ? and o.name = ?";

/** The update that a URL names: of a live stack, and of the stack in the URL. */
export function findRefRow(sql: Sql, ref: UpdateRef): UpdateRow | null {
  return sql.get<UpdateRow>(
    `select u.* from stack_update u ${NAMED} ${OF_REF}`,
    ref.updateId,
    ref.stack,
    ref.project,
    ref.organization,
  );
}

/** An update of a live stack by its id alone. */
export function findUpdateRow(sql: Sql, updateId: string): UpdateRow | null {
  return sql.get<UpdateRow>(`select u.* from stack_update u ${LIVE} where u.id = ?`, updateId);
}

type Start = Parameters<StepsOf<"startUpdate">["startUpdate"]>[0];
type Started = ReturnType<StepsOf<"startUpdate">["startUpdate"]>;

/** What an update starts from. */
interface Footing {
  readonly version: number;
  readonly baseVersion: number | null;
}

function footingOf(stack: Pick<StackRow, "version" | "state_version"> | null): Footing {
  return { version: stack?.version ?? 0, baseVersion: stack?.state_version ?? null };
}

/** First start of a real update: takes the stack's lock, the next version and the base. */
function takeStack(sql: Sql, update: UpdateRow): Footing {
  const stack = sql.get<Pick<StackRow, "version" | "state_version">>(
    `update stack set version = version + 1, active_update_id = ?, running_update_id = ? where id = ?
     returning version, state_version`,
    update.id,
    update.id,
    update.stack_id,
  );
  return footingOf(stack);
}

/** First start of a dry run: the stack stays as it is. */
function lookAtStack(sql: Sql, update: UpdateRow): Footing {
  const stack = findStackRow(sql, update.stack_id);
  return footingOf(stack);
}

/** A lease for an update that runs from now on, or already did. */
function grantLease(
  sql: Sql,
  update: UpdateRow,
  input: Start,
  run: Footing & { readonly startedMs: number | null; readonly journalVersion: number },
): void {
  sql.run(
    `update stack_update set status = 'running', version = ?, base_version = ?, started_ms = ?,
     lease_token_hash = ?, lease_expires_ms = ?, journal_version = ?, cli_version = coalesce(?, cli_version),
     revision = revision + 1 where id = ?`,
    run.version,
    run.baseVersion,
    run.startedMs,
    input.leaseTokenHash,
    input.leaseExpiresMs,
    run.journalVersion,
    input.cliVersion,
    update.id,
  );
  if (update.dry_run === 0 && input.tags !== null) writeTags(sql, update.stack_id, input.tags);
}

function grantAgain(sql: Sql, update: UpdateRow, input: Start): Started {
  const { base_version: baseVersion, started_ms: startedMs, journal_version: journalVersion } = update;
  const version = update.version ?? 0;
  grantLease(sql, update, input, { version, baseVersion, startedMs, journalVersion });
  return { kind: "started", version, journalVersion };
}

function findHolder(sql: Sql, stackId: string): UpdateRow | null {
  return sql.get<UpdateRow>(
    "select u.* from stack s join stack_update u on u.id = s.running_update_id where s.id = ?",
    stackId,
  );
}

export function updateSteps(
  sql: Sql,
): StepsOf<"createUpdate" | "startUpdate" | "findUpdateScope" | "findUpdate" | "findUpdateById"> {
  return {
    createUpdate({ id, stackId, kind, dryRun, actor, config, metadata, nowMs }) {
      if (findStackRow(sql, stackId) === null) return "absent";
      sql.insert("stack_update", {
        id,
        stack_id: stackId,
        kind,
        dry_run: dryRun ? 1 : 0,
        status: "not started",
        actor,
        created_ms: nowMs,
      });
      sql.insert("update_input", { update_id: id, config, metadata });
      return "created";
    },

    startUpdate(input) {
      const update = findRefRow(sql, input.ref);
      if (update === null) return { kind: "absent" };
      const holder = findHolder(sql, update.stack_id);
      const decision = decideStart(
        leaseFactsOf(update),
        holder === null ? null : leaseFactsOf(holder),
        input.nowMs,
      );
      switch (decision) {
        case "finished":
          return { kind: "finished" };
        case "holder_expired":
          return { kind: "holder_expired", updateId: holder?.id ?? "" };
        case "conflict": {
          const { id: updateId = "", kind = "update", actor: author = "" } = holder ?? {};
          return {
            kind: "conflict",
            holder: { updateId, kind, author, startedMs: holder?.started_ms ?? 0 },
          };
        }
        case "restart":
          return grantAgain(sql, update, input);
        case "start": {
          const footing = update.dry_run === 1 ? lookAtStack(sql, update) : takeStack(sql, update);
          const { nowMs: startedMs, journalVersion } = input;
          grantLease(sql, update, input, { ...footing, startedMs, journalVersion });
          return { kind: "started", version: footing.version, journalVersion };
        }
        default:
          return decision satisfies never;
      }
    },

    findUpdateScope(ref) {
      const row = findRefRow(sql, ref);
      return row === null ? null : { stackId: row.stack_id, dryRun: row.dry_run === 1 };
    },

    findUpdate(ref) {
      const row = sql.get<FullUpdateRow>(
        `select ${FULL} from ${WITH_INPUT} ${NAMED} ${OF_REF}`,
        ref.updateId,
        ref.stack,
        ref.project,
        ref.organization,
      );
      return row === null ? null : updateOf(row);
    },

    findUpdateById(updateId) {
      const row = sql.get<FullUpdateRow & NamedRow>(
        `select ${FULL}, o.name as organization, s.project, s.name as stack
         from ${WITH_INPUT} ${NAMED} where u.id = ?`,
        updateId,
      );
      return row === null ? null : { ...updateOf(row), ...nameOf(row) };
    },
  };
}

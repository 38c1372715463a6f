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
import type { Sql, Transaction, Value } from "../sql.ts";
import { writeTags } from "./stacks.ts";
import type { StepsOf } from "./types.ts";

/** Every column of an update and what it was created with. */
export const FULL = "u.*, i.config, i.metadata";
export const WITH_INPUT = "stack_update u join update_input i on i.update_id = u.id";

const NAMED = `join stack s on s.id = u.stack_id and s.deleted_ms is null
  join organization o on o.id = s.organization_id`;

/** The update that a URL names with $1 to $4: of a live stack, and of the stack in the URL. */
export const OF_REF = "u.id = $1 and s.name = $2 and s.project = $3 and o.name = $4 and s.deleted_ms is null";

export function refValues(ref: UpdateRef): [string, string, string, string] {
  return [ref.updateId, ref.stack, ref.project, ref.organization];
}

type Start = Parameters<StepsOf<"startUpdate">["startUpdate"]>[0];
type Started = Awaited<ReturnType<StepsOf<"startUpdate">["startUpdate"]>>;

/** The stack first, then its update: every step that needs both takes them in this order. */
const LOCKED = `s as (select s.* from stack s join organization o on o.id = s.organization_id
    where s.name = $2 and s.project = $3 and o.name = $4 and s.deleted_ms is null for no key update of s),
  u as (select u.* from stack_update u join s on s.id = u.stack_id where u.id = $1 for no key update of u)`;

/**
 * Real updates take the stack's lock and the next version, dry runs look only. $10 is null or the new tags; their
 * names and values ($11, $12) go to `stack_tag` where they differ.
 */
const BEGIN = `taken as (
    update stack t set version = t.version + 1, active_update_id = free.id, running_update_id = free.id,
      tags = coalesce($10::text, t.tags)
    from free where t.id = free.stack_id and free.dry_run = 0 returning t.id, t.version),
  retagged as (select taken.id from taken join s on s.id = taken.id where s.tags <> $10),
  untagged as (delete from stack_tag t using retagged where t.stack_id = retagged.id and t.name <> all($11::text[])),
  tagged as (
    insert into stack_tag (stack_id, name, value) select retagged.id, n.name, n.value
    from retagged, unnest($11::text[], $12::text[]) as n (name, value)
    on conflict (stack_id, name) do update set value = excluded.value where stack_tag.value <> excluded.value),
  begun as (
    update stack_update t set status = 'running', started_ms = $5,
      version = coalesce((select version from taken), s.version), base_version = s.state_version,
      lease_token_hash = $6, lease_expires_ms = $7, journal_version = $8,
      cli_version = coalesce($9, t.cli_version), revision = t.revision + 1
    from free join s on s.id = free.stack_id where t.id = free.id returning t.version)`;

/** Which updates may begin without a closer look. */
const FREE = `free as (select u.id, u.stack_id, u.dry_run from u join s on s.id = u.stack_id
    where u.status = 'not started' and (u.dry_run = 1 or s.running_update_id is null))`;

function startValues(input: Start): Value[] {
  const { ref, nowMs, leaseTokenHash, leaseExpiresMs, journalVersion, cliVersion, tags } = input;
  return [
    ...refValues(ref),
    ...[nowMs, leaseTokenHash, leaseExpiresMs, journalVersion, cliVersion],
    ...[tags === null ? null : JSON.stringify(tags), Object.keys(tags ?? {}), Object.values(tags ?? {})],
  ];
}

/** The plain case in one statement: not started, nobody holds the stack. Null says nothing was done. */
async function startAtOnce(sql: Sql, input: Start): Promise<Started | null> {
  const row = await sql.change<{ version: number }>(
    `with ${LOCKED}, ${FREE}, ${BEGIN} select version from begun`,
    ...startValues(input),
  );
  if (row === null) return null;
  return { kind: "started", version: row.version, journalVersion: input.journalVersion };
}

function grantAgain(tx: Transaction, update: UpdateRow, input: Start): Started {
  tx.post(
    `update stack_update set lease_token_hash = $2, lease_expires_ms = $3,
       cli_version = coalesce($4, cli_version), revision = revision + 1 where id = $1`,
    ...[update.id, input.leaseTokenHash, input.leaseExpiresMs, input.cliVersion],
  );
  if (update.dry_run === 0 && input.tags !== null) writeTags(tx, update.stack_id, input.tags);
  return { kind: "started", version: update.version ?? 0, journalVersion: update.journal_version };
}

async function begin(tx: Transaction, input: Start): Promise<Started> {
  const row = await tx.get<{ version: number }>(
    `with ${LOCKED}, free as (select id, stack_id, dry_run from u), ${BEGIN} select version from begun`,
    ...startValues(input),
  );
  return { kind: "started", version: row?.version ?? 0, journalVersion: input.journalVersion };
}

/** Every other case, with the stack locked before the holder is looked at. */
async function startWithCare(tx: Transaction, input: Start): Promise<Started> {
  const ref = refValues(input.ref);
  const lock = `with ${LOCKED} select u.* from u`;
  const update = await tx.get<UpdateRow>(lock, ...ref);
  if (update === null) return { kind: "absent" };
  const holder = await tx.get<UpdateRow>(
    "select h.* from stack s join stack_update h on h.id = s.running_update_id where s.id = $1",
    update.stack_id,
  );
  const holderFacts = holder === null ? null : leaseFactsOf(holder);
  const decision = decideStart(leaseFactsOf(update), holderFacts, input.nowMs);
  switch (decision) {
    case "finished":
      return { kind: "finished" };
    case "holder_expired":
      return { kind: "holder_expired", updateId: holder?.id ?? "" };
    case "conflict": {
      const { id: updateId = "", kind = "update", actor: author = "" } = holder ?? {};
      return { kind: "conflict", holder: { updateId, kind, author, startedMs: holder?.started_ms ?? 0 } };
    }
    case "restart":
      return grantAgain(tx, update, input);
    case "start":
      return begin(tx, input);
    default:
      return decision satisfies never;
  }
}

export function updateSteps(
  sql: Sql,
): StepsOf<"createUpdate" | "startUpdate" | "findUpdateScope" | "findUpdate" | "findUpdateById"> {
  return {
    async createUpdate({ id, stackId, kind, dryRun, actor, config, metadata, nowMs }) {
      // The share lock keeps a delete from ending the stack under it.
      const row = await sql.changeOnce<Pick<StackRow, "id">>(
        `with s as (select id from stack where id = $2 and deleted_ms is null for share),
           added as (
             insert into stack_update (id, stack_id, kind, dry_run, status, actor, created_ms)
             select $1, s.id, $3, $4, 'not started', $5, $6 from s returning id),
           input as (insert into update_input (update_id, config, metadata) select id, $7::bytea, $8 from added)
         select id from added`,
        ...[id, stackId, kind, dryRun ? 1 : 0, actor, nowMs, config, metadata],
      );
      return row === null ? "absent" : "created";
    },

    async startUpdate(input) {
      return (await startAtOnce(sql, input)) ?? (await sql.transaction((tx) => startWithCare(tx, input)));
    },

    async findUpdateScope(ref) {
      const text = `select u.stack_id, u.dry_run from stack_update u ${NAMED} where ${OF_REF}`;
      const row = await sql.get<Pick<UpdateRow, "stack_id" | "dry_run">>(text, ...refValues(ref));
      return row === null ? null : { stackId: row.stack_id, dryRun: row.dry_run === 1 };
    },

    async findUpdate(ref) {
      const text = `select ${FULL} from ${WITH_INPUT} ${NAMED} where ${OF_REF}`;
      const row = await sql.get<FullUpdateRow>(text, ...refValues(ref));
      return row === null ? null : updateOf(row);
    },

    async findUpdateById(updateId) {
      const row = await sql.get<FullUpdateRow & NamedRow>(
        `select ${FULL}, o.name as organization, s.project, s.name as stack
         from ${WITH_INPUT} ${NAMED} where u.id = $1`,
        updateId,
      );
      return row === null ? null : { ...updateOf(row), ...nameOf(row) };
    },
  };
}

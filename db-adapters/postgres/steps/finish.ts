import { DatabaseUnavailableError, type FoldInput } from "../../contract.ts";
import { decideFinish } from "../../rules.ts";
import { leaseFactsOf, type StateRow, stateOf, type UpdateRow } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { checkpointOf } from "./checkpoints.ts";
import { refusalOf, refuse } from "./leases.ts";
import { documentValues } from "./stacks.ts";
import type { StepsOf } from "./types.ts";

type Finish = Parameters<StepsOf<"finishUpdate">["finishUpdate"]>[0];
type FinishRow = UpdateRow & { readonly is_done: boolean };

/** Tries of the one statement whose locks were waited for; each sees all that was committed before it began. */
const TRIES_MAX = 20;

/**
 * The whole end in one statement. It sees what was committed when it began, and locks later: `revision` as seen
 * and as locked must be the same, or a batch might have come in between and nothing is done.
 *
 * $1 update, $2 token hash or null, $3 status, $4 ending, $5 revision, $6 now, $7 keep the journal,
 * $8 whether there is a document, $9 to $15 the document.
 */
const FINISH = `with seen as (select stack_id, revision from stack_update where id = $1),
  s as (select s.id, s.state_version from stack s
    where s.id = (select stack_id from seen) and s.deleted_ms is null for no key update),
  u as (select u.* from stack_update u join s on s.id = u.stack_id where u.id = $1 for no key update of u),
  ending as (select u.id, u.stack_id, u.dry_run, u.version, u.base_version, s.state_version from u join s on true
    where u.status = 'running' and u.revision = $5 and u.revision = (select revision from seen)
      and ($2::text is null or (u.lease_token_hash = $2 and u.cancel_ms is null))),
  real as (select * from ending where dry_run = 0),
  document as (
    select $9::text as blob_key, $10::text as sha256, $11::bigint as size_bytes, $12::integer as resource_count,
      $13::integer as resource_total, $14::text as problems, $15::bytea as sealed from real where $8
    union all
    select v.blob_key, v.sha256, v.size_bytes, v.resource_count, v.resource_total, v.problems, v.sealed
    from real join state_version v on v.stack_id = real.stack_id and v.version = real.base_version where not $8),
  closed as (
    update stack_update t set status = $3, ending = $4, ended_ms = $6,
      resource_count = (select resource_count from document),
      base_version = case when $7 then t.base_version end,
      journal_after_id = case when $7 then t.journal_after_id else 0 end,
      journal_count = case when $7 then t.journal_count else 0 end,
      journal_bytes = case when $7 then t.journal_bytes else 0 end,
      journal_stored_bytes = case when $7 then t.journal_stored_bytes else 0 end,
      checkpoint_sequence = case when $7 then t.checkpoint_sequence end,
      checkpoint_blob_key = case when $7 then t.checkpoint_blob_key end,
      checkpoint_sha256 = case when $7 then t.checkpoint_sha256 end,
      checkpoint_size_bytes = case when $7 then t.checkpoint_size_bytes end,
      checkpoint_resource_count = case when $7 then t.checkpoint_resource_count end,
      checkpoint_resource_total = case when $7 then t.checkpoint_resource_total end,
      checkpoint_problems = case when $7 then t.checkpoint_problems end
    from ending where t.id = ending.id),
  emptied as (delete from journal_batch where not $7 and update_id = (select id from ending)),
  advanced as (
    update stack t set version = real.version, active_update_id = real.id, running_update_id = null,
      last_update_ms = $6,
      state_version = case when d.blob_key is null then t.state_version else real.version end,
      good_version = case when d.blob_key is null or d.problems is not null then t.good_version
        else real.version end,
      resource_count = coalesce(d.resource_count, t.resource_count)
    from real left join document d on true where t.id = real.stack_id),
  old as (
    update state_version v set superseded = 1 from real, document
    where v.stack_id = real.stack_id and v.version = real.state_version),
  stored as (
    insert into state_version (stack_id, version, update_id, created_ms, blob_key, sha256, size_bytes,
      resource_count, resource_total, problems, sealed)
    select real.stack_id, real.version, real.id, $6, d.* from real join document d on true)
  select u.*, exists (select from ending) as is_done from u`;

function finish(sql: Sql, input: Finish): Promise<FinishRow | null> {
  const document = input.state.kind === "document" ? input.state.document : null;
  return sql.change<FinishRow>(
    FINISH,
    ...[input.updateId, input.tokenHash, input.status, input.ending, input.revision, input.nowMs],
    ...[input.keepJournal, document !== null],
    ...documentValues(document),
  );
}

type FoldRow = UpdateRow & { readonly [Key in keyof StateRow as `base_${Key}`]: StateRow[Key] | null };

function baseOf(row: FoldRow): FoldInput["base"] {
  if (row.base_blob_key === null) return null;
  return stateOf({
    stack_id: row.stack_id,
    version: row.base_version ?? 0,
    update_id: row.base_update_id,
    created_ms: row.base_created_ms ?? 0,
    blob_key: row.base_blob_key,
    sha256: row.base_sha256 ?? "",
    size_bytes: row.base_size_bytes ?? 0,
    resource_count: row.base_resource_count ?? 0,
    resource_total: row.base_resource_total ?? 0,
    problems: row.base_problems,
    sealed: row.base_sealed,
    superseded: row.base_superseded ?? 0,
  });
}

function foldInputOf(row: FoldRow): FoldInput {
  return {
    updateId: row.id,
    stackId: row.stack_id,
    dryRun: row.dry_run === 1,
    status: row.status,
    leaseExpiresMs: row.lease_expires_ms,
    cliVersion: row.cli_version,
    cancelRequested: row.cancel_ms !== null,
    base: baseOf(row),
    checkpoint: checkpointOf(row),
    revision: row.revision,
    journalAfterId: row.journal_after_id,
    journalBatchCount: row.journal_count,
    journalSizeBytes: row.journal_bytes,
  };
}

const FOLD = `select u.*, v.update_id as base_update_id, v.created_ms as base_created_ms,
    v.blob_key as base_blob_key, v.sha256 as base_sha256, v.size_bytes as base_size_bytes,
    v.resource_count as base_resource_count, v.resource_total as base_resource_total,
    v.problems as base_problems, v.superseded as base_superseded,
    v.sealed as base_sealed
  from stack_update u join stack s on s.id = u.stack_id and s.deleted_ms is null
  left join state_version v on v.stack_id = u.stack_id and v.version = u.base_version
  where u.id = $1`;

export function finishSteps(sql: Sql): StepsOf<"readFold" | "finishUpdate"> {
  return {
    async readFold(updateId, tokenHash) {
      const row = await sql.get<FoldRow>(FOLD, updateId);
      if (row === null) return { kind: "absent" };
      const refusal = tokenHash === null ? null : refusalOf(row, tokenHash);
      return refusal ?? { kind: "fold", input: foldInputOf(row) };
    },

    async finishUpdate(input) {
      for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
        const row = await finish(sql, input);
        if (row === null) return refuse("unknown_update");
        if (row.is_done) return { kind: "finished" };
        const { ending, revision } = row;
        const facts = { ...leaseFactsOf(row), ending, revision, hasJournal: row.journal_count > 0 };
        const decision = decideFinish(facts, input);
        switch (decision) {
          case "finish":
            break; // the locks were waited for: what is allowed now wasn't when the statement began
          case "already_finished":
          case "journal_kept":
          case "moved":
            return { kind: decision };
          case "wrong_token":
          case "not_running":
            return refuse(decision);
          default:
            return decision satisfies never;
        }
      }
      throw new DatabaseUnavailableError(`Postgres: an update's end met others ${TRIES_MAX} times`);
    },
  };
}

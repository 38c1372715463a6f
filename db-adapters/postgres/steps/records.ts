import { type AuditEvent, GC_RUNS_KEPT, type GcRun } from "../../contract.ts";
import type { AuditRow, GcRunRow } from "../rows.ts";
import type { Sql } from "../sql.ts";
import type { StepsOf } from "./types.ts";

/** Above every id: pages that descend begin here. */
const PAST_ALL_IDS = "\u{10ffff}";
/** Old runs that go with a new one: the first such step after an upgrade may find very many. */
const PRUNED_AT_ONCE = 100;

function gcRunOf(row: GcRunRow): GcRun {
  return {
    id: row.id,
    startedMs: row.started_ms,
    endedMs: row.ended_ms,
    trigger: row.trigger,
    dryRun: row.dry_run === 1,
    counts: row.counts,
    error: row.error,
  };
}

function auditEventOf(row: AuditRow): AuditEvent {
  return {
    id: row.id,
    atMs: row.at_ms,
    actor: row.actor,
    action: row.action,
    organization: row.organization,
    target: row.target,
    sourceIp: row.source_ip,
  };
}

const STATISTICS = `select name, sum(value)::bigint as value from counter group by name
  union all select 'active_lease', count(*) from stack_update where status = 'running'`;

export function recordSteps(
  sql: Sql,
): StepsOf<
  "recordGcRun" | "listGcRuns" | "appendAuditEvents" | "listAuditEvents" | "statistics" | "claimSetting"
> {
  return {
    async recordGcRun(run) {
      await sql.change(
        `with gone as (delete from gc_run where id in (
             select id from gc_run order by started_ms desc, id desc offset $8 limit ${PRUNED_AT_ONCE}))
         insert into gc_run (id, started_ms, ended_ms, trigger, dry_run, counts, error)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (id) do nothing`,
        ...[run.id, run.startedMs, run.endedMs, run.trigger, run.dryRun ? 1 : 0, run.counts, run.error],
        GC_RUNS_KEPT - 1, // and the new one
      );
    },

    async listGcRuns(limit) {
      const text = "select * from gc_run order by started_ms desc, id desc limit $1";
      return (await sql.all<GcRunRow>(text, limit)).map(gcRunOf);
    },

    async appendAuditEvents(events) {
      if (events.length === 0) return;
      const column = <Key extends keyof AuditEvent>(key: Key) => events.map((event) => event[key]);
      // An id that is there already is the same event, sent again.
      await sql.change(
        `insert into audit_event (id, at_ms, actor, action, organization, target, source_ip)
         select * from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
         on conflict (id) do nothing`,
        ...[column("id"), column("atMs"), column("actor"), column("action"), column("organization")],
        ...[column("target"), column("sourceIp")],
      );
    },

    async listAuditEvents({ organization }, { after, limit }) {
      const before = after ?? PAST_ALL_IDS;
      const page = "id < $1 order by id desc limit $2";
      const rows =
        organization === undefined
          ? await sql.all<AuditRow>(`select * from audit_event where ${page}`, before, limit)
          : await sql.all<AuditRow>(
              `select * from audit_event where organization = $3 and ${page}`,
              ...[before, limit, organization],
            );
      return rows.map(auditEventOf);
    },

    async statistics() {
      const rows = await sql.all<{ name: string; value: number }>(STATISTICS);
      const totals = new Map(rows.map((row) => [row.name, row.value]));
      return {
        organizations: totals.get("organization") ?? 0,
        users: totals.get("user") ?? 0,
        stacks: totals.get("stack") ?? 0,
        activeLeases: totals.get("active_lease") ?? 0,
        stateBytes: totals.get("state_bytes") ?? 0,
        stateVersions: totals.get("state_version") ?? 0,
        artifacts: totals.get("artifact") ?? 0,
        artifactBytes: totals.get("artifact_bytes") ?? 0,
      };
    },

    async claimSetting(key, value) {
      const added = await sql.change<{ value: string }>(
        "insert into setting (key, value) values ($1, $2) on conflict (key) do nothing returning value",
        ...[key, value],
      );
      if (added !== null) return added.value;
      const text = "select value from setting where key = $1";
      return (await sql.get<{ value: string }>(text, key))?.value ?? value;
    },
  };
}

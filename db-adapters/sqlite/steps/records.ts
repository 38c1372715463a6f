import { type AuditEvent, GC_RUNS_KEPT, type GcRun } from "../../contract.ts";
import type { AuditRow, GcRunRow } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { insertAudit } from "./audit.ts";
import type { StepsOf } from "./sync.ts";

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

export function recordSteps(
  sql: Sql,
): StepsOf<
  "recordGcRun" | "listGcRuns" | "appendAuditEvents" | "listAuditEvents" | "statistics" | "claimSetting"
> {
  return {
    recordGcRun(run) {
      sql.insert("gc_run", {
        id: run.id,
        started_ms: run.startedMs,
        ended_ms: run.endedMs,
        trigger: run.trigger,
        dry_run: run.dryRun ? 1 : 0,
        counts: run.counts,
        error: run.error,
      });
      sql.run(
        `delete from gc_run where id in (
           select id from gc_run order by started_ms desc, id desc limit ? offset ?)`,
        PRUNED_AT_ONCE,
        GC_RUNS_KEPT,
      );
    },

    listGcRuns(limit) {
      const text = "select * from gc_run order by started_ms desc, id desc limit ?";
      return sql.all<GcRunRow>(text, limit).map(gcRunOf);
    },

    appendAuditEvents(events) {
      for (const event of events) insertAudit(sql, event);
    },

    listAuditEvents({ organization }, { after, limit }) {
      const before = after ?? PAST_ALL_IDS;
      const page = "id < ? order by id desc limit ?";
      const rows =
        organization === undefined
          ? sql.all<AuditRow>(`select * from audit_event where ${page}`, before, limit)
          : sql.all<AuditRow>(
              `select * from audit_event where organization = ? and ${page}`,
              organization,
              before,
              limit,
            );
      return rows.map(auditEventOf);
    },

    statistics() {
      const rows = sql.all<{ name: string; value: number }>("select name, value from counter");
      const counters = new Map(rows.map((row) => [row.name, row.value]));
      const active = sql.get<{ value: number }>(
        "select count(*) as value from stack_update where status = 'running'",
      );
      return {
        organizations: counters.get("organization") ?? 0,
        users: counters.get("user") ?? 0,
        stacks: counters.get("stack") ?? 0,
        activeLeases: active?.value ?? 0,
        stateBytes: counters.get("state_bytes") ?? 0,
        stateVersions: counters.get("state_version") ?? 0,
        artifacts: counters.get("artifact") ?? 0,
        artifactBytes: counters.get("artifact_bytes") ?? 0,
      };
    },

    claimSetting(key, value) {
      sql.run("insert into setting (key, value) values (?, ?) on conflict (key) do nothing", key, value);
      return sql.get<{ value: string }>("select value from setting where key = ?", key)?.value ?? value;
    },
  };
}

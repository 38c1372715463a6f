import type { AuditEvent } from "../../contract.ts";
import type { Sql } from "../sql.ts";

/** Within the step whose change it records. */
export function insertAudit(sql: Sql, event: AuditEvent | undefined): void {
  if (event === undefined) return;
  sql.insert("audit_event", {
    id: event.id,
    at_ms: event.atMs,
    actor: event.actor,
    action: event.action,
    organization: event.organization,
    target: event.target,
    source_ip: event.sourceIp,
  });
}

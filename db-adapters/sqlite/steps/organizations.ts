import type { Organization } from "../../contract.ts";
import type { OrganizationRow } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { insertAudit } from "./audit.ts";
import type { StepsOf } from "./sync.ts";

function organizationOf(row: OrganizationRow): Organization {
  return { id: row.id, name: row.name, createdMs: row.created_ms };
}

/** The id behind an organization's name; null for none. */
export function findOrganizationId(sql: Sql, name: string): string | null {
  return sql.get<{ id: string }>("select id from organization where name = ?", name)?.id ?? null;
}

export function organizationSteps(
  sql: Sql,
): StepsOf<"createOrganization" | "findOrganization" | "listOrganizations" | "deleteOrganization"> {
  return {
    createOrganization({ id, name, nowMs, audit }) {
      if (findOrganizationId(sql, name) !== null) return "name_taken";
      sql.insert("organization", { id, name, created_ms: nowMs });
      insertAudit(sql, audit);
      return "created";
    },

    findOrganization(name) {
      const row = sql.get<OrganizationRow>("select * from organization where name = ?", name);
      return row === null ? null : organizationOf(row);
    },

    listOrganizations({ after, limit }) {
      return sql
        .all<OrganizationRow>(
          "select * from organization where name > ? order by name limit ?",
          after ?? "",
          limit,
        )
        .map(organizationOf);
    },

    deleteOrganization({ name, audit }) {
      const id = findOrganizationId(sql, name);
      if (id === null) return "absent";
      const stack = sql.get(
        "select 1 from stack where organization_id = ? and deleted_ms is null limit 1",
        id,
      );
      if (stack !== null) return "has_stacks";
      sql.run("delete from organization where id = ?", id); // memberships and machine tokens cascade
      insertAudit(sql, audit);
      return "deleted";
    },
  };
}

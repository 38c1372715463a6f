import type { Organization } from "../../contract.ts";
import type { OrganizationRow } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { auditPart, auditValues, INSERT_AUDIT } from "./audit.ts";
import type { StepsOf } from "./types.ts";

function organizationOf(row: OrganizationRow): Organization {
  return { id: row.id, name: row.name, createdMs: row.created_ms };
}

export function organizationSteps(
  sql: Sql,
): StepsOf<"createOrganization" | "findOrganization" | "listOrganizations" | "deleteOrganization"> {
  return {
    async createOrganization({ id, name, nowMs, audit }) {
      const row = await sql.changeOnce(
        `with done as (insert into organization (id, name, created_ms) values ($1, $2, $3)
           on conflict (name) do nothing returning id), ${auditPart("done", 4)}
         select id from done`,
        ...[id, name, nowMs],
        ...auditValues(audit),
      );
      return row === null ? "name_taken" : "created";
    },

    async findOrganization(name) {
      const row = await sql.get<OrganizationRow>("select * from organization where name = $1", name);
      return row === null ? null : organizationOf(row);
    },

    async listOrganizations({ after, limit }) {
      const text = "select * from organization where name > $1 order by name limit $2";
      return (await sql.all<OrganizationRow>(text, after ?? "", limit)).map(organizationOf);
    },

    deleteOrganization({ name, audit }) {
      return sql.transaction(async (tx) => {
        // Against `createStack`, which holds the organization until its stack is there to be seen.
        const lock = "select id from organization where name = $1 for update";
        const row = await tx.get<{ id: string }>(lock, name);
        if (row === null) return "absent";
        const live = "select 1 from stack where organization_id = $1 and deleted_ms is null limit 1";
        if ((await tx.get(live, row.id)) !== null) return "has_stacks";
        tx.post("delete from organization where id = $1", row.id); // memberships and machine tokens cascade
        tx.post(INSERT_AUDIT, ...auditValues(audit));
        return "deleted";
      });
    },
  };
}

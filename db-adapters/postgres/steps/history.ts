import { type FullUpdateRow, type NamedRow, nameOf, updateOf } from "../rows.ts";
import type { Sql } from "../sql.ts";
import type { StepsOf } from "./types.ts";
import { FULL, WITH_INPUT } from "./updates.ts";

const LIVE = "exists (select from stack s where s.id = u.stack_id and s.deleted_ms is null)";

type Page = { readonly page: number; readonly pageSize: number };

async function listPage(sql: Sql, text: string, stackId: string, { page, pageSize }: Page) {
  const offset = (page - 1) * pageSize;
  return (await sql.all<FullUpdateRow>(`${text} limit $2 offset $3`, stackId, pageSize, offset)).map(
    updateOf,
  );
}

export function historySteps(
  sql: Sql,
): StepsOf<"listHistory" | "listPreviews" | "findUpdateByVersion" | "listActiveLeases"> {
  return {
    listHistory(stackId, page) {
      const text = `select ${FULL} from ${WITH_INPUT} where u.stack_id = $1 and u.dry_run = 0
        and u.version is not null and ${LIVE} order by u.version desc`;
      return listPage(sql, text, stackId, page);
    },

    listPreviews(stackId, page) {
      const text = `select ${FULL} from ${WITH_INPUT} where u.stack_id = $1 and u.dry_run = 1
        and u.started_ms is not null and ${LIVE} order by u.started_ms desc, u.id desc`;
      return listPage(sql, text, stackId, page);
    },

    async findUpdateByVersion(stackId, version) {
      const row = await sql.get<FullUpdateRow>(
        `select ${FULL} from ${WITH_INPUT} where u.stack_id = $1 and u.dry_run = 0 and u.version is not null
         and u.version = $2 and ${LIVE}`,
        ...[stackId, version],
      );
      return row === null ? null : updateOf(row);
    },

    async listActiveLeases({ after, limit }) {
      const rows = await sql.all<FullUpdateRow & NamedRow>(
        `select ${FULL}, o.name as organization, s.project, s.name as stack
         from ${WITH_INPUT} join stack s on s.id = u.stack_id
         join organization o on o.id = s.organization_id
         where u.status = 'running' and u.id > $1 and s.deleted_ms is null order by u.id limit $2`,
        ...[after ?? "", limit],
      );
      return rows.map((row) => ({ ...nameOf(row), update: updateOf(row) }));
    },
  };
}

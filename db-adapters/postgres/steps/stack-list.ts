/**
 * A page of stacks. With a tag there are two ways to it, and the database has no statistics that tell which is
 * short: what few stacks have is looked up by the tag's index; what many have is met soon on a walk by name. Each
 * statement leaves the planner no other way.
 */
import type { PageRequest, Stack } from "../../contract.ts";
import { type StackViewRow, stackOf } from "../rows.ts";
import type { Sql, Value } from "../sql.ts";
import type { StepsOf } from "./types.ts";

type Filter = Parameters<StepsOf<"listStacks">["listStacks"]>[0];

export const COLUMNS = `s.*, r.kind as running_kind, r.actor as running_actor, r.started_ms as running_started_ms`;
export const RUNNING = "left join stack_update r on r.id = s.running_update_id";

/** Stacks with a tag up to which they are looked up by it. */
const FEW = 1_000;

/** Of each organization by its index, in order of their names: the walk ends with the page. */
async function walk(sql: Sql, filter: Filter, after: readonly string[], limit: number): Promise<Stack[]> {
  const [organization = "", project = "", stack = ""] = after;
  const values: Value[] = [filter.organizations, organization, project, stack, limit];
  const wheres: string[] = [];
  const mark = (value: string) => `$${values.push(value)}`;
  if (filter.project !== undefined) wheres.push(`and s.project = ${mark(filter.project)}`);
  if (filter.tagName !== undefined) {
    // A scalar, not an `exists`: that one the planner may turn into a join with the whole tag.
    const value = `(select t.value from stack_tag t where t.stack_id = s.id and t.name = ${mark(filter.tagName)})`;
    const wanted = filter.tagValue === undefined ? "is not null" : `= ${mark(filter.tagValue)}`;
    wheres.push(`and ${value} ${wanted}`);
  }
  const rows = await sql.all<StackViewRow>(
    `select s.*, o.name as organization from
       (select id, name from organization where name = any($1::text[]) and name >= $2 order by name) o
     cross join lateral (select ${COLUMNS} from stack s ${RUNNING}
       where s.organization_id = o.id and s.deleted_ms is null and (s.project, s.name) >
         (case when o.name = $2 then $3 else '' end, case when o.name = $2 then $4 else '' end)
         ${wheres.join(" ")}
       order by s.project, s.name limit $5) s
     order by o.name, s.project, s.name limit $5`,
    ...values,
  );
  return rows.map(stackOf);
}

/** Null when there are more than a few. */
async function findTagged(sql: Sql, { tagName, tagValue }: Filter): Promise<string[] | null> {
  if (tagName === undefined) return null;
  const value = tagValue === undefined ? "" : "and value = $3";
  const rows = await sql.all<{ stack_id: string }>(
    `select stack_id from stack_tag where name = $1 ${value} limit $2`,
    ...[tagName, FEW + 1, ...(tagValue === undefined ? [] : [tagValue])],
  );
  return rows.length > FEW ? null : rows.map((row) => row.stack_id);
}

async function among(
  sql: Sql,
  stackIds: readonly string[],
  filter: Filter,
  after: readonly string[],
  limit: number,
): Promise<Stack[]> {
  const [organization = "", project = "", stack = ""] = after;
  const rows = await sql.all<StackViewRow>(
    `with found as materialized (select * from stack where id = any($1::text[]) and deleted_ms is null)
     select ${COLUMNS}, o.name as organization
     from found s join organization o on o.id = s.organization_id and o.name = any($2::text[]) ${RUNNING}
     where (o.name, s.project, s.name) > ($3, $4, $5) and ($6::text is null or s.project = $6)
     order by o.name, s.project, s.name limit $7`,
    ...[stackIds, filter.organizations, organization, project, stack, filter.project ?? null, limit],
  );
  return rows.map(stackOf);
}

export async function listStacks(sql: Sql, filter: Filter, { after, limit }: PageRequest): Promise<Stack[]> {
  const key = (after ?? "").split("/");
  const tagged = await findTagged(sql, filter);
  if (tagged === null) return walk(sql, filter, key, limit);
  return tagged.length === 0 ? [] : among(sql, tagged, filter, key, limit);
}

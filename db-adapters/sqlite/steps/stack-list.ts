/**
 * A page of stacks. With a tag there are two ways to it: what few stacks have is looked up by the tag's index, what
 * many have is met soon on a walk by name. `cross join` and the unary plus leave SQLite no other way.
 */
import type { PageRequest, Stack, StackName } from "../../contract.ts";
import { type StackViewRow, stackOf } from "../rows.ts";
import type { Sql, Value } from "../sql.ts";
import { findOrganizationId } from "./organizations.ts";
import type { StepsOf } from "./sync.ts";

type Filter = Parameters<StepsOf<"listStacks">["listStacks"]>[0];
interface Part {
  readonly organizationId: string;
  readonly project: string;
  readonly stack: string;
  readonly limit: number;
}

const COLUMNS = `s.*, o.name as organization, r.kind as running_kind, r.actor as running_actor,
  r.started_ms as running_started_ms`;
const JOINED = `join organization o on o.id = s.organization_id
  left join stack_update r on r.id = s.running_update_id`;
export const VIEW = `select ${COLUMNS} from stack s ${JOINED}`;

/** Stacks with a tag up to which they are looked up by it. */
const FEW = 1_000;

/** SQL and values for the stacks with the filter's tag. */
function taggedOf({ tagName = "", tagValue }: Filter): { text: string; values: Value[] } {
  const text = `select stack_id from stack_tag where name = ?${tagValue === undefined ? "" : " and value = ?"}`;
  return { text, values: tagValue === undefined ? [tagName] : [tagName, tagValue] };
}

function isOfFew(sql: Sql, filter: Filter): boolean {
  if (filter.tagName === undefined) return false;
  const { text, values } = taggedOf(filter);
  const row = sql.get<{ total: number }>(
    `select count(*) as total from (${text} limit ${FEW + 1})`,
    ...values,
  );
  return (row?.total ?? 0) <= FEW;
}

/** One organization's stacks after (project, stack), by its index. */
function walk(sql: Sql, filter: Filter, { organizationId, project, stack, limit }: Part): StackViewRow[] {
  const wheres = ["s.organization_id = ?", "s.deleted_ms is null", "(s.project, s.name) > (?, ?)"];
  const values: Value[] = [organizationId, project, stack];
  if (filter.project !== undefined) {
    wheres.push("s.project = ?");
    values.push(filter.project);
  }
  if (filter.tagName !== undefined) {
    const value = filter.tagValue === undefined ? "" : " and t.value = ?";
    wheres.push(`exists (select 1 from stack_tag t where t.stack_id = s.id and t.name = ?${value})`);
    values.push(filter.tagName);
    if (filter.tagValue !== undefined) values.push(filter.tagValue);
  }
  const text = `${VIEW} where ${wheres.join(" and ")} order by s.project, s.name limit ?`;
  return sql.all<StackViewRow>(text, ...values, limit);
}

/** The same from the tag's side. */
function among(sql: Sql, filter: Filter, { organizationId, project, stack, limit }: Part): StackViewRow[] {
  const tagged = taggedOf(filter);
  const values: Value[] = [...tagged.values, organizationId, project, stack];
  if (filter.project !== undefined) values.push(filter.project);
  return sql.all<StackViewRow>(
    `select ${COLUMNS} from (${tagged.text} limit ${FEW}) few cross join stack s on s.id = few.stack_id ${JOINED}
     where +s.organization_id = ? and s.deleted_ms is null and (s.project, s.name) > (?, ?)
       ${filter.project === undefined ? "" : "and s.project = ?"}
     order by s.project, s.name limit ?`,
    ...values,
    limit,
  );
}

function splitKey(after: string | null): StackName {
  const [organization = "", project = "", stack = ""] = (after ?? "").split("/");
  return { organization, project, stack };
}

export function listStacks(sql: Sql, filter: Filter, { after, limit }: PageRequest): Stack[] {
  const start = splitKey(after);
  const read = isOfFew(sql, filter) ? among : walk;
  const stacks: Stack[] = [];
  for (const organization of [...new Set(filter.organizations)].sort()) {
    if (stacks.length >= limit) break;
    if (organization < start.organization) continue;
    const organizationId = findOrganizationId(sql, organization);
    if (organizationId === null) continue;
    const { project, stack } = organization === start.organization ? start : { project: "", stack: "" };
    const part = { organizationId, project, stack, limit: limit - stacks.length };
    stacks.push(...read(sql, filter, part).map(stackOf));
  }
  return stacks;
}

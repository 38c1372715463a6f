import type { AccessToken, Identity } from "../../contract.ts";
import type { TokenRow } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { auditPart, auditValues } from "./audit.ts";
import type { StepsOf } from "./types.ts";

type TokenViewRow = TokenRow & { readonly login: string | null; readonly organization: string | null };
type IdentityRow = TokenViewRow & {
  readonly user_name: string | null;
  readonly user_email: string | null;
  readonly memberships: Identity["memberships"];
};

const VIEW = `from access_token t left join "user" u on u.id = t.user_id
  left join organization o on o.id = t.organization_id`;
const COLUMNS = "t.*, u.login, o.name as organization";

function tokenOf(row: TokenViewRow): AccessToken {
  return {
    id: row.id,
    name: row.name,
    kind: row.kind,
    login: row.login,
    organization: row.organization,
    role: row.role,
    stackId: row.stack_id,
    createdMs: row.created_ms,
    createdBy: row.created_by,
    expiresMs: row.expires_ms,
    lastUsedMs: row.last_used_ms,
    revokedMs: row.revoked_ms,
  };
}

function membershipsOf(row: IdentityRow): Identity["memberships"] {
  if (row.kind === "person") return row.memberships;
  const { organization, role } = row;
  return organization === null || role === null ? [] : [{ organization, role }];
}

export function tokenSteps(
  sql: Sql,
): StepsOf<"createToken" | "listTokens" | "revokeToken" | "findIdentity" | "touchTokens"> {
  return {
    async createToken(input) {
      const isPerson = input.kind === "person";
      const row = await sql.changeOnce(
        `with u as (select id from "user" where login = $4 for key share),
           o as (select id from organization where name = $5 for key share),
         done as (
           insert into access_token (id, token_hash, name, kind, user_id, organization_id, role, created_ms,
             created_by, expires_ms, stack_id)
           select $1, $2, $3, $6, (select id from u), (select id from o), $7, $8, $9, $10, $11
           where exists (select from u) or exists (select from o)
           returning id),
         ${auditPart("done", 12)}
         select id from done`,
        ...[input.id, input.tokenHash, input.name, isPerson ? input.login : null],
        ...[isPerson ? null : input.organization, input.kind, isPerson ? null : input.role],
        ...[input.nowMs, input.createdBy, input.expiresMs, isPerson ? null : (input.stackId ?? null)],
        ...auditValues(input.audit),
      );
      if (row !== null) return "created";
      return isPerson ? "no_user" : "no_organization";
    },

    async listTokens(filter, { after, limit }) {
      const wheres = ["t.id > $1"];
      const values = [after ?? "", limit];
      if (filter.login !== undefined) {
        values.push(filter.login);
        wheres.push(`t.user_id = (select id from "user" where login = $${values.length})`);
      }
      if (filter.organization !== undefined) {
        values.push(filter.organization);
        wheres.push(`t.organization_id = (select id from organization where name = $${values.length})`);
      }
      const text = `select ${COLUMNS} ${VIEW} where ${wheres.join(" and ")} order by t.id limit $2`;
      return (await sql.all<TokenViewRow>(text, ...values)).map(tokenOf);
    },

    async revokeToken({ id, nowMs, audit }) {
      const organization = "(select o.name from organization o where o.id = done.organization_id)";
      const row = await sql.changeOnce<{ is_first: boolean }>(
        `with t as (select id, revoked_ms from access_token where id = $1 for no key update),
           done as (update access_token set revoked_ms = $2 from t where access_token.id = t.id
             and t.revoked_ms is null returning access_token.organization_id),
           ${auditPart("done", 3, organization)}
         select revoked_ms is null as is_first from t`,
        ...[id, nowMs],
        ...auditValues(audit),
      );
      if (row === null) return "absent";
      return row.is_first ? "revoked" : "already_revoked";
    },

    async findIdentity(tokenHash, nowMs) {
      const row = await sql.get<IdentityRow>(
        `select ${COLUMNS}, u.name as user_name, u.email as user_email,
           coalesce((select json_agg(json_build_object('organization', n.name, 'role', m.role) order by n.name)
             from membership m join organization n on n.id = m.organization_id
             where m.user_id = t.user_id), '[]') as memberships
         ${VIEW} where t.token_hash = $1 and t.revoked_ms is null
         and (t.expires_ms is null or t.expires_ms > $2)`,
        ...[tokenHash, nowMs],
      );
      if (row === null) return null;
      return {
        tokenId: row.id,
        tokenName: row.name,
        kind: row.kind,
        login: row.login ?? row.organization ?? "",
        name: row.user_name ?? row.name,
        email: row.user_email ?? "",
        expiresMs: row.expires_ms,
        memberships: membershipsOf(row),
        stackId: row.stack_id,
      };
    },

    async touchTokens(uses) {
      if (uses.length === 0) return;
      // Locked in the order of ids: replicas note the same tokens at the same time.
      await sql.change(
        `with n as (select id, max(used_ms) as used_ms from unnest($1::text[], $2::bigint[]) as u (id, used_ms)
             group by id),
           t as (select id from access_token where id = any($1::text[]) order by id for no key update)
         update access_token set last_used_ms = n.used_ms from t join n using (id)
         where access_token.id = t.id and coalesce(access_token.last_used_ms, 0) < n.used_ms`,
        uses.map((use) => use.id),
        uses.map((use) => use.usedMs),
      );
    },
  };
}

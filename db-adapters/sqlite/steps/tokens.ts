import type { AccessToken, Identity } from "../../contract.ts";
import type { TokenRow } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { insertAudit } from "./audit.ts";
import { findOrganizationId } from "./organizations.ts";
import type { StepsOf } from "./sync.ts";
import { findUserId } from "./users.ts";

type TokenViewRow = TokenRow & { login: string | null; organization: string | null };
type IdentityRow = TokenViewRow & { user_name: string | null; user_email: string | null };

const VIEW = `select t.*, u.login, o.name as organization, u.name as user_name, u.email as user_email
  from access_token t left join user u on u.id = t.user_id
  left join organization o on o.id = t.organization_id`;

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

function membershipsOf(sql: Sql, row: IdentityRow): Identity["memberships"] {
  if (row.kind === "machine")
    return row.organization === null || row.role === null
      ? []
      : [{ organization: row.organization, role: row.role }];
  return sql.all<Identity["memberships"][number]>(
    `select o.name as organization, m.role from membership m join organization o on o.id = m.organization_id
     where m.user_id = ? order by o.name`,
    row.user_id,
  );
}

export function tokenSteps(
  sql: Sql,
): StepsOf<"createToken" | "listTokens" | "revokeToken" | "findIdentity" | "touchTokens"> {
  return {
    createToken(input) {
      const person = input.kind === "person";
      const userId = person && input.login !== null ? findUserId(sql, input.login) : null;
      if (person && userId === null) return "no_user";
      const organizationId =
        !person && input.organization !== null ? findOrganizationId(sql, input.organization) : null;
      if (!person && organizationId === null) return "no_organization";
      sql.insert("access_token", {
        id: input.id,
        token_hash: input.tokenHash,
        name: input.name,
        kind: input.kind,
        user_id: userId,
        organization_id: organizationId,
        role: person ? null : input.role,
        stack_id: person ? null : (input.stackId ?? null),
        created_ms: input.nowMs,
        created_by: input.createdBy,
        expires_ms: input.expiresMs,
      });
      insertAudit(sql, input.audit);
      return "created";
    },

    listTokens(filter, { after, limit }) {
      const wheres: string[] = [];
      const owners: string[] = [];
      if (filter.login !== undefined) {
        wheres.push("t.user_id = (select id from user where login = ?) and");
        owners.push(filter.login);
      }
      if (filter.organization !== undefined) {
        wheres.push("t.organization_id = (select id from organization where name = ?) and");
        owners.push(filter.organization);
      }
      const text = `${VIEW} where ${wheres.join(" ")} t.id > ? order by t.id limit ?`;
      return sql.all<TokenViewRow>(text, ...owners, after ?? "", limit).map(tokenOf);
    },

    revokeToken({ id, nowMs, audit }) {
      const row = sql.get<Pick<TokenViewRow, "revoked_ms" | "organization">>(`${VIEW} where t.id = ?`, id);
      if (row === null) return "absent";
      if (row.revoked_ms !== null) return "already_revoked";
      sql.run("update access_token set revoked_ms = ? where id = ?", nowMs, id);
      insertAudit(sql, audit && { ...audit, organization: row.organization });
      return "revoked";
    },

    findIdentity(tokenHash, nowMs) {
      const row = sql.get<IdentityRow>(
        `${VIEW} where t.token_hash = ? and t.revoked_ms is null
         and (t.expires_ms is null or t.expires_ms > ?)`,
        tokenHash,
        nowMs,
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
        memberships: membershipsOf(sql, row),
        stackId: row.stack_id,
      };
    },

    touchTokens(uses) {
      for (const { id, usedMs } of uses)
        sql.run(
          "update access_token set last_used_ms = max(coalesce(last_used_ms, 0), ?) where id = ?",
          usedMs,
          id,
        );
    },
  };
}

import type { Member, User } from "../../contract.ts";
import type { UserRow } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { insertAudit } from "./audit.ts";
import { findOrganizationId } from "./organizations.ts";
import type { StepsOf } from "./sync.ts";

function userOf(row: UserRow): User {
  return { id: row.id, login: row.login, name: row.name, email: row.email, createdMs: row.created_ms };
}

/** The id behind a login; null for none. */
export function findUserId(sql: Sql, login: string): string | null {
  return sql.get<{ id: string }>("select id from user where login = ?", login)?.id ?? null;
}

export function userSteps(
  sql: Sql,
): StepsOf<"createUser" | "findUser" | "listUsers" | "updateUser" | "deleteUser"> {
  return {
    createUser({ id, login, name, email, nowMs, audit }) {
      if (findUserId(sql, login) !== null) return "login_taken";
      sql.insert("user", { id, login, name, email, created_ms: nowMs });
      insertAudit(sql, audit);
      return "created";
    },

    findUser(login) {
      const row = sql.get<UserRow>("select * from user where login = ?", login);
      return row === null ? null : userOf(row);
    },

    listUsers({ after, limit }) {
      return sql
        .all<UserRow>("select * from user where login > ? order by login limit ?", after ?? "", limit)
        .map(userOf);
    },

    updateUser({ login, name, email, audit }) {
      const changes = sql.run(
        "update user set name = coalesce(?, name), email = coalesce(?, email) where login = ?",
        name ?? null,
        email ?? null,
        login,
      );
      if (changes === 0) return "absent";
      insertAudit(sql, audit);
      return "updated";
    },

    deleteUser({ login, audit }) {
      // Memberships and tokens cascade.
      if (sql.run("delete from user where login = ?", login) === 0) return "absent";
      insertAudit(sql, audit);
      return "deleted";
    },
  };
}

export function membershipSteps(sql: Sql): StepsOf<"setMembership" | "removeMembership" | "listMembers"> {
  return {
    setMembership({ organization, login, role, nowMs, audit }) {
      const organizationId = findOrganizationId(sql, organization);
      if (organizationId === null) return "no_organization";
      const userId = findUserId(sql, login);
      if (userId === null) return "no_user";
      sql.run(
        `insert into membership (organization_id, user_id, role, created_ms) values (?, ?, ?, ?)
         on conflict (organization_id, user_id) do update set role = excluded.role`,
        organizationId,
        userId,
        role,
        nowMs,
      );
      insertAudit(sql, audit);
      return "set";
    },

    removeMembership({ organization, login, audit }) {
      const changes = sql.run(
        `delete from membership where organization_id = (select id from organization where name = ?)
         and user_id = (select id from user where login = ?)`,
        organization,
        login,
      );
      if (changes === 0) return "absent";
      insertAudit(sql, audit);
      return "removed";
    },

    listMembers(organization, { after, limit }) {
      const organizationId = findOrganizationId(sql, organization);
      if (organizationId === null) return null;
      return sql.all<Member>(
        `select u.login, u.name, u.email, m.role, m.created_ms as createdMs
         from membership m join user u on u.id = m.user_id
         where m.organization_id = ? and u.login > ? order by u.login limit ?`,
        organizationId,
        after ?? "",
        limit,
      );
    },
  };
}

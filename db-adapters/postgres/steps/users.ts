import type { Member, User } from "../../contract.ts";
import type { UserRow } from "../rows.ts";
import type { Sql } from "../sql.ts";
import { auditPart, auditValues } from "./audit.ts";
import type { StepsOf } from "./types.ts";

function userOf(row: UserRow): User {
  return { id: row.id, login: row.login, name: row.name, email: row.email, createdMs: row.created_ms };
}

export function userSteps(
  sql: Sql,
): StepsOf<"createUser" | "findUser" | "listUsers" | "updateUser" | "deleteUser"> {
  return {
    async createUser({ id, login, name, email, nowMs, audit }) {
      const row = await sql.changeOnce(
        `with done as (insert into "user" (id, login, name, email, created_ms) values ($1, $2, $3, $4, $5)
           on conflict (login) do nothing returning id), ${auditPart("done", 6)}
         select id from done`,
        ...[id, login, name, email, nowMs],
        ...auditValues(audit),
      );
      return row === null ? "login_taken" : "created";
    },

    async findUser(login) {
      const row = await sql.get<UserRow>(`select * from "user" where login = $1`, login);
      return row === null ? null : userOf(row);
    },

    async listUsers({ after, limit }) {
      const text = `select * from "user" where login > $1 order by login limit $2`;
      return (await sql.all<UserRow>(text, after ?? "", limit)).map(userOf);
    },

    async updateUser({ login, name, email, audit }) {
      const row = await sql.change(
        `with done as (update "user" set name = coalesce($2, name), email = coalesce($3, email)
           where login = $1 returning id), ${auditPart("done", 4)}
         select id from done`,
        ...[login, name ?? null, email ?? null],
        ...auditValues(audit),
      );
      return row === null ? "absent" : "updated";
    },

    async deleteUser({ login, audit }) {
      // Memberships and tokens cascade.
      const row = await sql.changeOnce(
        `with done as (delete from "user" where login = $1 returning id), ${auditPart("done", 2)}
         select id from done`,
        login,
        ...auditValues(audit),
      );
      return row === null ? "absent" : "deleted";
    },
  };
}

type Found = { readonly organization_id: string | null; readonly user_id: string | null };

export function membershipSteps(sql: Sql): StepsOf<"setMembership" | "removeMembership" | "listMembers"> {
  return {
    async setMembership({ organization, login, role, nowMs, audit }) {
      const row = await sql.change<Found>(
        `with o as (select id from organization where name = $1 for key share),
           u as (select id from "user" where login = $2 for key share),
           done as (
             insert into membership (organization_id, user_id, role, created_ms)
             select o.id, u.id, $3, $4 from o, u
             on conflict (organization_id, user_id) do update set role = excluded.role returning role),
           ${auditPart("done", 5)}
         select (select id from o) as organization_id, (select id from u) as user_id`,
        ...[organization, login, role, nowMs],
        ...auditValues(audit),
      );
      if (row === null || row.organization_id === null) return "no_organization";
      return row.user_id === null ? "no_user" : "set";
    },

    async removeMembership({ organization, login, audit }) {
      const row = await sql.changeOnce(
        `with done as (
           delete from membership where organization_id = (select id from organization where name = $1)
           and user_id = (select id from "user" where login = $2) returning role),
         ${auditPart("done", 3)}
         select role from done`,
        ...[organization, login],
        ...auditValues(audit),
      );
      return row === null ? "absent" : "removed";
    },

    async listMembers(organization, { after, limit }) {
      // The organization's own row comes along, so that none and no members are told apart.
      const rows = await sql.all<{ [Key in keyof Member]: Member[Key] | null }>(
        `select m.* from organization o left join lateral (
           select u.login, u.name, u.email, m.role, m.created_ms as "createdMs"
           from membership m join "user" u on u.id = m.user_id
           where m.organization_id = o.id and u.login > $2 order by u.login limit $3) m on true
         where o.name = $1 order by m.login`,
        ...[organization, after ?? "", limit],
      );
      return rows.length === 0 ? null : rows.filter((row): row is Member => row.login !== null);
    },
  };
}

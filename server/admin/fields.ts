/** Schemas of single values that more than one endpoint has. */
import { z } from "zod";
import { ROLES } from "../../db-adapters/vocabulary.ts";
import { isOwnerName, isUpdateId } from "../rules/names.ts";
import { OWNER_NAME_RULE } from "../services/people.ts";

export const ADMIN_PATH = "/api/admin/v1";

/** An organization's name or a user's login. */
export const OwnerName = z
  .string()
  .refine(isOwnerName, { error: OWNER_NAME_RULE })
  .meta({ minLength: 3, maxLength: 40, description: OWNER_NAME_RULE });

export const RoleField = z.enum(ROLES).meta({ id: "Role" });

export const UpdateId = z.string().refine(isUpdateId, { error: "an update's id" }).meta({ maxLength: 64 });

export const Id = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, { error: "an id" });

/** Text for people: one line, since it ends up in tables and logs. */
export function line(min: number, max: number) {
  return z
    .string()
    .min(min)
    .max(max)
    .regex(/^[^\p{Cc}\p{Cs}]*$/u, { error: "must be one line" });
}

/** Times are ISO 8601 in UTC outside and milliseconds inside. */
export const Time = z.iso.datetime();

export function isoTime(ms: number): string;
export function isoTime(ms: number | null): string | null;
export function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

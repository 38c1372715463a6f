/** Who may do what. One table; everything not in it is denied. */
import type { Role } from "../../db-adapters/contract.ts";

export type Permission =
  | "organization:read"
  /** What holds for everybody in it, such as how long artifacts are kept. */
  | "organization:write"
  | "stack:read"
  /** Dry runs and encryption: they change nothing that anybody else sees. */
  | "stack:preview"
  | "stack:decrypt"
  | "stack:write"
  | "stack:delete"
  | "artifact:read"
  | "artifact:write"
  | "artifact:delete";

const VIEWER: readonly Permission[] = ["organization:read", "stack:read", "stack:preview", "artifact:read"];
const MEMBER: readonly Permission[] = [
  ...VIEWER,
  "stack:decrypt",
  "stack:write",
  "artifact:write",
  "artifact:delete",
];
const ADMIN: readonly Permission[] = [...MEMBER, "stack:delete", "organization:write"];

const PERMISSIONS: Readonly<Record<Role, ReadonlySet<Permission>>> = {
  viewer: new Set(VIEWER),
  member: new Set(MEMBER),
  admin: new Set(ADMIN),
};

export function isAllowed(role: Role, permission: Permission): boolean {
  return PERMISSIONS[role].has(permission);
}

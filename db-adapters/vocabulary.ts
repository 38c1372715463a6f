/** Words that both the database and the services use; see docs/decisions for where they come from. */

export const ROLES = ["viewer", "member", "admin"] as const;
export type Role = (typeof ROLES)[number];

/** The kinds of the Pulumi protocol's history (`UpdateInfo.kind`). */
export const UPDATE_KINDS = [
  "update",
  "preview",
  "refresh",
  "destroy",
  "import",
  "rename",
  "resource-import",
] as const;
export type UpdateKind = (typeof UPDATE_KINDS)[number];

/** As `GET U` reports them; `discarded` is an update that never started and never will. */
export const UPDATE_STATUSES = ["not started", "running", "succeeded", "failed", "discarded"] as const;
export type UpdateStatus = (typeof UPDATE_STATUSES)[number];

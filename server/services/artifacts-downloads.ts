import type { Artifact } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import type { OrganizationAccess } from "../rules/access.ts";
import { targetOf } from "./artifacts.ts";
import { isSensitive } from "./artifacts-names.ts";
import { audit } from "./audit.ts";

/** What happens in the bucket isn't seen here: whoever gets a link to it counts as having downloaded. */
export async function noteDirectDownload(
  ctx: Context,
  access: OrganizationAccess,
  artifact: Artifact,
): Promise<void> {
  if (!isSensitive(artifact.kind)) return;
  await audit(ctx, access.principal, "artifact.download", access.organization, targetOf(artifact));
}

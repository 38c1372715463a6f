/** Where signed links of our own lead. Their signature is all the authorisation they have. */
import type { Request, Response } from "express";
import type { Artifact } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { AppError } from "../errors.ts";
import { streamBody } from "../http/body.ts";
import { sendEmpty } from "../http/json.ts";
import { openRoute, type Route } from "../http/route.ts";
import { checkLink } from "../services/artifacts-links.ts";
import { receiveGranted } from "../services/artifacts-uploads.ts";
import { sendArtifact } from "./send.ts";
import { ARTIFACTS_PATH } from "./view.ts";

/** @throws AppError ARTIFACT_LINK_INVALID, whatever is wrong */
async function linked(
  ctx: Context,
  req: Request,
  method: "GET" | "PUT",
): Promise<{ artifact: Artifact; by: string }> {
  const { org: organization, id } = req.params;
  if (typeof organization !== "string" || typeof id !== "string") throw new AppError("ARTIFACT_LINK_INVALID");
  const { by } = checkLink(ctx, { method, organization, id }, req.query);
  const artifact = await ctx.db.findArtifact(organization, id);
  if (artifact === null) throw new AppError("ARTIFACT_LINK_INVALID");
  return { artifact, by };
}

async function download(ctx: Context, _access: null, req: Request, res: Response): Promise<void> {
  const { artifact, by } = await linked(ctx, req, "GET");
  if (artifact.pendingUntilMs !== null) throw new AppError("ARTIFACT_LINK_INVALID");
  const actor = { identity: { login: by }, sourceIp: req.ip ?? "unknown" };
  await sendArtifact({ ctx, actor, req, res, isInlineWanted: false }, artifact);
}

export const artifactLinkRoutes: readonly Route[] = [
  openRoute("head", `${ARTIFACTS_PATH}/signed/:id`, download),
  openRoute("get", `${ARTIFACTS_PATH}/signed/:id`, download),
  openRoute("put", `${ARTIFACTS_PATH}/uploads/:id/content`, async (ctx, _access, req, res) => {
    const { artifact } = await linked(ctx, req, "PUT");
    await receiveGranted(ctx, artifact, streamBody(req, Math.max(artifact.sizeBytes, 1)));
    sendEmpty(res);
  }),
];

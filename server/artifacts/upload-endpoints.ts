/** Uploads in two steps: a link for exactly these bytes, then the word that they are there. */
import { z } from "zod";
import { type Endpoint, organizationBytesEndpoint, organizationEndpoint } from "../admin/endpoint.ts";
import { isoTime } from "../admin/fields.ts";
import { readJson, sendJson } from "../http/json.ts";
import { uploadLink } from "../services/artifacts-links.ts";
import { beginUpload, confirmUpload, grantUpload } from "../services/artifacts-uploads.ts";
import { baseUrlOf } from "./base-url.ts";
import {
  ARTIFACTS_PATH,
  ArtifactView,
  ItemParams,
  NewUpload,
  OrgParams,
  TAG,
  UploadGrantView,
  viewOf,
} from "./view.ts";

export const uploadEndpoints: readonly Endpoint[] = [
  organizationBytesEndpoint("artifact:write", {
    tag: TAG,
    path: `${ARTIFACTS_PATH}/uploads`,
    params: OrgParams,
    operationId: "createArtifactUpload",
    method: "post",
    summary: "A short-lived URL for exactly these bytes, in the bucket itself where that is possible",
    query: z.strictObject({}),
    body: NewUpload,
    status: 201,
    response: UploadGrantView,
    errors: ["STACK_NOT_FOUND", "UPDATE_NOT_FOUND", "ARTIFACT_QUOTA", "BODY_TOO_LARGE"],
    media: {},
    handle: async ({ ctx, access, req, res }) => {
      const {
        size: sizeBytes,
        name,
        sha256,
        contentType,
        ...about
      } = await readJson(req, NewUpload, ctx.config);
      const facts = await beginUpload(ctx, access, about);
      const artifact = await grantUpload(ctx, access, facts, { name, contentType, sizeBytes, sha256 });
      const by = access.principal.identity.login;
      const { expiresMs, isDirect, ...link } = await uploadLink(ctx, artifact, by, baseUrlOf(ctx, req));
      sendJson(res, 201, { id: artifact.id, ...link, expiresAt: isoTime(expiresMs), direct: isDirect });
    },
  }),
  organizationEndpoint("artifact:write", {
    tag: TAG,
    path: `${ARTIFACTS_PATH}/uploads/:id/complete`,
    params: ItemParams,
    operationId: "completeArtifactUpload",
    method: "post",
    summary: "Say that the bytes are there; only then the artifact shows",
    status: 200,
    response: ArtifactView,
    errors: ["ARTIFACT_NOT_FOUND", "ARTIFACT_NOT_UPLOADED"],
    handle: async (ctx, access, { params }) => viewOf(await confirmUpload(ctx, access, params.id)),
  }),
];

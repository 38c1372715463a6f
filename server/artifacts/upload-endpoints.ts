/** Uploads in two steps: a link for exactly these bytes, then the word that they are there. */
import { z } from "zod";
import { type Endpoint, organizationBytesEndpoint, organizationEndpoint } from "../admin/endpoint.ts";
import { isoTime } from "../admin/fields.ts";
import { streamBody } from "../http/body.ts";
import { readJson, sendEmpty, sendJson } from "../http/json.ts";
import { partLink, uploadLink } from "../services/artifacts-links.ts";
import { getPendingUpload, listParts, PART_BYTES, partOf, receivePart } from "../services/artifacts-parts.ts";
import { beginUpload, confirmUpload, grantUpload } from "../services/artifacts-uploads.ts";
import { baseUrlOf } from "./base-url.ts";
import { expectedOf } from "./digests.ts";
import {
  ARTIFACTS_PATH,
  ArtifactView,
  ItemParams,
  NewUpload,
  OrgParams,
  PartLinkBody,
  PartLinkView,
  PartParams,
  TAG,
  UploadGrantView,
  UploadView,
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
        inParts,
        ...about
      } = await readJson(req, NewUpload, ctx.config);
      const facts = await beginUpload(ctx, access, about);
      const artifact = await grantUpload(ctx, access, facts, {
        ...{ name, contentType, sizeBytes, sha256, inParts },
      });
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
    errors: ["ARTIFACT_NOT_FOUND", "ARTIFACT_NOT_UPLOADED", "ARTIFACT_CHECKSUM"],
    handle: async (ctx, access, { params }) => viewOf(await confirmUpload(ctx, access, params.id)),
  }),
  organizationEndpoint("artifact:write", {
    tag: TAG,
    path: `${ARTIFACTS_PATH}/uploads/:id`,
    params: ItemParams,
    operationId: "getArtifactUpload",
    method: "get",
    summary: "Which parts of an upload are there: one that was interrupted goes on with the others",
    status: 200,
    response: UploadView,
    errors: ["ARTIFACT_NOT_FOUND"],
    handle: async (ctx, access, { params }) => {
      const upload = await getPendingUpload(ctx, access, params.id);
      const expiresAt = isoTime(upload.pendingUntilMs ?? ctx.nowMs());
      const parts = await listParts(ctx, upload);
      return { id: upload.id, size: upload.sizeBytes, partBytes: PART_BYTES, parts, expiresAt };
    },
  }),
  organizationEndpoint("artifact:write", {
    tag: TAG,
    path: `${ARTIFACTS_PATH}/uploads/:id/parts/:number`,
    params: PartParams,
    operationId: "linkArtifactPart",
    method: "post",
    summary: "A short-lived URL for exactly this part in the bucket itself, where that is possible",
    body: PartLinkBody,
    status: 200,
    response: PartLinkView,
    errors: ["ARTIFACT_NOT_FOUND"],
    handle: async (ctx, access, { params, body }) => {
      const upload = await getPendingUpload(ctx, access, params.id);
      const link = await partLink(ctx, partOf(upload, params.number, body.sha256));
      if (link === null) return { link };
      const { method, url, headers, expiresMs } = link;
      return { link: { method, url, headers, expiresAt: isoTime(expiresMs) } };
    },
  }),
  organizationBytesEndpoint("artifact:write", {
    tag: TAG,
    path: `${ARTIFACTS_PATH}/uploads/:id/parts/:number`,
    params: PartParams,
    operationId: "putArtifactPart",
    method: "put",
    summary: "One part of an upload, through this server; again is fine",
    query: z.strictObject({}),
    status: 204,
    response: null,
    errors: ["ARTIFACT_NOT_FOUND", "ARTIFACT_CHECKSUM", "MALFORMED_BODY", "BODY_TOO_LARGE"],
    media: { body: ["application/octet-stream"] },
    handle: async ({ ctx, access, req, res }, { params }) => {
      const upload = await getPendingUpload(ctx, access, params.id);
      const { sha256 } = expectedOf(req.headers);
      await receivePart(ctx, upload, params.number, { sha256 }, streamBody(req, PART_BYTES));
      sendEmpty(res);
    },
  }),
];

/** The artifact API as endpoints of the OpenAPI document. */
import { z } from "zod";
import { type Endpoint, organizationBytesEndpoint, organizationEndpoint } from "../admin/endpoint.ts";
import { isoTime } from "../admin/fields.ts";
import { PageQuery, pageOf, readPage } from "../admin/page.ts";
import type { ErrorCode } from "../errors.ts";
import { AppError } from "../errors.ts";
import { streamBody } from "../http/body.ts";
import { sendJson } from "../http/json.ts";
import {
  artifactUsage,
  changeArtifact,
  deleteArtifact,
  getArtifact,
  listArtifacts,
} from "../services/artifacts.ts";
import { noteDirectDownload } from "../services/artifacts-downloads.ts";
import { findLimits } from "../services/artifacts-limits.ts";
import { downloadLink } from "../services/artifacts-links.ts";
import { beginUpload, commitFiles, dropFiles, receiveFile } from "../services/artifacts-uploads.ts";
import { baseUrlOf } from "./base-url.ts";
import { expectedOf } from "./digests.ts";
import { limitEndpoints } from "./limit-endpoints.ts";
import { receiveForm } from "./multer-storage.ts";
import { sendArtifact } from "./send.ts";
import { uploadEndpoints } from "./upload-endpoints.ts";
import {
  ARTIFACTS_PATH,
  ArtifactView,
  ChangeBody,
  filterOf,
  ItemParams,
  LinkView,
  NamedUploadQuery,
  OrgParams,
  placeFields,
  Sha256,
  TAG,
  UploadQuery,
  UsageView,
  uploadOf,
  usageViewOf,
  viewOf,
} from "./view.ts";

const UPLOAD_ERRORS: readonly ErrorCode[] = [
  ...(["MALFORMED_BODY", "BODY_TOO_LARGE", "UNSUPPORTED_ENCODING"] as const),
  ...(["STACK_NOT_FOUND", "UPDATE_NOT_FOUND", "ARTIFACT_CHECKSUM", "ARTIFACT_QUOTA"] as const),
];
const ABSENT: readonly ErrorCode[] = ["ARTIFACT_NOT_FOUND"];

const all = { tag: TAG, path: ARTIFACTS_PATH, params: OrgParams } as const;
const one = { tag: TAG, path: `${ARTIFACTS_PATH}/items/:id`, params: ItemParams, errors: ABSENT } as const;
const content = { ...one, path: `${one.path}/content` } as const;

const DownloadQuery = z.strictObject({
  disposition: z
    .enum(["attachment", "inline"])
    .default("attachment")
    .meta({ description: "`inline` is granted to types that a browser can't run" }),
});

function download(method: "get" | "head"): Endpoint {
  return organizationBytesEndpoint("artifact:read", {
    ...content,
    operationId: method === "get" ? "downloadArtifact" : "headArtifact",
    method,
    summary: method === "get" ? "The bytes, whole or a range" : "What a download would say of itself",
    query: DownloadQuery,
    status: 200,
    response: null,
    media: { response: "application/octet-stream" },
    handle: async ({ ctx, access, req, res }, { params, query }) => {
      const artifact = await getArtifact(ctx, access, params.id);
      const isInlineWanted = query.disposition === "inline";
      await sendArtifact({ ctx, actor: access.principal, req, res, isInlineWanted }, artifact);
    },
  });
}

export const ArtifactList = z.strictObject({ items: z.array(ArtifactView) }).meta({ id: "ArtifactList" });

export const artifactEndpoints: readonly Endpoint[] = [
  organizationEndpoint("artifact:read", {
    ...all,
    operationId: "listArtifacts",
    method: "get",
    summary: "Artifacts, newest first",
    query: PageQuery.extend({
      ...placeFields,
      name: z.string().max(1024).optional(),
      sha256: Sha256.optional(),
    }),
    status: 200,
    response: pageOf("ArtifactPage", ArtifactView),
    handle: (ctx, access, { query }) =>
      readPage(
        query,
        (page) => listArtifacts(ctx, access, filterOf(query), page),
        (it) => it.id,
        viewOf,
      ),
  }),
  organizationBytesEndpoint("artifact:write", {
    ...all,
    operationId: "uploadArtifacts",
    method: "post",
    summary: "Upload files as a form, all or none; a field `sha256` before a file is checked against it",
    query: UploadQuery,
    status: 201,
    response: ArtifactList,
    errors: UPLOAD_ERRORS,
    media: { body: ["multipart/form-data"] },
    handle: async ({ ctx, access, req, res }, { query }) => {
      const facts = await beginUpload(ctx, access, uploadOf(query));
      if (!req.is("multipart/form-data")) {
        throw new AppError(
          "INVALID_REQUEST",
          {},
          { detail: "it takes multipart/form-data; PUT takes one file" },
        );
      }
      const files = await receiveForm({ ctx, access, req }, facts);
      if (files.length === 0) throw new AppError("INVALID_REQUEST", {}, { detail: "the form has no file" });
      if (req.destroyed && !req.complete) {
        await dropFiles(ctx, files);
        throw new AppError("MALFORMED_BODY");
      }
      const artifacts = await commitFiles(ctx, access, facts, files);
      sendJson(res, 201, { items: artifacts.map(viewOf) });
    },
  }),
  organizationBytesEndpoint("artifact:write", {
    ...all,
    operationId: "putArtifact",
    method: "put",
    summary: "Upload one file as the body",
    query: NamedUploadQuery,
    status: 201,
    response: ArtifactView,
    errors: UPLOAD_ERRORS,
    media: { body: ["application/octet-stream"] },
    handle: async ({ ctx, access, req, res }, { query }) => {
      const { name, ...rest } = query;
      const facts = await beginUpload(ctx, access, uploadOf(rest));
      const file = { name, contentType: req.headers["content-type"], expected: expectedOf(req.headers) };
      const body = streamBody(req, ctx.config.artifactBytesMax);
      const received = await receiveFile(ctx, access, facts, file, body);
      const [artifact] = await commitFiles(ctx, access, facts, [received]);
      if (artifact === undefined) throw new AppError("ARTIFACT_NOT_FOUND");
      sendJson(res, 201, viewOf(artifact));
    },
  }),
  organizationEndpoint("artifact:read", {
    ...all,
    path: `${ARTIFACTS_PATH}/usage`,
    operationId: "getArtifactUsage",
    method: "get",
    summary: "What artifacts take up, of the organization or of a stack, and the organization's quota",
    query: z.strictObject({ project: placeFields.project, stack: placeFields.stack }),
    status: 200,
    response: UsageView,
    errors: ["STACK_NOT_FOUND"],
    handle: async (ctx, access, { query }) => {
      const { inForce } = await findLimits(ctx, access, query);
      return usageViewOf(await artifactUsage(ctx, access, query), inForce);
    },
  }),
  ...limitEndpoints,
  ...uploadEndpoints,
  download("head"),
  download("get"),
  organizationEndpoint("artifact:read", {
    ...one,
    operationId: "getArtifact",
    method: "get",
    summary: "One artifact, without its bytes",
    status: 200,
    response: ArtifactView,
    handle: async (ctx, access, { params }) => viewOf(await getArtifact(ctx, access, params.id)),
  }),
  organizationEndpoint("artifact:write", {
    ...one,
    operationId: "changeArtifact",
    method: "patch",
    summary: "Label, pin or unpin an artifact",
    body: ChangeBody,
    status: 200,
    response: ArtifactView,
    handle: async (ctx, access, { params, body }) => {
      const { labels, pinned } = body;
      const change = {
        ...(labels === undefined ? {} : { labels }),
        ...(pinned === undefined ? {} : { isPinned: pinned }),
      };
      return viewOf(await changeArtifact(ctx, access, params.id, change));
    },
  }),
  organizationEndpoint("artifact:delete", {
    ...one,
    operationId: "deleteArtifact",
    method: "delete",
    summary: "Delete an artifact, or take back a granted upload; a pinned one has to be unpinned first",
    status: 204,
    response: null,
    errors: [...ABSENT, "ARTIFACT_PINNED"],
    handle: async (ctx, access, { params }) => {
      await deleteArtifact(ctx, access, params.id);
      return null;
    },
  }),
  organizationBytesEndpoint("artifact:read", {
    ...one,
    path: `${one.path}/link`,
    operationId: "linkArtifact",
    method: "post",
    summary:
      "A short-lived URL to download from without a token, from the bucket itself where that is possible",
    query: z.strictObject({}),
    status: 200,
    response: LinkView,
    media: {},
    handle: async ({ ctx, access, req, res }, { params }) => {
      const artifact = await getArtifact(ctx, access, params.id);
      const by = access.principal.identity.login;
      const { url, expiresMs, isDirect } = await downloadLink(ctx, artifact, by, baseUrlOf(ctx, req));
      if (isDirect) await noteDirectDownload(ctx, access, artifact);
      sendJson(res, 200, { url, expiresAt: isoTime(expiresMs), direct: isDirect });
    },
  }),
];

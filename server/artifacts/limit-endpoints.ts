/** Limits of one organization's or one stack's artifacts, in place of those that settings give everybody. */
import { z } from "zod";
import { type Endpoint, organizationEndpoint } from "../admin/endpoint.ts";
import { findLimits, setLimits } from "../services/artifacts-limits.ts";
import {
  ARTIFACTS_PATH,
  LimitsBody,
  LimitsView,
  limitsOf,
  limitsViewOf,
  OrgParams,
  placeFields,
  TAG,
} from "./view.ts";

const limits = {
  tag: TAG,
  path: `${ARTIFACTS_PATH}/limits`,
  params: OrgParams,
  query: z.strictObject({ project: placeFields.project, stack: placeFields.stack }),
  status: 200,
  response: LimitsView,
  errors: ["STACK_NOT_FOUND"],
} as const;

export const limitEndpoints: readonly Endpoint[] = [
  organizationEndpoint("artifact:read", {
    ...limits,
    operationId: "getArtifactLimits",
    method: "get",
    summary: "How long artifacts of the organization or of a stack are kept, and how many",
    handle: async (ctx, access, { query }) => limitsViewOf(await findLimits(ctx, access, query)),
  }),
  organizationEndpoint("organization:write", {
    ...limits,
    operationId: "setArtifactLimits",
    method: "put",
    summary: "Replace the limits of the organization or of a stack; the next sweep goes by them",
    body: LimitsBody,
    handle: async (ctx, access, { query, body }) =>
      limitsViewOf(await setLimits(ctx, access, query, limitsOf(body))),
  }),
];

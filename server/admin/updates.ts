import { z } from "zod";
import type { AdminDeps } from "./deps.ts";
import { adminEndpoint, type Endpoint } from "./endpoint.ts";
import { ADMIN_PATH, UpdateId } from "./fields.ts";

export function updateEndpoints(deps: AdminDeps): readonly Endpoint[] {
  return [
    adminEndpoint({
      tag: "updates",
      path: `${ADMIN_PATH}/updates/:updateId/cancel`,
      operationId: "cancelUpdate",
      method: "post",
      summary: "End an update whoever runs it; what it had saved is kept",
      params: z.strictObject({ updateId: UpdateId }),
      status: 204,
      response: null,
      errors: ["UPDATE_NOT_FOUND", "UPDATE_COMPLETED"],
      handle: async (ctx, access, { params: { updateId } }) => {
        await deps.cancelUpdate(ctx, access.principal, updateId);
        return null;
      },
    }),
  ];
}

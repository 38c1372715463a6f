/** The admin token API, and the document that describes it. */
import { z } from "zod";
import type { Route } from "../http/route.ts";
import { auditEventEndpoints } from "./audit-events.ts";
import type { AdminDeps } from "./deps.ts";
import { type Endpoint, openEndpoint } from "./endpoint.ts";
import { ADMIN_PATH } from "./fields.ts";
import { gcRunEndpoints } from "./gc-runs.ts";
import { leaseEndpoints } from "./leases.ts";
import { memberEndpoints } from "./members.ts";
import { openApiDocument } from "./openapi.ts";
import { organizationEndpoints } from "./organizations.ts";
import { statusEndpoints } from "./status.ts";
import { tokenEndpoints } from "./tokens.ts";
import { updateEndpoints } from "./updates.ts";
import { userEndpoints } from "./users.ts";

const INFO = {
  title: "Statehouse admin API",
  version: "1.0.0",
  description:
    "Organizations, people, tokens and upkeep of one Statehouse server, for the holder of its admin token. " +
    "Times are ISO 8601 in UTC. Lists come in pages: give `nextCursor` back as `cursor` until there is none.",
} as const;

/** Every endpoint of the document. `others` are other JSON APIs that are described in it and served with it. */
export function adminEndpoints(deps: AdminDeps, others: readonly Endpoint[] = []): readonly Endpoint[] {
  const described = [
    ...statusEndpoints(deps),
    ...organizationEndpoints,
    ...memberEndpoints,
    ...userEndpoints,
    ...tokenEndpoints,
    ...leaseEndpoints,
    ...updateEndpoints(deps),
    ...gcRunEndpoints(deps),
    ...auditEventEndpoints,
    ...others,
  ];
  const itself = documentEndpoint(() => [...described, itself]);
  return [...described, itself];
}

/** Open: it holds nothing secret, and generators of clients read it without a token. */
function documentEndpoint(endpoints: () => readonly Endpoint[]): Endpoint {
  let document: Record<string, unknown> | null = null; // made at the first request: the start has no time for it
  return openEndpoint({
    tag: "server",
    path: `${ADMIN_PATH}/openapi.json`,
    operationId: "getOpenApi",
    method: "get",
    summary: "This document",
    status: 200,
    response: z.record(z.string(), z.unknown()),
    handle: async () => {
      document ??= openApiDocument(
        INFO,
        endpoints().map((it) => it.operation),
      );
      return document;
    },
  });
}

export function adminRoutes(deps: AdminDeps, others: readonly Endpoint[] = []): readonly Route[] {
  return adminEndpoints(deps, others).map((it) => it.route);
}

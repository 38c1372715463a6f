import { z } from "zod";
import type { StackName, Update } from "../../db-adapters/contract.ts";
import { UPDATE_KINDS } from "../../db-adapters/vocabulary.ts";
import { adminEndpoint, type Endpoint } from "./endpoint.ts";
import { ADMIN_PATH, isoTime, Time } from "./fields.ts";
import { PageQuery, pageOf, readPage } from "./page.ts";

const LeaseView = z
  .strictObject({
    updateId: z.string(),
    organization: z.string(),
    project: z.string(),
    stack: z.string(),
    kind: z.enum(UPDATE_KINDS),
    dryRun: z.boolean().meta({ description: "A preview: it doesn't hold its stack" }),
    actor: z.string().meta({ description: "Login of whoever runs the update" }),
    since: Time,
    expiresAt: Time.nullable().meta({ description: "When the update is ended unless its CLI renews" }),
  })
  .meta({ id: "Lease" });

function viewOf({ update, organization, project, stack }: StackName & { readonly update: Update }) {
  return {
    updateId: update.id,
    organization,
    project,
    stack,
    kind: update.kind,
    dryRun: update.dryRun,
    actor: update.actor,
    since: isoTime(update.startedMs ?? update.createdMs),
    expiresAt: isoTime(update.leaseExpiresMs),
  };
}

export const leaseEndpoints: readonly Endpoint[] = [
  adminEndpoint({
    tag: "updates",
    path: `${ADMIN_PATH}/leases`,
    operationId: "listLeases",
    method: "get",
    summary: "Who runs which update on which stack, by update id",
    query: PageQuery,
    status: 200,
    response: pageOf("LeasePage", LeaseView),
    handle: (ctx, _access, { query }) =>
      readPage(
        query,
        (page) => ctx.db.listActiveLeases(page),
        (it) => it.update.id,
        viewOf,
      ),
  }),
];

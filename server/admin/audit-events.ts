import { z } from "zod";
import type { AuditEvent } from "../../db-adapters/contract.ts";
import { adminEndpoint, type Endpoint } from "./endpoint.ts";
import { ADMIN_PATH, isoTime, OwnerName, Time } from "./fields.ts";
import { PageQuery, pageOf, readPage } from "./page.ts";

const AuditEventView = z
  .strictObject({
    id: z.string(),
    at: Time,
    actor: z.string().meta({ description: "Login; for a machine its organization" }),
    action: z.string().meta({ description: "What was done, such as `token.create`" }),
    organization: z.string().nullable(),
    target: z.string(),
    sourceIp: z.string(),
  })
  .meta({ id: "AuditEvent" });

function viewOf(event: AuditEvent): z.output<typeof AuditEventView> {
  const { id, atMs, actor, action, organization, target, sourceIp } = event;
  return { id, at: isoTime(atMs), actor, action, organization, target, sourceIp };
}

export const auditEventEndpoints: readonly Endpoint[] = [
  adminEndpoint({
    tag: "audit",
    path: `${ADMIN_PATH}/audit-events`,
    operationId: "listAuditEvents",
    method: "get",
    summary: "Who changed what, newest first",
    query: PageQuery.extend({
      organization: OwnerName.optional().meta({ description: "Only what was done in this organization" }),
    }),
    status: 200,
    response: pageOf("AuditEventPage", AuditEventView),
    handle: (ctx, _access, { query }) => {
      const filter = query.organization === undefined ? {} : { organization: query.organization };
      return readPage(
        query,
        (page) => ctx.db.listAuditEvents(filter, page),
        (it) => it.id,
        viewOf,
      );
    },
  }),
];

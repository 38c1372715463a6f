/** What a running update sends with its lease token. Protocol reference 4.4 to 4.10. */
import type { Request } from "express";
import type { Context } from "../context.ts";
import { readPackedBody, streamBody } from "../http/body.ts";
import { check, parseJson, readJson, sendEmpty, sendJson } from "../http/json.ts";
import { leaseRoute, type Route, routineLeaseRoute } from "../http/route.ts";
import type { LeaseClaim } from "../rules/access.ts";
import { appendEvents } from "../services/events.ts";
import { completeUpdate } from "../services/finish.ts";
import { scopeOf } from "../services/lease.ts";
import { appendJournal, type PackedBody, saveCheckpoint, saveDelta } from "../services/saves.ts";
import { renewLease } from "../services/updates.ts";
import { Complete, EventBatch, RenewLease } from "./schemas.ts";
import { warn } from "./stack-routes.ts";
import { UPDATE_PATHS } from "./update-routes.ts";
import { cliVersionOf, unixSeconds } from "./wire.ts";

/**
 * A body that is held whole. The lease itself is decided by the step that writes; but whoever doesn't even know
 * an update's id gets no memory here.
 * @throws AppError LEASE_EXPIRED | BODY_TOO_LARGE | MALFORMED_BODY
 */
async function bodyOf(ctx: Context, claim: LeaseClaim, req: Request, maxBytes: number): Promise<PackedBody> {
  await scopeOf(ctx, claim.ref);
  return readPackedBody(req, maxBytes);
}

function leaseRoutesAt(path: string): readonly Route[] {
  return [
    routineLeaseRoute("patch", `${path}/journalentries`, async (ctx, claim, req, res) => {
      await appendJournal(ctx, claim, await bodyOf(ctx, claim, req, ctx.config.journalBatchBytesMax));
      sendEmpty(res);
    }),
    routineLeaseRoute("post", `${path}/events/batch`, async (ctx, claim, req, res) => {
      const body = await bodyOf(ctx, claim, req, ctx.config.eventBatchBytesMax);
      const { events } = check(EventBatch, parseJson(body.plain, ctx.config.jsonDepthMax) ?? {});
      await appendEvents(ctx, claim, events ?? [], body);
      sendEmpty(res);
    }),
    routineLeaseRoute("post", `${path}/renew_lease`, async (ctx, claim, req, res) => {
      const { duration } = await readJson(req, RenewLease, ctx.config);
      const { expiresMs } = await renewLease(ctx, claim, duration ?? ctx.config.leaseSecondsMax);
      // The same token again: saves and event batches may be in flight with it.
      const token = (req.headers.authorization ?? "").replace(/^update-token\s+/i, "");
      sendJson(res, 200, { token, tokenExpiration: unixSeconds(expiresMs) });
    }),
    routineLeaseRoute("patch", `${path}/checkpoint`, async (ctx, claim, req, res) => {
      await saveCheckpoint(ctx, claim, "checkpoint", streamBody(req, ctx.config.checkpointBytesMax));
      sendEmpty(res);
    }),
    routineLeaseRoute("patch", `${path}/checkpointverbatim`, async (ctx, claim, req, res) => {
      await saveCheckpoint(ctx, claim, "verbatim", streamBody(req, ctx.config.checkpointBytesMax));
      sendEmpty(res);
    }),
    routineLeaseRoute("patch", `${path}/checkpointdelta`, async (ctx, claim, req, res) => {
      // A larger one isn't worth it: the CLI answers any refusal with the whole document, which is streamed.
      const { plain } = await bodyOf(ctx, claim, req, ctx.config.journalBatchBytesMax);
      await saveDelta(ctx, claim, plain);
      sendEmpty(res);
    }),
    leaseRoute("post", `${path}/complete`, async (ctx, claim, req, res) => {
      const { status } = await readJson(req, Complete, ctx.config);
      const result = status === "succeeded" ? "succeeded" : "failed";
      const { warning } = await completeUpdate(ctx, claim, result, cliVersionOf(req.headers["user-agent"]));
      warn(res, warning);
      sendEmpty(res);
    }),
  ];
}

export const leaseRoutes: readonly Route[] = UPDATE_PATHS.flatMap(leaseRoutesAt);

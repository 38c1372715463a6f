/** For whoever watches the process: alive, ready, and what Prometheus scrapes. */
import { timingSafeEqual } from "node:crypto";
import type { Request } from "express";
import type { Context } from "../context.ts";
import { hashToken } from "../crypto/token-hash.ts";
import { AppError } from "../errors.ts";
import type { SignInGuard } from "../services/sign-in-guard.ts";
import { requirePatience, sourceOf } from "./access.ts";
import { sendJson } from "./json.ts";
import { openRoute, type Route } from "./route.ts";

export interface Health {
  /** Set when the server begins to drain: balancers should look elsewhere. */
  isDraining: boolean;
  /** Set when a request found the storage gone; the next probe asks it again. */
  isStorageInDoubt: boolean;
}

/**
 * Readiness is what the last requests found: probes come every few seconds and would keep a database awake that
 * pauses when nobody uses it.
 */
export function healthRoutes(health: Health): readonly Route[] {
  const ready = async (ctx: Context) => {
    if (health.isDraining) throw new AppError("UNAVAILABLE", {}, { detail: "shutting down" });
    if (!health.isStorageInDoubt) return;
    await ctx.db.ping();
    health.isStorageInDoubt = false;
  };
  const routes = [
    openRoute("get", "/livez", (_ctx, _access, _req, res) => sendJson(res, 200, { status: "ok" })),
    openRoute("get", "/readyz", async (ctx, _access, _req, res) => {
      await ready(ctx);
      sendJson(res, 200, { status: "ok" });
    }),
    openRoute("get", "/healthz", async (ctx, _access, _req, res) => {
      await ready(ctx);
      sendJson(res, 200, { status: "ok", nextSweepMs: ctx.deadlines.nextMs });
    }),
    openRoute("get", "/metrics", async (ctx, _access, req, res, guard) => {
      await checkMetricsToken(ctx, guard, req);
      ctx.metrics.setStatistics(await ctx.db.statistics());
      ctx.metrics.setArtifactQuota(ctx.config.artifactQuotaBytes);
      res.setHeader("content-type", ctx.metrics.registry.contentType);
      res.end(await ctx.metrics.registry.metrics());
    }),
  ];
  return routes.map((route) => ({ ...route, traffic: "probe" }));
}

/** @throws AppError LOGIN_REQUIRED | INVALID_TOKEN | TOO_MANY_FAILURES */
async function checkMetricsToken(ctx: Context, guard: SignInGuard, req: Request): Promise<void> {
  const { metricsToken } = ctx.config;
  if (metricsToken === null) return;
  const header = req.headers.authorization;
  if (header === undefined) throw new AppError("LOGIN_REQUIRED");
  const given = hashToken(header.replace(/^(bearer|token) /i, ""));
  requirePatience(guard, req, given);
  if (timingSafeEqual(Buffer.from(given), Buffer.from(hashToken(metricsToken)))) {
    guard.noteSuccess(given, null);
    return;
  }
  await guard.noteFailure(sourceOf(req));
  throw new AppError("INVALID_TOKEN");
}

/** Request ids, one log line and one measurement for each request. */

import type { NextFunction, Request, Response } from "express";
import type { Context } from "../context.ts";
import { randomBytesPooled } from "../crypto/random.ts";
import type { Route } from "./route.ts";
import { startSpan } from "./tracing.ts";

const REQUEST_ID = /^[A-Za-z0-9-]{8,64}$/;

/** A proxy's id is kept when it looks like one, so that one id leads through all logs. */
function requestIdOf(req: Request): string {
  const given = req.headers["x-request-id"];
  return typeof given === "string" && REQUEST_ID.test(given) ? given : randomBytesPooled(8).toString("hex");
}

/** What others note about a request. */
interface RequestLocals {
  readonly route?: Route;
  readonly errorCode?: string;
  /** The whole answer went out before the request had arrived, and its client may have left since. */
  readonly isAnswered?: boolean;
}

/** The path alone: a query may carry what must not be logged. */
function pathOf(req: Request): string {
  const end = req.originalUrl.indexOf("?");
  return end < 0 ? req.originalUrl : req.originalUrl.slice(0, end);
}

function levelOf(route: Route | undefined, status: number): "trace" | "debug" | "info" {
  if (route?.traffic === "probe") return "trace";
  return route?.traffic === "routine" && status < 400 ? "debug" : "info";
}

export function observeRequests(ctx: Context) {
  return (req: Request, res: Response, next: NextFunction): void => {
    const startedMs = performance.now();
    const requestId = requestIdOf(req);
    res.locals.requestId = requestId;
    res.setHeader("X-Pulumi-Request-ID", requestId);
    const path = pathOf(req);
    const span = startSpan(req.method, path, req.headers.traceparent);
    res.once("close", () => {
      const durationMs = performance.now() - startedMs;
      const { route, errorCode, isAnswered = false } = res.locals as RequestLocals;
      const status = res.writableFinished || isAnswered ? res.statusCode : 499;
      const pattern = route?.path ?? "none";
      ctx.metrics.requests.observe({ method: req.method, route: pattern, status }, durationMs / 1000);
      if (errorCode === "INVALID_TOKEN") ctx.metrics.signInFailures.inc();
      span?.end(pattern, status);
      if (route?.traffic !== "probe") ctx.deadlines.noteRequest(ctx.nowMs());
      const level = levelOf(route, status);
      if (!ctx.log.isLevelEnabled(level)) return;
      const line = {
        reqId: requestId,
        method: req.method,
        path,
        status,
        ms: Math.round(durationMs * 10) / 10,
      };
      ctx.log[level](errorCode === undefined ? line : { ...line, code: errorCode }, "request");
    });
    next();
  };
}

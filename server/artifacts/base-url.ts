import type { Request } from "express";
import type { Context } from "../context.ts";

/** Where clients reach this server: what is configured, else where this request came in. */
export function baseUrlOf(ctx: Context, req: Request): string {
  return ctx.config.publicUrl ?? `${req.protocol}://${req.get("host") ?? "localhost"}`;
}

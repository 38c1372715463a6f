/** The middleware and the routes, in one visible order. Does not listen. */
import express, { type Express } from "express";
import type { InstanceStatus } from "./admin/deps.ts";
import { adminRoutes } from "./admin/routes.ts";
import { transferRoutes } from "./admin/transfer.ts";
import { artifactEndpoints } from "./artifacts/endpoints.ts";
import { artifactLinkRoutes } from "./artifacts/link-routes.ts";
import type { Context } from "./context.ts";
import { failureHandler, notFound } from "./http/failures.ts";
import { type Health, healthRoutes } from "./http/health.ts";
import { observeRequests } from "./http/observe.ts";
import { mount, type Route } from "./http/route.ts";
import { runGc } from "./jobs/gc.ts";
import { identityRoutes } from "./pulumi/identity-routes.ts";
import { leaseRoutes } from "./pulumi/lease-routes.ts";
import { stackRoutes } from "./pulumi/stack-routes.ts";
import { updateRoutes } from "./pulumi/update-routes.ts";
import { cancelUpdateById } from "./services/finish.ts";
import type { SignInGuard } from "./services/sign-in-guard.ts";

export interface AppDeps {
  readonly ctx: Context;
  readonly guard: SignInGuard;
  readonly health: Health;
  readonly instance: InstanceStatus;
}

/** Every route there is; the authorisation test walks this list. What is called most comes first. */
export function allRoutes(health: Health, instance: InstanceStatus): readonly Route[] {
  return [
    ...leaseRoutes,
    ...updateRoutes,
    ...stackRoutes,
    ...identityRoutes,
    ...healthRoutes(health),
    ...adminRoutes(
      { cancelUpdate: cancelUpdateById, runGc, status: async () => instance },
      artifactEndpoints,
    ),
    ...artifactLinkRoutes,
    ...transferRoutes,
  ];
}

export function createApp({ ctx, guard, health, instance }: AppDeps): Express {
  const app = express();
  app.disable("x-powered-by");
  app.set("etag", false);
  app.set("query parser", "simple");
  app.set("case sensitive routing", true);
  app.set("trust proxy", ctx.config.trustedProxyHops);
  app.use(observeRequests(ctx));
  mount(app, { ctx, guard }, allRoutes(health, instance));
  app.use(notFound);
  app.use(failureHandler(ctx.log, health));
  return app;
}

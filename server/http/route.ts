/**
 * Routes as values. Each says how it is authorised, so that no handler runs without it and a test can walk the
 * whole table: every route × every role × another organization.
 */
import { Router as createRouter, type NextFunction, type Request, type Response, type Router } from "express";
import type { Context } from "../context.ts";
import { AppError } from "../errors.ts";
import {
  type AdminAccess,
  authorize,
  authorizeAdmin,
  type LeaseClaim,
  type OrganizationAccess,
  type Principal,
} from "../rules/access.ts";
import type { Permission } from "../rules/permissions.ts";
import type { SignInGuard } from "../services/sign-in-guard.ts";
import { authenticate, checkPathNames, claimLease, requireLeasePatience, sourceOf } from "./access.ts";

const SLASH = 0x2f;

export type Method = "get" | "head" | "post" | "put" | "patch" | "delete";

/** What a route asks of the caller. */
export type Requirement =
  | { readonly kind: "open" }
  | { readonly kind: "signed_in" }
  /** A permission in the organization that the path's `:org` names. */
  | { readonly kind: "organization"; readonly permission: Permission }
  | { readonly kind: "lease" }
  | { readonly kind: "admin" };

export interface Route {
  readonly method: Method;
  /** Express path; `:org`, `:project`, `:stack` and `:updateId` are checked against the name rules. */
  readonly path: string;
  readonly requirement: Requirement;
  /**
   * What comes too often for a log line each: a `probe` every few seconds, which is no sign that anybody is there
   * either, and what is `routine` by the hundred while an update runs.
   */
  readonly traffic?: "probe" | "routine";
  readonly handle: (deps: RouteDeps, req: Request, res: Response) => Promise<void>;
}

export interface RouteDeps {
  readonly ctx: Context;
  readonly guard: SignInGuard;
}

type Handler<A> = (
  ctx: Context,
  access: A,
  req: Request,
  res: Response,
  guard: SignInGuard,
) => Promise<void> | void;

export function openRoute(method: Method, path: string, handler: Handler<null>): Route {
  const handle = async ({ ctx, guard }: RouteDeps, req: Request, res: Response) =>
    handler(ctx, null, req, res, guard);
  return { method, path, requirement: { kind: "open" }, handle };
}

export function signedInRoute(method: Method, path: string, handler: Handler<Principal>): Route {
  const handle = async ({ ctx, guard }: RouteDeps, req: Request, res: Response) =>
    handler(ctx, await authenticate(ctx, guard, req), req, res, guard);
  return { method, path, requirement: { kind: "signed_in" }, handle };
}

export function organizationRoute(
  method: Method,
  path: string,
  permission: Permission,
  handler: Handler<OrganizationAccess>,
): Route {
  const handle = async ({ ctx, guard }: RouteDeps, req: Request, res: Response) => {
    const principal = await authenticate(ctx, guard, req);
    checkPathNames(req.params);
    const { org } = req.params;
    await handler(ctx, authorize(principal, typeof org === "string" ? org : "", permission), req, res, guard);
  };
  return { method, path, requirement: { kind: "organization", permission }, handle };
}

export function leaseRoute(method: Method, path: string, handler: Handler<LeaseClaim>): Route {
  const handle = async ({ ctx, guard }: RouteDeps, req: Request, res: Response) => {
    const claim = claimLease(req);
    requireLeasePatience(ctx, guard, req, claim.tokenHash);
    checkPathNames(req.params);
    try {
      await handler(ctx, claim, req, res, guard);
    } catch (error) {
      if (isGuess(error)) await guard.noteFailure(sourceOf(req));
      throw error;
    }
  };
  return { method, path, requirement: { kind: "lease" }, handle };
}

/** What a running update sends over and over. */
export function routineLeaseRoute(method: Method, path: string, handler: Handler<LeaseClaim>): Route {
  return { ...leaseRoute(method, path, handler), traffic: "routine" };
}

/** A token that never was this update's; one whose lease has ended is none. */
function isGuess(error: unknown): boolean {
  if (!(error instanceof AppError) || error.code !== "LEASE_EXPIRED") return false;
  return error.context.why === "wrong_token" || error.context.why === "unknown_update";
}

export function adminRoute(method: Method, path: string, handler: Handler<AdminAccess>): Route {
  const handle = async ({ ctx, guard }: RouteDeps, req: Request, res: Response) =>
    handler(ctx, authorizeAdmin(await authenticate(ctx, guard, req)), req, res, guard);
  return { method, path, requirement: { kind: "admin" }, handle };
}

/**
 * Adds routes to a router; the route's path becomes the label of its metrics. Paths are of a fixed length, so those
 * of one length have a router of their own: Express tries one pattern after the other, and there are a hundred.
 */
export function mount(app: Router, deps: RouteDeps, routes: readonly Route[]): void {
  const routers = new Map<number, Router>();
  for (const [length, ofLength] of Map.groupBy(routes, (route) => segmentsOf(route.path))) {
    const router = createRouter({ caseSensitive: true });
    addRoutes(router, deps, ofLength);
    routers.set(length, router);
  }
  app.use((req: Request, res: Response, next: NextFunction) => {
    const router = routers.get(segmentsOf(req.path));
    if (router === undefined) next();
    else router(req, res, next);
  });
}

/** A slash at the end is none, as for Express. */
function segmentsOf(path: string): number {
  let segments = 0;
  for (let i = 0; i < path.length - 1; i++) if (path.charCodeAt(i) === SLASH) segments += 1;
  return segments;
}

function addRoutes(router: Router, deps: RouteDeps, routes: readonly Route[]): void {
  for (const route of routes) {
    router[route.method](route.path, (req: Request, res: Response, next: NextFunction) => {
      res.locals.route = route;
      route.handle(deps, req, res).catch(next);
    });
  }
}

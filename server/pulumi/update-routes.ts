/** Updates from creation to end, and their history. Protocol reference 2.3, 4 and 6.3. */
import type { Update, UpdateKind } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { AppError } from "../errors.ts";
import { stackNameOf, updateRefOf } from "../http/access.ts";
import { check, readJson, sendEmpty, sendJson } from "../http/json.ts";
import { organizationRoute, type Route } from "../http/route.ts";
import { listEvents } from "../services/events.ts";
import { cancelUpdate } from "../services/finish.ts";
import {
  configOf,
  createUpdate,
  getUpdate,
  HISTORY_PAGE_MAX,
  latestUpdate,
  listHistory,
  listPreviews,
  startUpdate,
  updateByVersion,
} from "../services/updates.ts";
import { CreateUpdate, EventsQuery, HistoryQuery, StartUpdate } from "./schemas.ts";
import { cliVersionOf, statusOnWire, unixSeconds, updateInfoOnWire } from "./wire.ts";

const STACK = "/api/stacks/:org/:project/:stack";
/** After creation the CLI says `update` for every kind; older ones said the real kind. */
export const UPDATE_PATHS: readonly string[] = ["update", "preview", "refresh", "destroy", "import"].map(
  (kind) => `${STACK}/${kind}/:updateId`,
);
/** The kinds that are created by a POST of their name. */
const CREATABLE = ["update", "preview", "refresh", "destroy"] as const satisfies readonly UpdateKind[];

function createRoute(kind: (typeof CREATABLE)[number]): Route {
  return organizationRoute("post", `${STACK}/${kind}`, "stack:preview", async (ctx, access, req, res) => {
    const input = await readJson(req, CreateUpdate, ctx.config);
    const updateID = await createUpdate(ctx, access, {
      name: stackNameOf(req),
      kind,
      // `pulumi up` previews through /update with dryRun set (reference 4.2).
      dryRun: kind === "preview" || input.options?.dryRun === true,
      config: input.config ?? null,
      message: input.metadata?.message ?? "",
      environment: input.metadata?.environment ?? {},
    });
    sendJson(res, 200, { updateID, requiredPolicies: [], messages: [] });
  });
}

function info(ctx: Context, update: Update): Record<string, unknown> {
  return updateInfoOnWire(update, configOf(ctx, update));
}

function pageOf(query: unknown): { page: number; pageSize: number } {
  const { page, pageSize } = check(HistoryQuery, query);
  // Without a size old clients want everything; a generous page has to do.
  const size =
    pageSize === undefined || pageSize === 0 ? HISTORY_PAGE_MAX : Math.min(pageSize, HISTORY_PAGE_MAX);
  return { page: Math.max(page ?? 1, 1), pageSize: size };
}

const historyRoutes: readonly Route[] = [
  organizationRoute("get", `${STACK}/updates`, "stack:read", async (ctx, access, req, res) => {
    const updates = await listHistory(ctx, access, stackNameOf(req), pageOf(req.query));
    sendJson(res, 200, { updates: updates.map((it) => info(ctx, it)) });
  }),
  organizationRoute("get", `${STACK}/updates/latest`, "stack:read", async (ctx, access, req, res) => {
    sendJson(res, 200, { info: info(ctx, await latestUpdate(ctx, access, stackNameOf(req))) });
  }),
  organizationRoute(
    "get",
    `${STACK}/updates/latest/previews`,
    "stack:read",
    async (ctx, access, req, res) => {
      const updates = await listPreviews(ctx, access, stackNameOf(req), pageOf(req.query));
      sendJson(res, 200, { updates: updates.map((it) => info(ctx, it)) });
    },
  ),
  organizationRoute("get", `${STACK}/updates/:version`, "stack:read", async (ctx, access, req, res) => {
    const version = Number(req.params.version);
    if (!Number.isSafeInteger(version))
      throw new AppError("INVALID_REQUEST", {}, { detail: "the version is a number" });
    sendJson(res, 200, info(ctx, await updateByVersion(ctx, access, stackNameOf(req), version)));
  }),
];

function updateRoutesAt(path: string): readonly Route[] {
  return [
    organizationRoute("post", path, "stack:preview", async (ctx, access, req, res) => {
      const input = await readJson(req, StartUpdate, ctx.config);
      const started = await startUpdate(ctx, access, updateRefOf(req), {
        tags: input.tags ?? null,
        journalVersion: input.journalVersion ?? 0,
        cliVersion: cliVersionOf(req.headers["user-agent"]),
      });
      sendJson(res, 200, {
        version: started.version,
        token: started.token,
        tokenExpiration: unixSeconds(started.expiresMs),
        ...(started.journalVersion === 0 ? {} : { journalVersion: started.journalVersion }),
      });
    }),
    organizationRoute("get", path, "stack:read", async (ctx, _access, req, res) => {
      const update = await getUpdate(ctx, updateRefOf(req));
      const isEnd = update.status !== "running" && update.status !== "not started";
      // The CLI polls until the token is null.
      sendJson(res, 200, { status: statusOnWire(update), events: [], continuationToken: isEnd ? null : "0" });
    }),
    organizationRoute("get", `${path}/events`, "stack:read", async (ctx, _access, req, res) => {
      const { continuationToken } = check(EventsQuery, {
        continuationToken: req.query.continuationToken || undefined,
      });
      const update = await getUpdate(ctx, updateRefOf(req));
      const page = await listEvents(ctx, update, continuationToken ?? null);
      sendJson(res, 200, { events: page.events, continuationToken: page.continuation });
    }),
    organizationRoute("post", `${path}/cancel`, "stack:write", async (ctx, access, req, res) => {
      await cancelUpdate(ctx, access.principal, updateRefOf(req));
      sendEmpty(res);
    }),
  ];
}

export const updateRoutes: readonly Route[] = [
  ...CREATABLE.map(createRoute),
  ...historyRoutes,
  ...UPDATE_PATHS.flatMap(updateRoutesAt),
];

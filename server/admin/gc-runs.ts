import { z } from "zod";
import type { GcRun } from "../../db-adapters/contract.ts";
import { audit } from "../services/audit.ts";
import type { AdminDeps } from "./deps.ts";
import { adminEndpoint, type Endpoint } from "./endpoint.ts";
import { ADMIN_PATH, isoTime, Time } from "./fields.ts";
import { Limit } from "./page.ts";

const Counts = z.record(z.string(), z.number());

const GcRunView = z
  .strictObject({
    id: z.string(),
    trigger: z.enum(["cron", "api", "command"]),
    dryRun: z.boolean(),
    startedAt: Time,
    endedAt: Time,
    counts: Counts.meta({ description: "What each sweep ended or removed, or would have on a dry run" }),
    error: z.string().nullable(),
  })
  .meta({ id: "GcRun" });

const GcRunList = z.strictObject({ items: z.array(GcRunView) }).meta({ id: "GcRunList" });
const NewGcRun = z.strictObject({ dryRun: z.boolean().default(false) }).meta({ id: "NewGcRun" });

const common = { tag: "server", path: `${ADMIN_PATH}/gc-runs` } as const;

function viewOf(run: GcRun): z.output<typeof GcRunView> {
  const { id, trigger, dryRun, error } = run;
  return {
    id,
    trigger,
    dryRun,
    startedAt: isoTime(run.startedMs),
    endedAt: isoTime(run.endedMs),
    counts: Counts.parse(JSON.parse(run.counts)),
    error,
  };
}

export function gcRunEndpoints(deps: AdminDeps): readonly Endpoint[] {
  return [
    adminEndpoint({
      ...common,
      operationId: "listGcRuns",
      method: "get",
      summary: "The latest sweeps, newest first",
      // Old runs are of no use to anybody: one page of them, without a cursor.
      query: z.strictObject({ limit: Limit }),
      status: 200,
      response: GcRunList,
      handle: async (ctx, _access, { query }) => ({
        items: (await ctx.db.listGcRuns(query.limit)).map(viewOf),
      }),
    }),
    adminEndpoint({
      ...common,
      operationId: "createGcRun",
      method: "post",
      summary: "Run all sweeps now; the answer comes when they are done",
      body: NewGcRun,
      status: 201,
      response: GcRunView,
      handle: async (ctx, access, { body: { dryRun } }) => {
        if (!dryRun) await audit(ctx, access.principal, "gc.run", null, "all sweeps");
        return viewOf(await deps.runGc(ctx, { trigger: "api", dryRun }));
      },
    }),
  ];
}

import { z } from "zod";
import type { AdminDeps } from "./deps.ts";
import { adminEndpoint, type Endpoint } from "./endpoint.ts";
import { ADMIN_PATH, isoTime, Time } from "./fields.ts";

const Facts = z.record(z.string(), z.string());
const Count = z.int().min(0);

const StatusView = z
  .strictObject({
    version: z.string(),
    startedAt: Time,
    uptimeSeconds: Count,
    owner: Facts.nullable().meta({ description: "The instance that holds the data folder" }),
    database: Facts.meta({ description: "Engine, version, schema, journal mode and why" }),
    blobs: Facts.meta({ description: "What the file store is" }),
    statistics: z.strictObject({
      organizations: Count,
      users: Count,
      stacks: Count,
      activeLeases: Count,
      stateBytes: Count.meta({ description: "Plain bytes of all state versions" }),
      stateVersions: Count,
      artifacts: Count,
      artifactBytes: Count.meta({ description: "Plain bytes of all artifacts" }),
    }),
  })
  .meta({ id: "Status" });

export function statusEndpoints(deps: AdminDeps): readonly Endpoint[] {
  return [
    adminEndpoint({
      tag: "server",
      path: `${ADMIN_PATH}/status`,
      operationId: "getStatus",
      method: "get",
      summary: "What the server is, where it keeps its data and how much there is",
      status: 200,
      response: StatusView,
      handle: async (ctx) => {
        const [instance, database, blobs, statistics] = await Promise.all([
          deps.status(ctx),
          ctx.db.describe(),
          ctx.blobs.describe(),
          ctx.db.statistics(),
        ]);
        return {
          version: instance.version,
          startedAt: isoTime(instance.startedMs),
          uptimeSeconds: Math.max(0, Math.floor((ctx.nowMs() - instance.startedMs) / 1000)),
          owner: instance.owner,
          database,
          blobs,
          statistics,
        };
      },
    }),
  ];
}

/** Checks of what is stored: of the closed database, or through the server that has it open. */
import { z } from "zod";
import type { Config } from "../config/schema.ts";
import { directUrl } from "../config/urls.ts";
import { type Check, fail, guarded, ok, warn } from "./check.ts";
import { type DatabaseInfo, type DoctorProbes, describeOwner, type InstanceOwner } from "./probes.ts";

const ANSWER_MS_MAX = 5_000;
const SCHEMA = "schema";
const KEY = "encryption key";

/** What we use of GET /api/admin/v1/status. */
const Status = z.looseObject({
  version: z.string().optional(),
  database: z.looseObject({ schema: z.string().optional() }),
});

/** A database server, which takes a look at any time. */
export async function checkDatabaseServer(config: Config, probes: DoctorProbes): Promise<Check[]> {
  try {
    const info = await probes.inspectDatabase(config);
    const server = ok("database", info?.server ?? "answers");
    if (info === null || info.schemaVersion === "0")
      return [server, ok(SCHEMA, "no tables yet: the first start makes them")];
    return [server, schemaCheck(info), keyCheck(info)];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const advice = "Check STATEHOUSE_DATABASE_URL, and that this machine may reach the server.";
    return [fail("database", reason, advice)];
  }
}

/** Nobody has the folder: the database may be opened for a look. */
export async function checkClosedDatabase(config: Config, probes: DoctorProbes): Promise<Check[]> {
  let info: DatabaseInfo | null;
  try {
    info = await probes.inspectDatabase(config);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [
      fail(SCHEMA, `the database can't be read: ${reason}`, "Restore it from a backup, or free its lock."),
    ];
  }
  if (info === null) return [ok(SCHEMA, "no database yet: the first start makes it")];
  return [schemaCheck(info), keyCheck(info)];
}

/**
 * Somebody has the folder: their server is asked, the database is left alone. That it runs means that it
 * opened the data with the right key, which is checked at its start.
 */
export async function checkRunningServer(
  config: Config,
  owner: InstanceOwner,
  adminToken: string | null,
): Promise<Check[]> {
  const url = directUrl(config);
  const advice = "Ask again with the settings of that server (port, admin token), or when it has stopped.";
  if (url === null || adminToken === null) {
    const why = url === null ? "its port is not known" : "no admin token is known here";
    return [warn(SCHEMA, `${describeOwner(owner)} has the database open, and ${why}`, advice)];
  }
  const status = await guarded(SCHEMA, advice, async () => {
    const response = await fetch(`${url}/api/admin/v1/status`, {
      headers: { authorization: `token ${adminToken}`, accept: "application/json" },
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    if (!response.ok) return warn(SCHEMA, `the server at ${url} answers ${response.status}`, advice);
    const { database, version } = Status.parse(await response.json());
    return ok(SCHEMA, `${database.schema ?? "current"}, says the running server ${version ?? ""}`.trim());
  });
  const isAnswered = status.status === "ok";
  if (isAnswered) return [status, ok(KEY, "the running server opened the data with it")];
  // A server of another host or port is no fault of the folder's.
  return [
    status.status === "fail" ? warn(SCHEMA, `${describeOwner(owner)}: ${status.detail}`, advice) : status,
  ];
}

function schemaCheck({ schema, schemaVersion, programSchemaVersion }: DatabaseInfo): Check {
  switch (schema) {
    case "current":
      return ok(SCHEMA, schemaVersion);
    case "older":
      return warn(
        SCHEMA,
        `${schemaVersion}; this program has ${programSchemaVersion}`,
        "The next start migrates it, or run statehouse migrate now. Back up first.",
      );
    case "newer":
      return fail(
        SCHEMA,
        `${schemaVersion} is newer than this program's ${programSchemaVersion}`,
        "Run the newer version of Statehouse, or restore the backup made before the upgrade.",
      );
    default:
      return schema satisfies never;
  }
}

function keyCheck({ canary }: DatabaseInfo): Check {
  switch (canary) {
    case "match":
      return ok(KEY, "opens the stored data");
    case "absent":
      return ok(KEY, "nothing is encrypted yet");
    case "no_key":
      return fail(
        KEY,
        "is missing: neither a setting nor encryption.key in the data folder gives one",
        "Put encryption.key back from a backup, or set STATEHOUSE_ENCRYPTION_KEY.",
      );
    case "wrong_key":
      return fail(
        KEY,
        "is not the one that the data was written with",
        "Give the right one as STATEHOUSE_ENCRYPTION_KEY or as encryption.key in the data folder; an older " +
          "one belongs into STATEHOUSE_PREVIOUS_ENCRYPTION_KEYS.",
      );
    default:
      return canary satisfies never;
  }
}

/** What commands beside the server ask of the storage: probes for `doctor`, and the server for a moment. */
import pino from "pino";
import { fileSystemOf } from "../db-adapters/sqlite/file-system.ts";
import { findInstance, type Inspection, inspectDatabase } from "../db-adapters/sqlite/inspect.ts";
import { chooseJournaling } from "../db-adapters/sqlite/journal-mode.ts";
import { dataDirPaths } from "./config/data-dir.ts";
import type { Config } from "./config/schema.ts";
import { findEncryptionKey } from "./config/stored-secrets.ts";
import { checkCanary } from "./crypto/canary.ts";
import { openCarriedKeys, ringOf } from "./crypto/carried-keys.ts";
import { SealError } from "./crypto/errors.ts";
import type { DatabaseInfo, EngineProbes } from "./doctor/probes.ts";
import { CARRIED_KEYS_SETTING } from "./rules/bulk-rows.ts";
import { CANARY_SETTING, startServer } from "./start.ts";
import { filesOptions } from "./storage.ts";

/** How long a command waits for a data folder that somebody has just taken. */
const TAKE_FOLDER_MS = 5_000;

export const engineProbes: EngineProbes = {
  fileSystem: fileSystemOf,
  journalMode: (config) => chooseJournaling(config.journalMode, fileSystemOf(config.dataDir)),
  findOwner: async (config) => findInstance(config.dataDir),
  inspectDatabase: inspect,
  probeBucket: async (config) => {
    const options = filesOptions(config);
    if (options.kind !== "s3") return [];
    const { probeS3 } = await import("../storage-adapters/s3-probe.ts");
    return probeS3(options);
  },
  pingRedis: async (url) => {
    const { pingRedis } = await import("../db-adapters/redis/rates.ts");
    return pingRedis(url);
  },
};

/** Of either engine. Null when there is no database yet, or one without a table. */
async function inspection(config: Config): Promise<(Inspection & { readonly server?: string }) | null> {
  if (config.database === "sqlite") return inspectDatabase(dataDirPaths(config.dataDir).database);
  const { inspectPostgres } = await import("../db-adapters/postgres/inspect.ts");
  return inspectPostgres({
    url: config.databaseUrl ?? "",
    ...(config.databaseCaFile === null ? {} : { caFile: config.databaseCaFile }),
  });
}

async function inspect(config: Config): Promise<DatabaseInfo | null> {
  const found = await inspection(config);
  if (found === null) return null;
  const { schemaVersion, programSchemaVersion, settings, server } = found;
  const order = Math.sign(schemaVersion - programSchemaVersion);
  return {
    ...(server === undefined ? {} : { server }),
    schemaVersion: String(schemaVersion),
    programSchemaVersion: String(programSchemaVersion),
    schema: order === 0 ? "current" : order < 0 ? "older" : "newer",
    canary: await canaryState(config, settings),
  };
}

async function canaryState(
  config: Config,
  settings: ReadonlyMap<string, string>,
): Promise<DatabaseInfo["canary"]> {
  const stored = settings.get(CANARY_SETTING);
  if (stored === undefined) return "absent";
  const current = await findEncryptionKey(config);
  if (current === null) return "no_key";
  const previous = config.previousEncryptionKeys.map((hex) => Buffer.from(hex, "hex"));
  const keys = [current, ...previous];
  const carried = settings.get(CARRIED_KEYS_SETTING);
  try {
    const others = carried === undefined ? [] : openCarriedKeys(ringOf(keys), carried);
    return checkCanary(ringOf([...keys, ...others]), Buffer.from(stored, "base64"));
  } catch (error) {
    if (error instanceof SealError) return "wrong_key";
    throw error;
  }
}

/** The same server on a free loopback port, without its cron, for as long as `fn` runs. */
export async function withLocalServer<T>(config: Config, fn: (baseUrl: string) => Promise<T>): Promise<T> {
  const server = await startServer({
    config: { ...config, host: "127.0.0.1", port: 0 },
    log: pino({ level: "silent" }),
    isCronOn: false,
    signal: AbortSignal.timeout(TAKE_FOLDER_MS),
  });
  try {
    return await fn(`http://127.0.0.1:${server.port}`);
  } finally {
    await server.stop();
  }
}

/** Brings the database to this program's schema by opening it once. */
export async function migrate(config: Config): Promise<string> {
  const before = await inspection(config);
  await withLocalServer(config, async () => undefined);
  const after = await inspection(config);
  const version = after?.schemaVersion ?? 0;
  return before?.schemaVersion === version
    ? `The schema is at version ${version}; there was nothing to do.`
    : `The schema went from version ${before?.schemaVersion ?? 0} to ${version}.`;
}

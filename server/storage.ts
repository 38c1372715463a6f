/** From settings to adapters: which database, which file store, and the secrets they need. */
import { join } from "node:path";
import type { Logger } from "pino";
import type { SharedDatabase } from "../db-adapters/contract.ts";
import { openDatabase } from "../db-adapters/open.ts";
import type { FenceHandle } from "../db-adapters/sqlite/instance-guard.ts";
import type { BlobStore } from "../storage-adapters/contract.ts";
import { type BlobStoreOptions, openBlobStore } from "../storage-adapters/open.ts";
import { dataDirPaths } from "./config/data-dir.ts";
import { type PreparedDataDir, prepareDataDir } from "./config/first-run.ts";
import type { Config } from "./config/schema.ts";
import { usesDataDir } from "./config/shape.ts";

/**
 * The secrets, and the data folder where the shape has one. Without a folder both secrets come from settings,
 * which the schema has checked.
 */
export async function prepareSecrets(config: Config): Promise<PreparedDataDir> {
  const { adminToken, encryptionKey } = config;
  if (usesDataDir(config) || adminToken === null || encryptionKey === null) return prepareDataDir(config);
  return {
    encryptionKey: Buffer.from(encryptionKey, "hex"),
    previousKeys: config.previousEncryptionKeys.map((hex) => Buffer.from(hex, "hex")),
    adminToken,
    created: { dataDir: false, encryptionKey: false, adminToken: false },
    sources: {
      encryptionKey: { kind: "setting", env: "STATEHOUSE_ENCRYPTION_KEY" },
      adminToken: { kind: "setting", env: "STATEHOUSE_ADMIN_TOKEN" },
    },
    warnings: [],
  };
}

export interface DatabaseNeeds {
  /** The right to write to the data folder; null for a database that isn't in it. */
  readonly fence: FenceHandle | null;
  readonly onCommit?: (batchSize: number, durationMs: number) => void;
  readonly log: Logger;
}

/** @throws DatabaseUnavailableError and what the adapter says of settings that can't be right */
export function openDatabaseOf(
  config: Config,
  { fence, onCommit, log }: DatabaseNeeds,
): Promise<SharedDatabase> {
  const say = ({ level, msg, ...fields }: { level: "info" | "warn"; msg: string }) => log[level](fields, msg);
  if (config.database === "sqlite") {
    return openDatabase({
      kind: "sqlite",
      path: dataDirPaths(config.dataDir).database,
      journalMode: config.journalMode,
      ...(fence === null ? {} : { fence }),
      ...(onCommit === undefined ? {} : { onCommit }),
      log: say,
    });
  }
  return openDatabase({
    kind: "postgres",
    url: config.databaseUrl ?? "",
    poolMax: config.databasePoolMax,
    ...(config.databaseCaFile === null ? {} : { caFile: config.databaseCaFile }),
    log: say,
  });
}

export function filesOptions(config: Config): BlobStoreOptions {
  if (config.files === "disk") return { kind: "local-disk", root: join(config.dataDir, "blobs") };
  const optional = {
    endpoint: config.s3Endpoint,
    region: config.s3Region,
    prefix: config.s3Prefix,
    caFile: config.s3CaFile,
    sseKmsKeyId: config.s3KmsKeyId,
  };
  return {
    kind: "s3",
    bucket: config.s3Bucket ?? "",
    ...(config.s3ForcePathStyle ? { forcePathStyle: true } : {}),
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== null)),
  };
}

/** @throws BlobStoreUnavailableError | BlobStoreSetupError */
export function openFilesOf(config: Config): Promise<BlobStore> {
  return openBlobStore(filesOptions(config));
}

/** Looks at everything that an installation stands on, without changing it. */
import type { Config } from "../config/schema.ts";
import { usesDataDir } from "../config/shape.ts";
import { findAdminToken } from "../config/stored-secrets.ts";
import { type Check, fail } from "./check.ts";
import { checkClock } from "./clock.ts";
import { checkClosedDatabase, checkDatabaseServer, checkRunningServer } from "./database.ts";
import {
  checkFileSystem,
  checkFreeSpace,
  checkFsync,
  checkJournalMode,
  checkOwner,
  checkPermissions,
  missingFolder,
} from "./folder.ts";
import type { DoctorProbes } from "./probes.ts";
import { checkPublicUrl } from "./public-url.ts";
import { checkBucket, checkRedis } from "./services.ts";

/** All checks, in the order in which one should read them. Leaves an open database alone. */
export async function runDoctor(config: Config, probes: DoctorProbes): Promise<Check[]> {
  const missing = usesDataDir(config) ? await missingFolder(config) : null;
  const hasFolder = usesDataDir(config) && missing === null;
  const folder = hasFolder ? await checkFolder(config, probes) : [];
  const { checks, isRunning } = await checkData(config, probes, hasFolder);
  return [
    ...(missing === null ? [] : [missing]),
    ...folder,
    ...checks,
    ...(config.files === "s3" ? await checkBucket(config, probes) : []),
    ...(config.redisUrl === null ? [] : [await checkRedis(config.redisUrl, probes)]),
    await checkClock(config, probes, hasFolder),
    await checkPublicUrl(config, isRunning),
  ];
}

async function checkFolder(config: Config, probes: DoctorProbes): Promise<Check[]> {
  return [
    await checkFileSystem(config, probes),
    await checkPermissions(config),
    await checkFreeSpace(config, probes),
    await checkFsync(config, probes),
    ...(config.database === "sqlite" ? [await checkJournalMode(config, probes)] : []),
  ];
}

/** `isRunning`: a server can be expected to answer. */
async function checkData(
  config: Config,
  probes: DoctorProbes,
  hasFolder: boolean,
): Promise<{ checks: Check[]; isRunning: boolean }> {
  if (config.database === "postgres") {
    return { checks: await checkDatabaseServer(config, probes), isRunning: config.publicUrl !== null };
  }
  return hasFolder ? checkStored(config, probes) : { checks: [], isRunning: false };
}

async function checkStored(
  config: Config,
  probes: DoctorProbes,
): Promise<{ checks: Check[]; isRunning: boolean }> {
  try {
    const owner = await probes.findOwner(config);
    const stored =
      owner === null
        ? await checkClosedDatabase(config, probes)
        : await checkRunningServer(config, owner, await findAdminToken(config).catch(() => null));
    return { checks: [checkOwner(owner), ...stored], isRunning: owner !== null };
  } catch (error) {
    // Who holds the folder isn't known, so the database must stay closed.
    const reason = error instanceof Error ? error.message : String(error);
    const advice = "Look at instance.json in the data folder; delete it only when no server runs.";
    return { checks: [fail("instance", reason, advice)], isRunning: false };
  }
}

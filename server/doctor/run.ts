/** Looks at everything that an installation stands on, without changing it. */
import type { Config } from "../config/schema.ts";
import { findAdminToken } from "../config/stored-secrets.ts";
import { type Check, fail } from "./check.ts";
import { checkClock } from "./clock.ts";
import { checkClosedDatabase, checkRunningServer } from "./database.ts";
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

/** All checks, in the order in which one should read them. Leaves an open database alone. */
export async function runDoctor(config: Config, probes: DoctorProbes): Promise<Check[]> {
  const missing = await missingFolder(config);
  if (missing !== null) {
    return [missing, await checkClock(config, probes, false), await checkPublicUrl(config, false)];
  }
  const folder = [
    await checkFileSystem(config, probes),
    await checkPermissions(config),
    await checkFreeSpace(config, probes),
    await checkFsync(config, probes),
    await checkJournalMode(config, probes),
  ];
  const { checks, isRunning } = await checkStored(config, probes);
  return [
    ...folder,
    ...checks,
    await checkClock(config, probes, true),
    await checkPublicUrl(config, isRunning),
  ];
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

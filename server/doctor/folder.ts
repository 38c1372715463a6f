/** Checks of the data folder and the disk below it. */
import { type DataDirPaths, dataDirPaths } from "../config/data-dir.ts";
import type { Config } from "../config/schema.ts";
import { type Check, fail, guarded, ok, warn } from "./check.ts";
import { type DoctorProbes, describeOwner, findMode, type InstanceOwner } from "./probes.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const FREE_BYTES_WARN = GIB;
const FREE_BYTES_FAIL = 100 * MIB;
const FSYNC_COUNT = 7;
const FSYNC_MS_WARN = 20;

/** Null when the folder isn't there yet; everything else about it can't be looked at then. */
export async function missingFolder(config: Config): Promise<Check | null> {
  const found = await findMode(config.dataDir);
  const name = "data folder";
  if (found === null) {
    return warn(name, `${config.dataDir} does not exist yet`, "The first start makes it: statehouse serve");
  }
  if (found.isFolder) return null;
  return fail(name, `${config.dataDir} is not a folder`, "Set STATEHOUSE_DATA_DIR to a folder.");
}

export async function checkFileSystem(config: Config, probes: DoctorProbes): Promise<Check> {
  return await guarded("data folder", "Look at the folder's mount and its permissions.", async () => {
    const { type, kind } = await probes.fileSystem(config.dataDir);
    const detail = `${config.dataDir} on ${type} (${kind})`;
    if (kind !== "unknown") return ok("data folder", detail);
    return warn("data folder", detail, "The file system is not known here: it is treated like a network's.");
  });
}

export async function checkJournalMode(config: Config, probes: DoctorProbes): Promise<Check> {
  const advice = "Set STATEHOUSE_JOURNAL_MODE to auto.";
  return await guarded("journal mode", advice, async () => {
    const { journalMode, why } = await probes.journalMode(config);
    return ok("journal mode", `${journalMode}: ${why}`);
  });
}

/** The folder and the files in it that hold secrets. */
export async function checkPermissions(config: Config): Promise<Check> {
  const paths: DataDirPaths = dataDirPaths(config.dataDir);
  const wide: string[] = [];
  const fixes: string[] = [];
  for (const [path, allowed] of [
    [config.dataDir, 0o700],
    [paths.encryptionKey, 0o600],
    [paths.adminToken, 0o600],
  ] as const) {
    const found = await findMode(path);
    if (found === null || (found.mode & 0o077) === 0) continue;
    wide.push(`${path} has mode ${found.mode.toString(8)}`);
    fixes.push(`chmod ${allowed.toString(8)} ${path}`);
  }
  if (wide.length === 0)
    return ok("permissions", "only the server's user can read the folder and its secrets");
  return warn("permissions", wide.join("; "), fixes.join(" && "));
}

export async function checkFreeSpace(config: Config, probes: DoctorProbes): Promise<Check> {
  return await guarded("free space", "Look at the folder's mount.", async () => {
    const bytes = await probes.freeBytes(config.dataDir);
    const detail = bytes >= GIB ? `${(bytes / GIB).toFixed(1)} GiB` : `${Math.floor(bytes / MIB)} MiB`;
    const advice = "Free some space or make the volume larger; statehouse gc deletes what has ended.";
    if (bytes < FREE_BYTES_FAIL) return fail("free space", detail, advice);
    return bytes < FREE_BYTES_WARN ? warn("free space", detail, advice) : ok("free space", detail);
  });
}

/** Also the proof that the folder can be written. */
export async function checkFsync(config: Config, probes: DoctorProbes): Promise<Check> {
  return await guarded("fsync", "The server's user must be able to write to the data folder.", async () => {
    const times = await probes.fsyncTimesMs(config.dataDir, FSYNC_COUNT);
    const medianMs = times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
    const detail = `${medianMs.toFixed(1)} ms (median of ${times.length})`;
    if (medianMs <= FSYNC_MS_WARN) return ok("fsync", detail);
    return warn("fsync", detail, "Every answer waits for one: use a faster disk, or a volume nearer by.");
  });
}

export function checkOwner(owner: InstanceOwner | null): Check {
  return ok("instance", owner === null ? "nobody holds the data folder" : `held by ${describeOwner(owner)}`);
}

/** What the doctor asks the world; tests answer in its place. */
import { randomBytes } from "node:crypto";
import { open, stat, statfs, unlink } from "node:fs/promises";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import type { Config } from "../config/schema.ts";

/** Who holds the data folder. */
export interface InstanceOwner {
  readonly host: string;
  readonly pid: number;
  readonly startedMs: number;
}

export interface FileSystemInfo {
  /** The kernel's word: `ext4`, `nfs4`… */
  readonly type: string;
  readonly kind: "local" | "network" | "unknown";
}

/** Of a database that is only looked at. */
export interface DatabaseInfo {
  /** Of one that is elsewhere: what it is and how the connection is protected. */
  readonly server?: string;
  /** The newest migration that was applied. */
  readonly schemaVersion: string;
  /** The newest that this program knows. */
  readonly programSchemaVersion: string;
  readonly schema: "current" | "older" | "newer";
  /** Whether the encryption key is the one that the data was written with. */
  readonly canary: "match" | "wrong_key" | "absent" | "no_key";
}

/** One call that the file store makes of its bucket. */
export interface BucketStep {
  readonly step: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** The probes that know the database's engine; `main.ts` gives them. */
export interface EngineProbes {
  fileSystem(folder: string): FileSystemInfo | Promise<FileSystemInfo>;
  /** The mode that would be chosen and why. @throws when the asked one is refused */
  journalMode(config: Config): JournalModeInfo | Promise<JournalModeInfo>;
  /** The live process that holds the folder; null when nobody does. */
  findOwner(config: Config): Promise<InstanceOwner | null>;
  /**
   * Opens the database to look at it; never called while somebody holds the folder that it is in. Null when there
   * is none.
   */
  inspectDatabase(config: Config): Promise<DatabaseInfo | null>;
  /** Tries every call that the server makes of its bucket, on an object of its own. Never throws. */
  probeBucket(config: Config): Promise<readonly BucketStep[]>;
  /** @throws what Redis or the network says */
  pingRedis(url: string): Promise<{ readonly version: string; readonly tookMs: number }>;
}

export interface JournalModeInfo {
  readonly journalMode: string;
  readonly why: string;
}

export interface MachineProbes {
  nowMs(): number;
  freeBytes(folder: string): Promise<number>;
  /** Times of `count` writes of 4 KiB with fsync, in milliseconds. */
  fsyncTimesMs(folder: string, count: number): Promise<number[]>;
  /** The time that the file system gives to a file written now. */
  fileTimeMs(folder: string): Promise<number>;
  /** What the wall clock and the monotonic clock say has passed during a short wait. */
  elapsedMs(): Promise<{ wallMs: number; monotonicMs: number }>;
}

export type DoctorProbes = EngineProbes & MachineProbes;

/** The real machine. */
export const machineProbes: MachineProbes = {
  nowMs: () => Date.now(),
  freeBytes: async (folder) => {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  },
  fsyncTimesMs: async (folder, count) =>
    await withProbeFile(folder, async (handle) => {
      const block = randomBytes(4096);
      const times: number[] = [];
      for (let index = 0; index < count; index += 1) {
        const startedMs = performance.now();
        await handle.write(block, 0, block.length, index * block.length);
        await handle.sync();
        times.push(performance.now() - startedMs);
      }
      return times;
    }),
  fileTimeMs: async (folder) =>
    await withProbeFile(folder, async (handle) => {
      await handle.write(Buffer.from("clock"));
      await handle.sync();
      return (await handle.stat()).mtimeMs;
    }),
  elapsedMs: async () => {
    const wall = Date.now();
    const monotonic = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 50));
    return { wallMs: Date.now() - wall, monotonicMs: performance.now() - monotonic };
  },
};

export function describeOwner(owner: InstanceOwner): string {
  return `process ${owner.pid} on ${owner.host} since ${new Date(owner.startedMs).toISOString()}`;
}

/** Permission bits and kind of what is at `path`; null when nothing is. */
export async function findMode(path: string): Promise<{ mode: number; isFolder: boolean } | null> {
  try {
    const found = await stat(path);
    return { mode: found.mode & 0o777, isFolder: found.isDirectory() };
  } catch (error) {
    if (error instanceof Error && "code" in error && ["ENOENT", "ENOTDIR"].includes(String(error.code))) {
      return null;
    }
    throw error;
  }
}

type Handle = Awaited<ReturnType<typeof open>>;

async function withProbeFile<T>(folder: string, use: (handle: Handle) => Promise<T>): Promise<T> {
  const path = join(folder, `.doctor-${randomBytes(6).toString("hex")}.tmp`);
  const handle = await open(path, "wx", 0o600);
  try {
    return await use(handle);
  } finally {
    await handle.close();
    await unlink(path);
  }
}

import { chmodSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readConfig } from "../../server/config/read.ts";
import { formatChecks } from "../../server/doctor/format.ts";
import { type DatabaseInfo, type DoctorProbes, machineProbes } from "../../server/doctor/probes.ts";
import { runDoctor } from "../../server/doctor/run.ts";
import { ADMIN_TOKEN, freePort, run, startFakeServer, tempDir, usedDataDir } from "./support.ts";

const MIB = 1024 ** 2;
const DATABASE: DatabaseInfo = {
  schemaVersion: "2",
  programSchemaVersion: "2",
  schema: "current",
  canary: "match",
};
const OWNER = { host: "task-7", pid: 12, startedMs: Date.UTC(2025, 10, 21) };

/** A machine where all is well. */
function probes(overrides: Partial<DoctorProbes> = {}): DoctorProbes {
  return {
    ...machineProbes,
    fileSystem: () => ({ type: "ext4", kind: "local" }),
    journalMode: () => ({ journalMode: "wal", why: "/ is ext4 (local)" }),
    findOwner: async () => null,
    inspectDatabase: async () => DATABASE,
    freeBytes: async () => 5000 * MIB,
    fsyncTimesMs: async () => [1, 2, 300],
    probeBucket: () => Promise.reject(new Error("the bucket was not expected")),
    pingRedis: () => Promise.reject(new Error("Redis was not expected")),
    ...overrides,
  };
}

async function examine(overrides: Partial<DoctorProbes> = {}, env: Record<string, string> = {}) {
  const config = readConfig({ STATEHOUSE_DATA_DIR: usedDataDir(), ...env });
  const checks = await runDoctor(config, probes(overrides));
  return new Map(checks.map((check) => [check.name, check]));
}

/** Checks that aren't fine. */
function troubles(checks: Awaited<ReturnType<typeof examine>>) {
  return [...checks.values()].filter(({ status }) => status !== "ok");
}

describe("runDoctor", () => {
  it("finds nothing wrong where nothing is", async () => {
    const checks = await examine();
    expect(troubles(checks)).toEqual([]);
    expect([...checks.keys()]).toEqual([
      "data folder",
      "permissions",
      "free space",
      "fsync",
      "journal mode",
      "instance",
      "schema",
      "encryption key",
      "clock",
      "public URL",
    ]);
    expect(checks.get("fsync")?.detail).toBe("2.0 ms (median of 3)");
    expect(checks.get("journal mode")?.detail).toBe("wal: / is ext4 (local)");
  });

  it("measures the real machine, and leaves nothing behind", async () => {
    const dataDir = usedDataDir();
    const { freeBytes, fsyncTimesMs } = machineProbes;
    const config = readConfig({ STATEHOUSE_DATA_DIR: dataDir });
    const checks = await runDoctor(config, probes({ freeBytes, fsyncTimesMs }));
    expect(checks.filter(({ status }) => status === "fail")).toEqual([]);
    expect(checks.find(({ name }) => name === "fsync")?.detail).toMatch(/^\d+\.\d ms \(median of 7\)$/);
    expect(readdirSync(dataDir).toSorted()).toEqual(["admin.token", "statehouse.db"]);
  });

  const wrongKey = { ...DATABASE, canary: "wrong_key" } as const;
  const refused = () => Promise.reject(new Error("WAL needs a local file system"));
  it.each<[string, "warn" | "fail", string, Partial<DoctorProbes>]>([
    ["data folder", "warn", "zzfs (unknown)", { fileSystem: () => ({ type: "zzfs", kind: "unknown" }) }],
    ["free space", "warn", "1023 MiB", { freeBytes: async () => 1023 * MIB }],
    ["free space", "fail", "99 MiB", { freeBytes: async () => 99 * MIB }],
    ["fsync", "warn", "21.0 ms", { fsyncTimesMs: async () => [21, 3, 40] }],
    ["fsync", "fail", "EROFS", { fsyncTimesMs: () => Promise.reject(new Error("EROFS")) }],
    ["journal mode", "fail", "WAL needs a local", { journalMode: refused }],
    [
      "schema",
      "warn",
      "1; this program has 2",
      {
        inspectDatabase: async () => ({ ...DATABASE, schema: "older", schemaVersion: "1" }),
      },
    ],
    [
      "schema",
      "fail",
      "3 is newer",
      {
        inspectDatabase: async () => ({ ...DATABASE, schema: "newer", schemaVersion: "3" }),
      },
    ],
    ["schema", "fail", "malformed", { inspectDatabase: () => Promise.reject(new Error("malformed")) }],
    ["encryption key", "fail", "is not the one", { inspectDatabase: async () => wrongKey }],
    [
      "encryption key",
      "fail",
      "is missing",
      {
        inspectDatabase: async () => ({ ...DATABASE, canary: "no_key" }),
      },
    ],
    ["instance", "fail", "not a record", { findOwner: () => Promise.reject(new Error("not a record")) }],
    ["clock", "fail", "1970", { nowMs: () => 0 }],
    ["clock", "warn", "3.0 s from", { nowMs: () => 1.8e12, fileTimeMs: async () => 1.8e12 + 3000 }],
    ["clock", "warn", "-3.0 s from", { nowMs: () => 1.8e12, fileTimeMs: async () => 1.8e12 - 3000 }],
    ["clock", "warn", "moved by 5000", { elapsedMs: async () => ({ wallMs: 5000, monotonicMs: 50 }) }],
  ])("tells trouble with the %s: %s, %s", async (name, status, detail, overrides) => {
    const [trouble, ...others] = troubles(await examine(overrides));
    expect(others).toEqual([]);
    expect(trouble).toMatchObject({ name, status, detail: expect.stringContaining(detail) });
    expect(trouble?.advice).toMatch(/^[A-Z].+\.?$/);
  });

  it("tells what others can read, with the command against it", async () => {
    const dataDir = usedDataDir();
    writeFileSync(join(dataDir, "encryption.key"), "");
    chmodSync(join(dataDir, "encryption.key"), 0o640);
    const checks = await examine({}, { STATEHOUSE_DATA_DIR: dataDir });
    expect(checks.get("permissions")).toMatchObject({
      status: "warn",
      advice: `chmod 600 ${join(dataDir, "encryption.key")}`,
    });
  });

  it("has little to say before the first start, and makes nothing", async () => {
    const parent = tempDir();
    const checks = await examine({}, { STATEHOUSE_DATA_DIR: join(parent, "data") });
    expect([...checks.keys()]).toEqual(["data folder", "clock", "public URL"]);
    expect(checks.get("data folder")).toMatchObject({ status: "warn" });
    expect(readdirSync(parent)).toEqual([]);
  });
});

describe("beside a running server", () => {
  const untouchable = {
    findOwner: async () => OWNER,
    inspectDatabase: () => Promise.reject(new Error("the database was opened")),
  };

  it("asks the server and leaves the database alone", async () => {
    const body = { version: "0.1.0", database: { schema: "2" } };
    const server = await startFakeServer({ "GET /status": { body } });
    const checks = await examine(untouchable, { STATEHOUSE_PORT: String(server.port) });
    expect(troubles(checks)).toEqual([]);
    expect(checks.get("schema")?.detail).toBe("2, says the running server 0.1.0");
    expect(checks.get("instance")?.detail).toBe(
      "held by process 12 on task-7 since 2025-11-21T00:00:00.000Z",
    );
    expect(server.requests[0]?.authorization).toBe(`token ${ADMIN_TOKEN}`);
  });

  it("warns when the server can't be asked", async () => {
    const refusing = await startFakeServer({ "GET /status": { status: 401, body: {} } });
    for (const port of [await freePort(), refusing.port]) {
      const checks = await examine(untouchable, { STATEHOUSE_PORT: String(port) });
      expect(troubles(checks)).toMatchObject([{ name: "schema", status: "warn" }]);
    }
  });

  it("asks the public address, too", async () => {
    const server = await startFakeServer({ "GET /status": { body: { database: {} } } });
    const env = { STATEHOUSE_PORT: String(server.port) };
    const alive = await examine(untouchable, { ...env, STATEHOUSE_PUBLIC_URL: server.url });
    expect(alive.get("public URL")).toMatchObject({ status: "ok", detail: `${server.url} answers` });
    const nowhere = `http://127.0.0.1:${await freePort()}`;
    const dead = await examine(untouchable, { ...env, STATEHOUSE_PUBLIC_URL: nowhere });
    expect(dead.get("public URL")).toMatchObject({ status: "warn" });
  });
});

it.each([
  [{ STATEHOUSE_PUBLIC_URL: "https://state.example.com" }, "ok"],
  [{ STATEHOUSE_PUBLIC_URL: "http://state.example.com" }, "warn"],
  [{ STATEHOUSE_PUBLIC_URL: "https://example.com/state" }, "warn"],
  [{ STATEHOUSE_HOST: "0.0.0.0" }, "warn"],
  [{ STATEHOUSE_HOST: "localhost" }, "ok"],
])("judges the public URL of %o: %s", async (env: Record<string, string>, status) => {
  expect((await examine({}, env)).get("public URL")).toMatchObject({ status });
});

describe("the command", () => {
  const env = () => ({ STATEHOUSE_DATA_DIR: usedDataDir() });

  it("ends with 0 while nothing fails, and prints no colours into a file", async () => {
    const warned = probes({ freeBytes: async () => 500 * MIB });
    const { code, stdout } = await run(["doctor"], env(), { doctorProbes: () => warned });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^warn {2}free space +500 MiB\n +→ Free some space/m);
    expect(stdout).toMatch(/10 checks: 0 failed, 1 with a warning\.\n$/);
    expect(stdout).not.toContain("\u001b");
  });

  it("ends with 1 when something fails, and can say it in JSON", async () => {
    const failing = probes({ freeBytes: async () => 0 });
    const { code, stdout } = await run(["doctor", "--json"], env(), { doctorProbes: () => failing });
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toContainEqual(
      expect.objectContaining({ name: "free space", status: "fail", detail: "0 MiB" }),
    );
  });

  it("is coloured on a terminal", () => {
    const text = formatChecks([{ name: "x", status: "ok", detail: "y" }], true);
    expect(text).toContain("\u001b[32mok");
    expect(text).toContain("All checks are fine.");
  });
});

import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { describeConfig } from "../../server/config/describe.ts";
import { readConfig } from "../../server/config/read.ts";
import { problemsOf } from "./support.ts";

const KEY = "0123456789abcdef".repeat(4);
const OTHER_KEY = "FEDCBA9876543210".repeat(4);

describe("readConfig", () => {
  it("needs no settings", () => {
    expect(readConfig({})).toEqual({
      host: "127.0.0.1",
      port: 4000,
      dataDir: resolve("data"),
      publicUrl: null,
      adminToken: null,
      encryptionKey: null,
      previousEncryptionKeys: [],
      defaultOrg: "main",
      logLevel: "info",
      logFormat: "auto",
      journalMode: "auto",
      artifactBytesMax: 5 * 1024 ** 3,
      artifactBytesPerOrganization: null,
      artifactBytesPerStack: null,
      artifactDirect: true,
      artifactFilesMax: 100,
      artifactLinkSeconds: 900,
      artifactQuotaBytes: null,
      artifactRetentionDays: null,
      artifactsKeepPerOrganization: null,
      artifactsKeepPerStack: null,
      mode: "efs",
      database: "sqlite",
      files: "disk",
      replicas: 1,
      databaseUrl: null,
      redisUrl: null,
      databaseCaFile: null,
      databasePoolMax: 10,
      s3Bucket: null,
      s3Endpoint: null,
      s3Region: null,
      s3Prefix: null,
      s3ForcePathStyle: false,
      s3CaFile: null,
      s3KmsKeyId: null,
      journaling: true,
      deltaCheckpoints: false,
      deltaCutoffBytes: 1_048_576,
      leaseSecondsMax: 300,
      leaseGraceSeconds: 30,
      notStartedMinutes: 60,
      orphanBlobHours: 24,
      eventRetentionDays: null,
      versionRetentionDays: null,
      versionsKeep: null,
      gcCron: "* * * * *",
      checkpointBytesMax: 536_870_912,
      journalBatchBytesMax: 67_108_864,
      journalBytesMax: 1_073_741_824,
      eventBatchBytesMax: 33_554_432,
      secretBatchBytesMax: 201_326_592,
      jsonBytesMax: 1_048_576,
      jsonDepthMax: 512,
      requestTimeoutSeconds: 600,
      shutdownSeconds: 20,
      authFailuresPerMinute: 30,
      trustedProxyHops: 0,
      metricsToken: null,
      otlpEndpoint: null,
    });
  });

  it.each([
    ["STATEHOUSE_PORT", "0", { port: 0 }],
    ["STATEHOUSE_HOST", "::", { host: "::" }],
    ["STATEHOUSE_PUBLIC_URL", "https://state.example.com//", { publicUrl: "https://state.example.com" }],
    ["STATEHOUSE_DATA_DIR", "/srv/state", { dataDir: "/srv/state" }],
    ["STATEHOUSE_JOURNALING", "false", { journaling: false }],
    ["STATEHOUSE_DELTA_CHECKPOINTS", "1", { deltaCheckpoints: true }],
    ["STATEHOUSE_VERSIONS_KEEP", "1", { versionsKeep: 1 }],
    ["STATEHOUSE_LEASE_SECONDS_MAX", "30", { leaseSecondsMax: 30 }],
    ["STATEHOUSE_LOG_LEVEL", "silent", { logLevel: "silent" }],
    ["STATEHOUSE_GC_CRON", "*/5 * * * *", { gcCron: "*/5 * * * *" }],
    ["STATEHOUSE_ENCRYPTION_KEY", KEY, { encryptionKey: KEY }],
    [
      "STATEHOUSE_PREVIOUS_ENCRYPTION_KEYS",
      `${KEY}, ${OTHER_KEY}`,
      { previousEncryptionKeys: [KEY, OTHER_KEY] },
    ],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4318/", { otlpEndpoint: "http://otel:4318" }],
    ["STATEHOUSE_PORT", "", { port: 4000 }],
    ["STATEHOUSE_ADMIN_TOKEN", "", { adminToken: null }],
  ])("reads %s=%s", (name, value, expected) => {
    expect(readConfig({ [name]: value })).toMatchObject(expected);
  });

  it("prefers its own name for the collector", () => {
    const env = { STATEHOUSE_OTLP_ENDPOINT: "http://ours:1", OTEL_EXPORTER_OTLP_ENDPOINT: "http://theirs:1" };
    expect(readConfig(env).otlpEndpoint).toBe("http://ours:1");
  });

  it.each([
    ["STATEHOUSE_PORT", "65536", 'must be a whole number from 0 to 65535, not "65536"'],
    ["STATEHOUSE_PORT", "4e3", 'must be a whole number from 0 to 65535, not "4e3"'],
    ["STATEHOUSE_LEASE_SECONDS_MAX", "29", 'must be a whole number from 30 to 300, not "29"'],
    ["STATEHOUSE_LEASE_SECONDS_MAX", "301", 'must be a whole number from 30 to 300, not "301"'],
    ["STATEHOUSE_SHUTDOWN_SECONDS", "26", 'must be a whole number from 0 to 25, not "26"'],
    ["STATEHOUSE_VERSIONS_KEEP", "0", 'must be a whole number from 1 to 1000000, not "0"'],
    ["STATEHOUSE_JOURNALING", "maybe", 'must be true or false, not "maybe"'],
    ["STATEHOUSE_JOURNAL_MODE", "off", 'must be one of auto, wal, truncate, persist, not "off"'],
    ["STATEHOUSE_GC_CRON", "often", 'must be a cron expression, not "often"'],
    ["STATEHOUSE_HOST", "http://here/", 'must be a host name or an IP address, not "http://here/"'],
    [
      "STATEHOUSE_DEFAULT_ORG",
      "a",
      'must be 3 to 40 letters, digits, _ or -, the first and last a letter or digit, not "a"',
    ],
    [
      "STATEHOUSE_PUBLIC_URL",
      "state.example.com",
      'must be an http:// or https:// URL without user, query or fragment, not "state.example.com"',
    ],
    [
      "OTEL_EXPORTER_OTLP_ENDPOINT",
      "grpc://otel",
      'must be an http:// or https:// URL without user, query or fragment, not "grpc://otel"',
    ],
    // What may hold a secret is not repeated.
    [
      "STATEHOUSE_PUBLIC_URL",
      "https://ada:s3cret@x",
      "must be an http:// or https:// URL without user, query or fragment",
    ],
    ["STATEHOUSE_ADMIN_TOKEN", "s3cret", "must be 16 to 512 printable ASCII characters without blanks"],
    ["STATEHOUSE_METRICS_TOKEN", "s3cret", "must be 16 to 512 printable ASCII characters without blanks"],
    ["STATEHOUSE_ENCRYPTION_KEY", KEY.slice(1), "must be 64 hexadecimal digits"],
    [
      "STATEHOUSE_PREVIOUS_ENCRYPTION_KEYS",
      `${KEY},s3cret,s3cret`,
      "must be at most 16 keys of 64 hexadecimal digits, with commas between them",
    ],
  ])("refuses %s=%s", (name, value, problem) => {
    expect(problemsOf({ [name]: value })).toEqual([{ name, problem }]);
  });

  it.each([
    ["STATEHOUSE_PROT", "is not a setting; did you mean STATEHOUSE_PORT?"],
    ["STATEHOUSE_DATADIR", "is not a setting; did you mean STATEHOUSE_DATA_DIR?"],
    ["STATEHOUSE_ADMIN_TOKEN_FIEL", "is not a setting; did you mean STATEHOUSE_ADMIN_TOKEN_FILE?"],
    ["STATEHOUSE_SOMETHING_ELSE_ALTOGETHER", "is not a setting"],
    // Only secrets come as files.
    ["STATEHOUSE_PORT_FILE", "is not a setting; did you mean STATEHOUSE_PORT?"],
  ])("does not know %s", (name, problem) => {
    expect(problemsOf({ [name]: "1" })).toEqual([{ name, problem }]);
  });

  it("leaves alone what others put into the environment", () => {
    const env = {
      STATEHOUSE_URL: "http://localhost:4000", // the command line's
      // Kubernetes sets these in every pod beside a Service called statehouse.
      STATEHOUSE_PORT: "tcp://10.0.0.7:4000",
      STATEHOUSE_SERVICE_HOST: "10.0.0.7",
      STATEHOUSE_SERVICE_PORT_HTTP: "4000",
      STATEHOUSE_PORT_4000_TCP_ADDR: "10.0.0.7",
    };
    expect(readConfig(env).port).toBe(4000);
  });

  it("says everything at once, also what holds between two settings", () => {
    const problems = problemsOf({
      STATEHOUSE_PORT: "x",
      STATEHOUSE_LOGLEVEL: "info",
      STATEHOUSE_LOG_FORMAT: "xml",
      STATEHOUSE_ADMIN_TOKEN: "short",
      STATEHOUSE_ENCRYPTION_KEY: KEY,
      STATEHOUSE_ENCRYPTION_KEY_FILE: "/nowhere",
      STATEHOUSE_METRICS_TOKEN_FILE: "/nowhere",
      STATEHOUSE_JOURNAL_BYTES_MAX: "2048",
    });
    expect(problems.map(({ name }) => name).toSorted()).toEqual([
      "STATEHOUSE_ADMIN_TOKEN",
      "STATEHOUSE_ENCRYPTION_KEY_FILE",
      "STATEHOUSE_JOURNAL_BATCH_BYTES_MAX",
      "STATEHOUSE_LOGLEVEL",
      "STATEHOUSE_LOG_FORMAT",
      "STATEHOUSE_METRICS_TOKEN_FILE",
      "STATEHOUSE_PORT",
    ]);
  });
});

describe("describeConfig", () => {
  it("masks every secret and marks what is the default", () => {
    const lines = describeConfig(
      readConfig({
        STATEHOUSE_ADMIN_TOKEN: "an-admin-token-of-ours",
        STATEHOUSE_ENCRYPTION_KEY: KEY,
        STATEHOUSE_PREVIOUS_ENCRYPTION_KEYS: OTHER_KEY,
        STATEHOUSE_METRICS_TOKEN: "a-metrics-token-of-ours",
        STATEHOUSE_PORT: "4001",
      }),
    );
    const text = JSON.stringify(lines);
    for (const secret of ["an-admin-token", KEY, OTHER_KEY, "a-metrics-token"]) {
      expect(text).not.toContain(secret);
    }
    expect(lines).toContainEqual({ env: "STATEHOUSE_ADMIN_TOKEN", value: "********", isDefault: false });
    expect(lines).toContainEqual({ env: "STATEHOUSE_PORT", value: "4001", isDefault: false });
    expect(lines).toContainEqual({ env: "STATEHOUSE_LOG_LEVEL", value: "info", isDefault: true });
    expect(lines).toContainEqual({ env: "STATEHOUSE_DATA_DIR", value: resolve("data"), isDefault: true });
    expect(lines).toContainEqual({ env: "STATEHOUSE_VERSIONS_KEEP", value: null, isDefault: true });
  });
});

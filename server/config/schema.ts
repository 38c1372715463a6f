/**
 * Every setting, once: its type, range, default, unit and words. The environment name follows from the
 * property (`leaseSecondsMax` is STATEHOUSE_LEASE_SECONDS_MAX), so the two can't drift apart, and
 * docs/configuration.md is generated from here (`node scripts/config-docs.ts`).
 */
import { resolve } from "node:path";
import { validate as isCronExpression } from "node-cron";
import { z } from "zod";
import {
  bool,
  checkedText,
  integer,
  type Kind,
  oneOf,
  optionalInteger,
  optionalOneOf,
  optionalText,
  optionalUrl,
  text,
  textList,
} from "./kinds.ts";
import { adaptersOf, DATABASES, FILE_STORES, MODES, shapeProblems } from "./shape.ts";

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export const LOG_FORMATS = ["auto", "json", "pretty"] as const;
export const JOURNAL_MODES = ["auto", "wal", "truncate", "persist"] as const;

/** What is known of a setting apart from its value. */
export interface SettingFacts {
  readonly description: string;
  readonly allowed: string;
  readonly initial: string | null;
  readonly unit: string | null;
  readonly secret: boolean;
}

const facts = z.registry<SettingFacts>();

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

const server = {
  host: setting(
    "Address to listen on; `0.0.0.0` or `::` for every interface",
    text({
      allowed: "a host name or an IP address",
      pattern: /^[a-zA-Z0-9.:_-]{1,253}$/,
      initial: "127.0.0.1",
    }),
  ),
  port: setting(
    "TCP port to listen on; 0 takes any free port",
    integer({ min: 0, max: 65_535, initial: 4000 }),
  ),
  publicUrl: setting(
    "Address at which people and CLIs reach the server, when a proxy stands before it; unset: the local address",
    optionalUrl(),
  ),
  trustedProxyHops: setting(
    "Proxies before the server whose X-Forwarded-For is believed",
    integer({ min: 0, max: 10, initial: 0 }),
  ),
  defaultOrg: setting(
    "Organization that is made at the first start, and that stacks named without one belong to",
    text({
      allowed: "3 to 40 letters, digits, _ or -, the first and last a letter or digit",
      pattern: /^[a-zA-Z0-9][a-zA-Z0-9_-]{1,38}[a-zA-Z0-9]$/,
      initial: "main",
    }),
  ),
  requestTimeoutSeconds: setting(
    "Longest time that one request may take to arrive, its body included",
    integer({ min: 1, max: 3600, initial: 600 }),
    { unit: "seconds" },
  ),
  shutdownSeconds: setting(
    "Time for running requests to end after SIGTERM, before they are cut off",
    integer({ min: 0, max: 25, initial: 20 }),
    { unit: "seconds" },
  ),
};

const secrets = {
  adminToken: setting(
    "Token of the admin API; it also signs a CLI in as the user `admin`. Unset: `admin.token` in the data folder",
    optionalText({
      allowed: "16 to 512 printable ASCII characters without blanks",
      pattern: /^[\x21-\x7e]{16,512}$/,
    }),
    { secret: true },
  ),
  encryptionKey: setting(
    "Key that everything stored is encrypted with. Unset: `encryption.key` in the data folder",
    optionalText({ allowed: "64 hexadecimal digits", pattern: /^[0-9a-fA-F]{64}$/ }),
    { secret: true },
  ),
  previousEncryptionKeys: setting(
    "Keys that older data may still be encrypted with, after a change of key",
    textList({
      allowed: "at most 16 keys of 64 hexadecimal digits, with commas between them",
      pattern: /^[0-9a-fA-F]{64}$/,
      maxItems: 16,
    }),
    { secret: true },
  ),
  metricsToken: setting(
    "Token that /metrics asks for; unset: /metrics is open to whoever reaches the port",
    optionalText({
      allowed: "16 to 512 printable ASCII characters without blanks",
      pattern: /^[\x21-\x7e]{16,512}$/,
    }),
    { secret: true },
  ),
  authFailuresPerMinute: setting(
    "Failed sign-ins that one address may make in a minute before it has to wait",
    integer({ min: 1, max: 100_000, initial: 30 }),
  ),
};

const storage = {
  mode: setting(
    "The shape: `efs` is SQLite and local files, one instance; `aurora` is Postgres and S3, any number of them",
    oneOf(MODES, "efs"),
  ),
  database: setting("Where the rows are, when it isn't what the mode says", optionalOneOf(DATABASES)),
  files: setting("Where the states are, when it isn't what the mode says", optionalOneOf(FILE_STORES)),
  replicas: setting(
    "How many instances there will be; SQLite takes one",
    integer({ min: 1, max: 1000, initial: 1 }),
  ),
  dataDir: setting(
    "Folder of the database, the files and the generated secrets",
    checkedText({ allowed: "a path", accepts: (value) => !value.includes("\0"), initial: "./data" }),
  ),
  journalMode: setting(
    "SQLite's journal mode; `auto` takes WAL on a local disk and a rollback journal on a network file system",
    oneOf(JOURNAL_MODES, "auto"),
  ),
  databaseUrl: setting(
    "Postgres: postgres://user:password@host:port/name; `sslmode=verify-full` checks the certificate",
    optionalText({ allowed: "a postgres:// URL", pattern: /^postgres(ql)?:\/\/[^\s]{1,2000}$/ }),
    { secret: true },
  ),
  databaseCaFile: setting(
    "Postgres: file with the certificates of the authorities to trust, such as the RDS bundle",
    optionalText({ allowed: "a path", pattern: /^[^\0]{1,4096}$/ }),
  ),
  databasePoolMax: setting(
    "Postgres: connections of one instance",
    integer({ min: 1, max: 500, initial: 10 }),
  ),
  redisUrl: setting(
    "Redis: redis://user:password@host:port/number, or rediss:// with TLS; counts failed sign-ins of all instances. Optional",
    optionalText({ allowed: "a redis:// or rediss:// URL", pattern: /^rediss?:\/\/[^\s]{1,2000}$/ }),
    { secret: true },
  ),
  s3Bucket: setting(
    "S3: the bucket",
    optionalText({ allowed: "a bucket's name", pattern: /^[a-z0-9A-Z][a-zA-Z0-9._-]{1,254}$/ }),
  ),
  s3Endpoint: setting("S3: address of a server that isn't AWS's, such as MinIO", optionalUrl()),
  s3Region: setting(
    "S3: region; unset: what the AWS chain says, else us-east-1",
    optionalText({ allowed: "a region's name", pattern: /^[a-z0-9-]{1,64}$/ }),
  ),
  s3Prefix: setting(
    "S3: what every key begins with",
    optionalText({ allowed: "letters, digits, . _ / and -", pattern: /^[A-Za-z0-9._/-]{1,200}$/ }),
  ),
  s3ForcePathStyle: setting(
    "S3: the bucket in the path and not in the host name, as MinIO wants it",
    bool(false),
  ),
  s3CaFile: setting(
    "S3: file with the certificates of the authorities to trust",
    optionalText({ allowed: "a path", pattern: /^[^\0]{1,4096}$/ }),
  ),
  s3KmsKeyId: setting(
    "S3: KMS key for the bucket's own encryption, on top of ours",
    optionalText({ allowed: "a key's id, ARN or alias", pattern: /^[A-Za-z0-9:/_-]{1,2048}$/ }),
  ),
};

const protocol = {
  journaling: setting("Let CLIs send journals in place of whole checkpoints", bool(true)),
  deltaCheckpoints: setting(
    "Let CLIs without journaling send only what changed in a checkpoint",
    bool(false),
  ),
  deltaCutoffBytes: setting(
    "Checkpoints smaller than this are sent whole even so",
    integer({ min: 0, max: GIB, initial: MIB }),
    { unit: "bytes" },
  ),
  leaseSecondsMax: setting(
    "Longest lease of a running update. The CLI takes it for 300 and renews after some 190: less is for tests",
    integer({ min: 30, max: 300, initial: 300 }),
    { unit: "seconds" },
  ),
  leaseGraceSeconds: setting(
    "Time after the end of a lease before its stack is freed",
    integer({ min: 0, max: 3600, initial: 30 }),
    { unit: "seconds" },
  ),
};

const upkeep = {
  gcCron: setting(
    "When the sweeps run",
    checkedText({ allowed: "a cron expression", accepts: isCronExpression, initial: "* * * * *" }),
  ),
  notStartedMinutes: setting(
    "Time after which an update that was never started is discarded",
    integer({ min: 1, max: 10_080, initial: 60 }),
    { unit: "minutes" },
  ),
  orphanBlobHours: setting(
    "Age at which a file that nothing names is deleted",
    integer({ min: 1, max: 8760, initial: 24 }),
    { unit: "hours" },
  ),
  eventRetentionDays: setting(
    "Age at which the event logs of ended updates are deleted; unset: kept",
    optionalInteger({ min: 1, max: 36_500 }),
    { unit: "days" },
  ),
  versionRetentionDays: setting(
    "Age at which old versions of a stack's state are deleted; unset: kept",
    optionalInteger({ min: 1, max: 36_500 }),
    { unit: "days" },
  ),
  versionsKeep: setting(
    "Newest versions of a stack's state that are kept; unset: all",
    optionalInteger({ min: 1, max: 1_000_000 }),
  ),
};

const limits = {
  checkpointBytesMax: bytes("Largest checkpoint or imported state, decompressed", 512 * MIB, 4 * GIB),
  journalBatchBytesMax: bytes("Largest batch of journal entries, decompressed", 64 * MIB, GIB),
  journalBytesMax: bytes("Largest journal of one update", GIB, 16 * GIB),
  eventBatchBytesMax: bytes("Largest batch of engine events, decompressed", 32 * MIB, GIB),
  secretBatchBytesMax: bytes("Largest batch of secrets to encrypt or decrypt", 192 * MIB, GIB),
  jsonBytesMax: bytes("Largest body of every other request, decompressed", MIB, 64 * MIB),
  jsonDepthMax: setting("Deepest nesting of a JSON body", integer({ min: 16, max: 10_000, initial: 512 })),
};

const artifacts = {
  artifactBytesMax: bytes("Largest artifact", 5 * GIB, 1024 * GIB),
  artifactFilesMax: setting("Files in one upload", integer({ min: 1, max: 1000, initial: 100 })),
  artifactQuotaBytes: setting(
    "All artifacts of one organization together; what would exceed it is refused. Unset: no quota",
    optionalInteger({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    { unit: "bytes" },
  ),
  artifactDirect: setting(
    "Let clients move artifacts to and from S3 directly; they are then encrypted by the bucket, not by us",
    bool(true),
  ),
  artifactLinkSeconds: setting(
    "How long a link to upload or download an artifact lasts",
    integer({ min: 10, max: 86_400, initial: 900 }),
    { unit: "seconds" },
  ),
  artifactRetentionDays: setting(
    "Age at which artifacts are deleted that nobody pinned; unset: kept",
    optionalInteger({ min: 1, max: 36_500 }),
    { unit: "days" },
  ),
  artifactsKeepPerStack: setting(
    "Newest artifacts of a stack that are kept; unset: all",
    optionalInteger({ min: 1, max: 10_000_000 }),
  ),
  artifactBytesPerStack: setting(
    "Size above which a stack's oldest artifacts are deleted; unset: none",
    optionalInteger({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    { unit: "bytes" },
  ),
  artifactsKeepPerOrganization: setting(
    "Newest artifacts of an organization that are kept; unset: all",
    optionalInteger({ min: 1, max: 10_000_000 }),
  ),
  artifactBytesPerOrganization: setting(
    "Size above which an organization's oldest artifacts are deleted; unset: none",
    optionalInteger({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    { unit: "bytes" },
  ),
};

const observation = {
  logLevel: setting("Least serious message that is logged", oneOf(LOG_LEVELS, "info")),
  logFormat: setting("`auto` is pretty on a terminal and JSON elsewhere", oneOf(LOG_FORMATS, "auto")),
  otlpEndpoint: setting(
    "OpenTelemetry collector that traces are sent to (OTLP over HTTP); unset: OTEL_EXPORTER_OTLP_ENDPOINT, or none",
    optionalUrl(),
  ),
};

/** The settings by theme, in the order of the documentation. */
export const SETTING_GROUPS = {
  Server: server,
  "Secrets and sign-in": secrets,
  Storage: storage,
  "Updates of the Pulumi CLI": protocol,
  Upkeep: upkeep,
  Limits: limits,
  Artifacts: artifacts,
  "Logs and traces": observation,
} as const;

const JournalSizes = z.object({ journalBatchBytesMax: z.number(), journalBytesMax: z.number() });

/** From settings as text, by property name, to a Config. */
export const ConfigSchema = z
  .object({
    ...server,
    ...secrets,
    ...storage,
    ...protocol,
    ...upkeep,
    ...limits,
    ...artifacts,
    ...observation,
  })
  .refine((config) => config.journalBatchBytesMax <= config.journalBytesMax, {
    path: ["journalBatchBytesMax"],
    error: "must not be larger than STATEHOUSE_JOURNAL_BYTES_MAX",
    // Without `when`, zod would keep quiet about this until every other problem is solved.
    when: ({ value }) => JournalSizes.safeParse(value).success,
  })
  .superRefine((config, ctx) => {
    for (const { name, problem } of shapeProblems(config)) {
      ctx.addIssue({ code: "custom", path: [name], message: problem });
    }
  })
  .transform((config) => ({ ...config, ...adaptersOf(config), dataDir: resolve(config.dataDir) }))
  .readonly();

/** All settings, checked; `dataDir` is absolute, URLs have no slash at their end, null means not set. */
export type Config = z.output<typeof ConfigSchema>;
export type SettingName = keyof Config;

export interface Setting extends SettingFacts {
  readonly name: SettingName;
  readonly env: string;
}

/** Every setting with its facts, in the order of the documentation. */
export const SETTINGS: readonly Setting[] = Object.values(SETTING_GROUPS).flatMap(settingsOf);

export function settingsOf(group: Readonly<Record<string, z.ZodType>>): Setting[] {
  return Object.entries(group).map(([name, schema]) => {
    const known = facts.get(schema);
    if (known === undefined) throw new Error(`the setting ${name} has no description`);
    return { ...known, name: name as SettingName, env: environmentName(name) };
  });
}

/** `dataDir` → `STATEHOUSE_DATA_DIR`. */
export function environmentName(name: string): string {
  return `STATEHOUSE_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

function setting<Schema extends z.ZodType>(
  description: string,
  kind: Kind<Schema>,
  more: { unit?: string; secret?: boolean } = {},
): Schema {
  const { unit = null, secret = false } = more;
  const { allowed, initial } = kind;
  facts.add(kind.schema, { description, allowed, initial, unit, secret });
  return kind.schema;
}

function bytes(description: string, initial: number, max: number) {
  return setting(description, integer({ min: 1024, max, initial }), { unit: "bytes" });
}

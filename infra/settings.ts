/** From statehouse.config.ts and a stage's name to every choice, made. Pure; what can be wrong is said here. */
import { SERVER_KEEP_ALIVE_SECONDS } from "./facts.ts";
import type { DomainInput, Edge, Mode, StageConfig, StatehouseConfig } from "./input.ts";

export interface Domain {
  readonly name: string;
  readonly dns: "route53" | "cloudflare" | "none";
  readonly zone: string | null;
  readonly cert: string | null;
}

export interface Settings {
  readonly stage: string;
  readonly mode: Mode;
  readonly production: boolean;
  readonly region: string;
  readonly edge: Edge;
  readonly domain: Domain | null;
  readonly image: string | null;
  readonly architecture: "arm64" | "x86_64";
  readonly cpu: NonNullable<StageConfig["cpu"]>;
  readonly memory: `${number} GB`;
  readonly replicas: { readonly min: number; readonly max: number };
  readonly spot: boolean;
  readonly database: {
    readonly minAcu: number;
    readonly maxAcu: number;
    readonly pauseAfterMinutes: number | null;
    readonly readers: number;
  };
  readonly redis: { readonly instance: string } | null;
  readonly bothStorages: boolean;
  readonly protectData: boolean;
  readonly nat: "none" | "ec2" | "managed";
  readonly bastion: boolean;
  readonly idleTimeoutSeconds: number;
  readonly logRetention: NonNullable<StageConfig["logRetention"]>;
  readonly previousEncryptionKeys: boolean;
  readonly environment: Readonly<Record<string, string>>;
}

const REPLICAS_MAX = 50;
const ACU_MAX = 256;
const IDLE_SECONDS_MAX = SERVER_KEEP_ALIVE_SECONDS - 5;

/** Set by infra/ itself, or a secret: not for `environment`. */
const NOT_FOR_ENVIRONMENT =
  /^STATEHOUSE_(MODE|REPLICAS|HOST|PORT|DATA_DIR|DATABASE|FILES|DATABASE_URL|DATABASE_CA_FILE|REDIS_URL|S3_BUCKET|S3_REGION|PUBLIC_URL|TRUSTED_PROXY_HOPS|\w+_FILE|\w*(TOKEN|KEYS?))$/;

/** @throws Error with every problem of the stage at once */
export function resolve(config: StatehouseConfig, stage: string): Settings {
  const { stages, ...base } = config;
  const settings = withDefaults({ ...base, ...stages?.[stage] }, stage);
  const problems = problemsOf(settings, { ...base, ...stages?.[stage] });
  if (problems.length === 0) return settings;
  throw new Error(`statehouse.config.ts, stage ${stage}:\n${problems.map((it) => `  - ${it}`).join("\n")}`);
}

function withDefaults(input: StageConfig & { mode: Mode }, stage: string): Settings {
  const production = input.production ?? stage === "production";
  const isAurora = input.mode === "aurora";
  const image = input.image ?? process.env.STATEHOUSE_IMAGE ?? "";
  return {
    stage,
    mode: input.mode,
    production,
    region: input.region ?? "us-east-1",
    edge: input.edge ?? "cdn",
    domain: input.domain === undefined ? null : domainOf(input.domain),
    image: image === "" ? null : image,
    architecture: input.architecture ?? "arm64",
    cpu: input.cpu ?? (isAurora && production ? "0.5 vCPU" : "0.25 vCPU"),
    memory: input.memory ?? "1 GB",
    replicas: input.replicas ?? replicasOf(isAurora, production),
    spot: input.spot ?? (isAurora && !production),
    database: databaseOf(input.database ?? {}, production),
    redis: redisOf(input.redis ?? false),
    bothStorages: input.bothStorages ?? false,
    protectData: input.protectData ?? production,
    nat: input.nat ?? "none",
    bastion: input.bastion ?? false,
    idleTimeoutSeconds: input.idleTimeoutSeconds ?? IDLE_SECONDS_MAX,
    logRetention: input.logRetention ?? (production ? "3 months" : "1 week"),
    previousEncryptionKeys: input.previousEncryptionKeys ?? false,
    environment: input.environment ?? {},
  };
}

function domainOf(domain: string | DomainInput): Domain {
  const given: DomainInput = typeof domain === "string" ? { name: domain } : domain;
  return {
    name: given.name,
    dns: given.dns ?? "route53",
    zone: given.zone ?? null,
    cert: given.cert ?? null,
  };
}

function redisOf(given: NonNullable<StageConfig["redis"]>): Settings["redis"] {
  if (given === false) return null;
  return { instance: (given === true ? undefined : given.instance) ?? "t4g.micro" };
}

function replicasOf(isAurora: boolean, production: boolean): Settings["replicas"] {
  if (!isAurora) return { min: 1, max: 1 };
  return production ? { min: 2, max: 6 } : { min: 1, max: 2 };
}

function databaseOf(given: NonNullable<StageConfig["database"]>, production: boolean): Settings["database"] {
  const minAcu = given.minAcu ?? (production ? 0.5 : 0);
  return {
    minAcu,
    maxAcu: given.maxAcu ?? (production ? 8 : 2),
    pauseAfterMinutes: given.pauseAfterMinutes ?? (minAcu === 0 ? 15 : null),
    readers: given.readers ?? 0,
  };
}

function problemsOf(settings: Settings, input: StageConfig): string[] {
  return [
    ...nameProblems(settings),
    ...writerProblems(settings),
    ...databaseProblems(settings, input),
    ...redisProblems(settings),
    ...edgeProblems(settings),
    ...environmentProblems(settings),
  ];
}

function nameProblems({ stage, mode, memory, cpu }: Settings): string[] {
  const problems: string[] = [];
  if (!/^[a-z0-9][a-z0-9-]{0,19}$/.test(stage))
    problems.push("a stage's name is 1 to 20 small letters, digits or -");
  if (mode !== "efs" && mode !== "aurora") problems.push(`mode is "efs" or "aurora", not "${String(mode)}"`);
  if (memory === "0.5 GB" && cpu !== "0.25 vCPU") problems.push("0.5 GB goes with 0.25 vCPU alone");
  return problems;
}

/** One writer in efs mode: section 1 of test/infra/single-writer.test.ts. */
function writerProblems({ mode, replicas, spot, production }: Settings): string[] {
  const problems: string[] = [];
  const { min, max } = replicas;
  if (mode === "efs" && (min !== 1 || max !== 1))
    problems.push('replicas must be 1 with mode "efs"; for more, move to "aurora" (`statehouse transfer`)');
  if (mode === "efs" && spot)
    problems.push('no Spot with mode "efs": a reclaimed task and its successor would meet on one file');
  if (production && spot) problems.push("no Spot in production");
  if (!(Number.isInteger(min) && Number.isInteger(max) && min >= 1 && max >= min && max <= REPLICAS_MAX))
    problems.push(`replicas need 1 ≤ min ≤ max ≤ ${REPLICAS_MAX}`);
  return problems;
}

function databaseProblems({ database, production }: Settings, input: StageConfig): string[] {
  const problems: string[] = [];
  const { minAcu, maxAcu, pauseAfterMinutes, readers } = database;
  const isStep = (acu: number) => Number.isInteger(acu * 2) && acu >= 0 && acu <= ACU_MAX;
  if (!isStep(minAcu) || !isStep(maxAcu) || maxAcu < 1 || minAcu > maxAcu)
    problems.push(`database: 0 ≤ minAcu ≤ maxAcu ≤ ${ACU_MAX} in steps of 0.5, and maxAcu at least 1`);
  if (input.database?.pauseAfterMinutes !== undefined && minAcu > 0)
    problems.push("database.pauseAfterMinutes needs minAcu 0: only then Aurora pauses");
  if (pauseAfterMinutes !== null && (pauseAfterMinutes < 5 || pauseAfterMinutes > 1440))
    problems.push("database.pauseAfterMinutes is from 5 to 1440");
  if (production && minAcu === 0)
    problems.push("database.minAcu is at least 0.5 in production: waking takes half a minute");
  if (!Number.isInteger(readers) || readers < 0 || readers > 15)
    problems.push("database.readers is from 0 to 15");
  return problems;
}

function redisProblems({ mode, redis }: Settings): string[] {
  const problems: string[] = [];
  if (redis === null) return problems;
  if (mode === "efs") problems.push('redis goes with mode "aurora": the one task of efs counts by itself');
  if (!/^[a-z]\w*\.\w+$/.test(redis.instance))
    problems.push('redis.instance is a type such as "t4g.micro", without "cache."');
  return problems;
}

function edgeProblems({ edge, domain, production, idleTimeoutSeconds, region }: Settings): string[] {
  const problems: string[] = [];
  if (edge === "alb" && production && domain === null)
    problems.push('edge "alb" needs a domain in production: without one there is no TLS; "cdn" needs none');
  if (domain?.dns === "none" && domain.cert === null)
    problems.push('domain.dns "none" needs domain.cert: nobody could prove that the name is yours');
  const certRegion = edge === "cdn" ? "us-east-1" : region;
  if (domain?.cert && domain.cert.split(":")[3] !== certRegion)
    problems.push(`domain.cert must be in ${certRegion} for edge "${edge}"`);
  if (idleTimeoutSeconds < 1 || idleTimeoutSeconds > IDLE_SECONDS_MAX)
    problems.push(
      `idleTimeoutSeconds is from 1 to ${IDLE_SECONDS_MAX}: the server closes idle connections later`,
    );
  return problems;
}

function environmentProblems({ environment }: Settings): string[] {
  return Object.keys(environment)
    .filter((name) => NOT_FOR_ENVIRONMENT.test(name) || !name.startsWith("STATEHOUSE_"))
    .map((name) => `environment.${name} can't be set here: it has its own setting, or is a secret`);
}

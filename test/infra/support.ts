/** Looking at what was synthesised. */
import { afterAll, beforeAll, describe, expect } from "vitest";
import type { StatehouseConfig } from "../../infra/input.ts";
import { isPrepared } from "./synth/bundle.ts";
import type { Resource, Synthesis, SynthInput } from "./synth/case.ts";
import { removeBundle, synth } from "./synth/synth.ts";

/** A case may wait for a core. */
const SYNTH_MS_MAX = 120_000;

const CERT = "arn:aws:acm:us-east-1:123456789012:certificate/1";

/** Every shape that the rules are held against. */
export const CASES = {
  "efs production": { stage: "production", config: { mode: "efs" } },
  "efs staging": { stage: "staging", config: { mode: "efs" } },
  "efs production, alb": {
    stage: "production",
    config: { mode: "efs", edge: "alb", domain: "state.example.com" },
  },
  "efs preview, api": { stage: "pr-12", config: { mode: "efs", edge: "api" } },
  "efs production, both storages": { stage: "production", config: { mode: "efs", bothStorages: true } },
  "aurora production": { stage: "production", config: { mode: "aurora" } },
  "aurora staging": { stage: "staging", config: { mode: "aurora" } },
  "aurora production, alb, foreign certificate": {
    stage: "production",
    config: {
      mode: "aurora",
      edge: "alb",
      domain: { name: "state.example.com", dns: "none", cert: CERT },
      database: { readers: 1 },
    },
  },
  "aurora production, cdn, cloudflare, nat, bastion": {
    stage: "production",
    config: {
      mode: "aurora",
      domain: { name: "state.example.com", dns: "cloudflare", zone: "cf-zone" },
      nat: "ec2",
      bastion: true,
      previousEncryptionKeys: true,
      environment: { STATEHOUSE_LOG_LEVEL: "debug" },
    },
  },
  "aurora preview, api": { stage: "pr-12", config: { mode: "aurora", edge: "api" } },
} as const satisfies Record<string, SynthInput>;

export type CaseName = keyof typeof CASES;
export const CASE_NAMES = Object.keys(CASES) as CaseName[];
export const isProduction = (name: CaseName) => CASES[name].stage === "production";
export const configOf = (name: CaseName): StatehouseConfig => CASES[name].config;
export const modeOf = (name: CaseName): StatehouseConfig["mode"] => CASES[name].config.mode;
export const casesOf = (mode: StatehouseConfig["mode"]) => CASE_NAMES.filter((it) => modeOf(it) === mode);

/** Set by scripts/infra-mutate.ts: one case is enough to see a rule broken. */
const ONLY = process.env.STATEHOUSE_TEST_INFRA_CASE ?? "";

/** Tests over one synthesis; skipped where SST's platform was not prepared (`npm run infra:prepare`). */
export function describeStage(
  input: SynthInput,
  label: string,
  tests: (made: () => Synthesis) => void,
): void {
  describe.skipIf(!isPrepared() || (ONLY !== "" && ONLY !== label))(label, () => {
    let synthesis: Synthesis | null = null;
    beforeAll(async () => {
      synthesis = await synth(input);
    }, SYNTH_MS_MAX);
    afterAll(removeBundle);
    tests(() => {
      if (synthesis === null) throw new Error("nothing was synthesised");
      return synthesis;
    });
  });
}

/** The same tests over several cases. */
export function describeCases(
  names: readonly CaseName[],
  tests: (made: () => Synthesis, name: CaseName) => void,
): void {
  for (const name of names) describeStage(CASES[name], name, (made) => tests(made, name));
}

/** All resources of a type such as `ecs/service`. */
export function all({ resources }: Synthesis, type: string): Resource[] {
  return resources.filter((it) => it.type.startsWith(`aws:${type}:`));
}

export function one(synthesis: Synthesis, type: string, name?: string): Resource {
  const found = all(synthesis, type).filter((it) => name === undefined || it.name === name);
  expect(
    found.map((it) => it.name),
    `one ${type}`,
  ).toHaveLength(1);
  return found[0] as Resource;
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly user: string;
  readonly stopTimeout: number;
  readonly readonlyRootFilesystem: boolean;
  readonly environment: readonly { name: string; value: string }[];
  readonly secrets: readonly { name: string; valueFrom: string }[];
  readonly portMappings: readonly { containerPort?: number }[];
  readonly mountPoints: readonly { sourceVolume: string; containerPath: string }[];
  readonly healthCheck?: {
    command: string[];
    startPeriod: number;
    interval: number;
    timeout: number;
    retries: number;
  };
  readonly linuxParameters: { initProcessEnabled: boolean };
}

export function containersOf(synthesis: Synthesis, name?: string): Container[] {
  return all(synthesis, "ecs/taskDefinition")
    .filter((it) => name === undefined || it.name === name)
    .flatMap((it) => JSON.parse(unwrap(it.inputs.containerDefinitions)) as Container[]);
}

export function serverOf(synthesis: Synthesis): Container {
  const [container, ...more] = containersOf(synthesis, "StatehouseTask");
  expect(more).toEqual([]);
  return container as Container;
}

/** The text itself, whether it is marked as secret or not. */
export function unwrap(value: unknown): string {
  return typeof value === "object" && value !== null && "$secret" in value
    ? String(value.$secret)
    : String(value);
}

export interface Statement {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource?: string | string[];
  readonly Principal?: unknown;
  readonly Condition?: Record<string, Record<string, unknown>>;
}

/** Every statement of our own in a role's inline policies. */
export function statementsOf(role: Resource): Statement[] {
  const policies = (role.inputs.inlinePolicies ?? []) as { policy: string }[];
  return policies.flatMap(({ policy }) => (JSON.parse(policy) as { Statement: Statement[] }).Statement);
}

export const list = (value: string | string[] | undefined): string[] =>
  value === undefined ? [] : [value].flat();

interface Rule {
  readonly protocol: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly cidrBlocks?: string[];
  readonly ipv6CidrBlocks?: string[];
  readonly prefixListIds?: string[];
  readonly securityGroups?: string[];
}

/** Who is let in where, over all groups, as `group: source port`. */
export function ingressOf(synthesis: Synthesis): string[] {
  const inline = all(synthesis, "ec2/securityGroup").flatMap((group) =>
    ((group.inputs.ingress ?? []) as Rule[]).flatMap((rule) => {
      const sources = [rule.cidrBlocks, rule.ipv6CidrBlocks, rule.prefixListIds, rule.securityGroups];
      const ports = rule.fromPort === rule.toPort ? `${rule.fromPort}` : `${rule.fromPort}-${rule.toPort}`;
      return sources.flatMap((ids) =>
        (ids ?? []).map((id) => `${group.name}: ${id} ${rule.protocol}/${ports}`),
      );
    }),
  );
  const separate = all(synthesis, "vpc/securityGroupIngressRule").map(
    ({ inputs }) =>
      `${String(inputs.securityGroupId).replace(/-id$/, "")}: ${inputs.referencedSecurityGroupId ?? inputs.cidrIpv4} ${inputs.ipProtocol}/${inputs.fromPort}`,
  );
  return [...inline, ...separate].sort();
}

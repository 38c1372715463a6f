/** Looking at what was synthesised. */
import { beforeAll, describe, expect, inject } from "vitest";
import { ALL_CASES, type AnyCase, type CaseName } from "./cases.ts";
import type { Resource, Synthesis } from "./synth/case.ts";
import { readSynthesis } from "./synth/synth.ts";

/** Set by scripts/infra-mutate.ts: one case is enough to see a rule broken. */
const ONLY = process.env.STATEHOUSE_TEST_INFRA_CASE ?? "";

/** Tests over one synthesis; skipped where SST's platform was not prepared (`npm run infra:prepare`). */
export function describeStage(name: AnyCase, tests: (made: () => Synthesis) => void): void {
  describe.skipIf(inject("infraBundle") === null || (ONLY !== "" && ONLY !== name))(name, () => {
    let synthesis: Synthesis | null = null;
    beforeAll(async () => {
      synthesis = await readSynthesis(ALL_CASES[name], inject("infraBundle") ?? "");
    });
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
  for (const name of names) describeStage(name, (made) => tests(made, name));
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
  readonly command?: readonly string[];
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

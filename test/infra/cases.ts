/** What is synthesised before the tests look at it. */
import type { StatehouseConfig } from "../../infra/input.ts";
import { acknowledgementOf } from "../../infra/mode-change.ts";
import type { SynthInput } from "./synth/case.ts";

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
      redis: true,
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
  "aurora preview, api": { stage: "pr-12", config: { mode: "aurora", edge: "api", bastion: true } },
} as const satisfies Record<string, SynthInput>;

export type CaseName = keyof typeof CASES;
export const CASE_NAMES = Object.keys(CASES) as CaseName[];
export const isProduction = (name: CaseName) => CASES[name].stage === "production";
export const configOf = (name: CaseName): StatehouseConfig => CASES[name].config;
export const modeOf = (name: CaseName): StatehouseConfig["mode"] => CASES[name].config.mode;
export const casesOf = (mode: StatehouseConfig["mode"]) => CASE_NAMES.filter((it) => modeOf(it) === mode);

const deployedIn = (mode: StatehouseConfig["mode"]): NonNullable<SynthInput["calls"]> => ({
  "aws:ssm/getParametersByPath:getParametersByPath": {
    ...{ names: ["/statehouse/production/guard/mode"], values: [mode], arns: [], types: [] },
  },
});
const IN_EFS = { stage: "production", calls: deployedIn("efs") } as const;
const WORDS = { STATEHOUSE_MODE_CHANGE: acknowledgementOf("efs", "aurora") };
const WRONG_WORDS = { STATEHOUSE_MODE_CHANGE: acknowledgementOf("aurora", "efs") };

/** Stages that are refused, or make nothing. */
export const OTHER_CASES = {
  "sst dev, efs": { stage: "ada", config: { mode: "efs" }, dev: true },
  "sst dev, aurora": { stage: "ada", config: { mode: "aurora" }, dev: true },
  "a change of mode, when the mode alone changes": { ...IN_EFS, config: { mode: "aurora" } },
  "a change of mode, when only the words are there": {
    ...IN_EFS,
    config: { mode: "aurora" },
    environment: WORDS,
  },
  "a change of mode, when both storages are there, but not the words": {
    ...IN_EFS,
    config: { mode: "aurora", bothStorages: true },
  },
  "a change of mode, when the words are for the other way": {
    ...IN_EFS,
    config: { mode: "aurora", bothStorages: true },
    environment: WRONG_WORDS,
  },
  "a change of mode that was prepared": {
    ...IN_EFS,
    config: { mode: "aurora", bothStorages: true },
    environment: WORDS,
  },
  "the mode that is deployed already": { ...IN_EFS, config: { mode: "efs" } },
  "a stage without its secrets": { stage: "production", config: { mode: "efs" }, secrets: {} },
  "efs with two replicas": { stage: "production", config: { mode: "efs", replicas: { min: 1, max: 2 } } },
} as const satisfies Record<string, SynthInput>;

export const ALL_CASES = { ...CASES, ...OTHER_CASES };
export type AnyCase = keyof typeof ALL_CASES;

/** statehouse.config.ts: defaults, and what is refused before anything is made. */
import { describe, expect, it } from "vitest";
import type { StatehouseConfig } from "../../infra/input.ts";
import { acknowledgementOf, refusalOf } from "../../infra/mode-change.ts";
import { resolve } from "../../infra/settings.ts";
import { SETTINGS } from "../../server/config/schema.ts";
import written from "../../statehouse.config.ts";

const CERT = (region: string) => `arn:aws:acm:${region}:123456789012:certificate/1`;

describe("resolve", () => {
  it("takes the file as it is, for every stage", () => {
    for (const stage of ["production", "staging", "pr-12", "ada"])
      expect(() => resolve(written, stage)).not.toThrow();
  });

  it("keeps data in the stage called production, or where it is told", () => {
    expect(resolve({ mode: "efs" }, "production")).toMatchObject({ production: true, protectData: true });
    expect(resolve({ mode: "efs" }, "staging")).toMatchObject({ production: false, protectData: false });
    expect(resolve({ mode: "efs", stages: { live: { production: true } } }, "live").production).toBe(true);
  });

  it("lets a stage be another", () => {
    const config: StatehouseConfig = { mode: "efs", edge: "cdn", stages: { big: { mode: "aurora" } } };
    expect(resolve(config, "big")).toMatchObject({ mode: "aurora", edge: "cdn", spot: true });
    expect(resolve(config, "small")).toMatchObject({ mode: "efs", spot: false });
  });

  it("takes the image that CI built", () => {
    process.env.STATEHOUSE_IMAGE = "registry/statehouse:1";
    try {
      expect(resolve({ mode: "efs" }, "a").image).toBe("registry/statehouse:1");
      expect(resolve({ mode: "efs", image: "mine" }, "a").image).toBe("mine");
    } finally {
      delete process.env.STATEHOUSE_IMAGE;
    }
    expect(resolve({ mode: "efs" }, "a").image).toBeNull();
  });

  const refused: readonly { why: string; config: StatehouseConfig; says: string }[] = [
    { why: "two writers", config: { mode: "efs", replicas: { min: 1, max: 2 } }, says: "replicas must be 1" },
    { why: "no writer", config: { mode: "efs", replicas: { min: 0, max: 1 } }, says: "replicas must be 1" },
    { why: "Spot with one file", config: { mode: "efs", spot: true }, says: "no Spot with" },
    { why: "Spot in production", config: { mode: "aurora", spot: true }, says: "no Spot in production" },
    { why: "min over max", config: { mode: "aurora", replicas: { min: 3, max: 2 } }, says: "min ≤ max" },
    { why: "no TLS", config: { mode: "efs", edge: "alb" }, says: "needs a domain" },
    {
      why: "a foreign zone without a certificate",
      config: { mode: "efs", domain: { name: "a.example", dns: "none" } },
      says: "needs domain.cert",
    },
    {
      why: "CloudFront's certificate elsewhere",
      config: { mode: "efs", domain: { name: "a.example", cert: CERT("eu-west-1") } },
      says: "must be in us-east-1",
    },
    {
      why: "the balancer's certificate elsewhere",
      config: {
        mode: "efs",
        edge: "alb",
        region: "eu-west-1",
        domain: { name: "a.example", cert: CERT("us-east-1") },
      },
      says: "must be in eu-west-1",
    },
    {
      why: "a pause that never comes",
      config: { mode: "aurora", database: { minAcu: 1, pauseAfterMinutes: 15 } },
      says: "needs minAcu 0",
    },
    {
      why: "a pause in production",
      config: { mode: "aurora", database: { minAcu: 0 } },
      says: "at least 0.5 in production",
    },
    {
      why: "a third of a unit",
      config: { mode: "aurora", database: { minAcu: 0.7 } },
      says: "in steps of 0.5",
    },
    {
      why: "idle longer than the server",
      config: { mode: "efs", idleTimeoutSeconds: 300 },
      says: "from 1 to 70",
    },
    {
      why: "a secret in clear text",
      config: { mode: "efs", environment: { STATEHOUSE_METRICS_TOKEN: "x" } },
      says: "STATEHOUSE_METRICS_TOKEN can't be set here",
    },
    {
      why: "Redis for one task",
      config: { mode: "efs", redis: true },
      says: 'redis goes with mode "aurora"',
    },
    {
      why: "a type of machine as AWS's console writes it",
      config: { mode: "aurora", redis: { instance: "cache.t4g.micro" } },
      says: "redis.instance is a type",
    },
    {
      why: "a variable of ours",
      config: { mode: "efs", environment: { STATEHOUSE_REPLICAS: "2" } },
      says: "STATEHOUSE_REPLICAS can't be set here",
    },
  ];
  it.each(refused)("refuses $why", ({ config, says }) => {
    expect(() => resolve(config, "production")).toThrow(says);
  });

  it("refuses every secret of the server in clear text, whichever there are", () => {
    for (const { env } of SETTINGS.filter((it) => it.secret)) {
      const config: StatehouseConfig = { mode: "efs", environment: { [env]: "x" } };
      expect(() => resolve(config, "a"), env).toThrow(`${env} can't be set here`);
    }
  });

  it("says everything that is wrong at once", () => {
    const wrong: StatehouseConfig = { mode: "efs", spot: true, edge: "alb", replicas: { min: 2, max: 2 } };
    expect(() => resolve(wrong, "production")).toThrow(/replicas must be 1.*no Spot.*needs a domain/s);
  });

  it("refuses a stage whose name AWS would not take", () => {
    expect(() => resolve({ mode: "efs" }, "Feature/Login")).toThrow("a stage's name");
  });
});

describe("refusalOf", () => {
  const settings = { stage: "production", mode: "aurora", bothStorages: true } as const;
  it("lets a first deploy and the same mode pass", () => {
    expect(refusalOf(settings, null, undefined)).toBeNull();
    expect(refusalOf(settings, "aurora", undefined)).toBeNull();
  });
  it("wants the words that name the transfer, for this very change", () => {
    expect(refusalOf(settings, "efs", undefined)).toContain(acknowledgementOf("efs", "aurora"));
    expect(refusalOf(settings, "efs", "yes")).toContain("statehouse transfer");
    expect(refusalOf(settings, "efs", acknowledgementOf("efs", "aurora"))).toBeNull();
  });
  it("wants both storages first, whatever the words", () => {
    const alone = { ...settings, bothStorages: false };
    expect(refusalOf(alone, "efs", acknowledgementOf("efs", "aurora"))).toContain("bothStorages: true");
  });
});

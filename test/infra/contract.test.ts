/** What infra gives the container is what the server reads. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { RDS_BUNDLE, rdsCertificates } from "../../docker/rds-certificates.ts";
import {
  DATA_DIR,
  HEALTHCHECK_COMMAND,
  LIVENESS_PATH,
  PORT,
  PROXY_HOPS,
  RDS_CA_FILE,
  READINESS_PATH,
  SERVER_KEEP_ALIVE_SECONDS,
  SERVER_STOP_SECONDS,
  STOP_TIMEOUT_SECONDS,
} from "../../infra/facts.ts";
import type { CommandLineDeps } from "../../server/cli/deps.ts";
import { readConfig } from "../../server/config/read.ts";
import { SETTINGS } from "../../server/config/schema.ts";
import { run } from "../command-line/support.ts";
import { CASE_NAMES, configOf, modeOf } from "./cases.ts";
import {
  type Container,
  containersOf,
  describeCases,
  describeStage,
  one,
  serverOf,
  unwrap,
} from "./support.ts";
import { ROOT } from "./synth/bundle.ts";
import type { Synthesis } from "./synth/case.ts";
import { SECRETS } from "./synth/synth.ts";

type TransferRequest = Parameters<CommandLineDeps["transfer"]>[0];

/** The environment as ECS would make it: secrets by the ARNs of their parameters. */
function environmentOf(synthesis: Synthesis, container: Container): Record<string, string> {
  const plain = container.environment.map(({ name, value }) => [name, value]);
  const secrets = container.secrets.map(({ name, valueFrom }) => {
    const parameter = one(synthesis, "ssm/parameter", valueFrom.split("/").at(-1));
    return [name, unwrap(parameter.inputs.value)];
  });
  const names = [...plain, ...secrets].map(([name]) => name);
  expect(new Set(names).size, "each variable once").toBe(names.length);
  return Object.fromEntries([...plain, ...secrets]);
}

describeCases(CASE_NAMES, (made, name) => {
  it("boots the server's config, with every variable known to it", () => {
    const container = serverOf(made());
    const environment = environmentOf(made(), container);
    const config = readConfig(environment);
    const mode = modeOf(name);
    const { edge = "cdn" } = configOf(name);
    expect(config).toMatchObject({
      mode,
      database: mode === "efs" ? "sqlite" : "postgres",
      files: mode === "efs" ? "disk" : "s3",
      host: "0.0.0.0",
      port: PORT,
      publicUrl: made().outputs.url,
      trustedProxyHops: PROXY_HOPS[edge],
      replicas: one(made(), "appautoscaling/target").inputs.maxCapacity,
      encryptionKey: SECRETS.EncryptionKey,
      adminToken: SECRETS.AdminToken,
      metricsToken: expect.stringMatching(/^Generated-MetricsToken/),
    });
    if (mode === "efs") {
      expect(config.dataDir).toBe(DATA_DIR);
      expect(container.mountPoints.map((it) => it.containerPath)).toContain(config.dataDir);
    } else {
      expect(config.databaseUrl).toMatch(
        /^postgres:\/\/statehouse:Generated-.*@writer\.cluster\.example:5432\//,
      );
      expect(config.databaseCaFile).toBe(RDS_CA_FILE);
      if (configOf(name).redis)
        expect(config.redisUrl).toMatch(/^rediss:\/\/default:.+@cache\.example:6379$/);
      expect(config.s3Bucket).toBe(made().outputs.bucket);
      expect(config.s3Region).toBe("us-east-1");
    }
    expect(container.portMappings).toEqual([{ containerPort: config.port }]);
    expect(config.shutdownSeconds).toBeLessThan(container.stopTimeout - 5);
  });

  it("passes every secret setting as a secret", () => {
    const secret = new Set(SETTINGS.filter((it) => it.secret).map((it) => it.env));
    for (const container of containersOf(made()))
      for (const { name: variable } of container.environment)
        expect(secret.has(variable), variable).toBe(false);
  });

  it("boots the transfer task too, where there is one", () => {
    for (const container of containersOf(made(), "TransferTask")) {
      const config = readConfig(environmentOf(made(), container));
      expect(config).toMatchObject({ mode: "aurora", database: "postgres", files: "s3", dataDir: DATA_DIR });
      expect(container.mountPoints.map((it) => it.containerPath)).toContain(DATA_DIR);
    }
  });

  it("passes previous keys while a key is being changed", () => {
    const config = readConfig(environmentOf(made(), serverOf(made())));
    const changing = configOf(name).previousEncryptionKeys === true;
    expect(config.previousEncryptionKeys).toEqual(changing ? [SECRETS.PreviousEncryptionKeys] : []);
    if (changing) expect(config.logLevel).toBe("debug");
  });
});

/** The real command line, started as ECS would start it; what it would move is caught. */
async function transferOf(synthesis: Synthesis): Promise<TransferRequest> {
  const [container] = containersOf(synthesis, "TransferTask");
  if (container === undefined) throw new Error("there is no transfer task");
  const asked: TransferRequest[] = [];
  const outcome = await run(container.command ?? [], environmentOf(synthesis, container), {
    transfer: async (request) => {
      asked.push(request);
      return { outcome: "was_moved" } as Awaited<ReturnType<CommandLineDeps["transfer"]>>;
    },
  });
  expect(outcome).toMatchObject({ code: 0, stderr: "" });
  return asked[0] as TransferRequest;
}

describeStage("efs production, both storages", (made) => {
  it("moves from the server on the file system to the database and the bucket, at the same address", async () => {
    const { url, bucket } = made().outputs;
    expect(await transferOf(made())).toMatchObject({
      from: { kind: "server", url, token: SECRETS.AdminToken },
      to: { database: "postgres", files: "s3", s3Bucket: bucket, encryptionKey: SECRETS.EncryptionKey },
      newUrl: url,
      waitMs: 3_600_000,
    });
  });
});

describeStage("a change of mode that was prepared", (made) => {
  it("moves the other way once the mode is the other", async () => {
    const { url } = made().outputs;
    expect(await transferOf(made())).toMatchObject({
      from: { kind: "config", config: { database: "postgres", files: "s3" } },
      to: { database: "sqlite", files: "disk", dataDir: DATA_DIR },
      newUrl: url,
    });
  });
});

describe("what infra knows of the server", () => {
  const source = (path: string) => readFileSync(join(ROOT, path), "utf8");

  it("has the paths that the server answers", () => {
    const health = source("server/http/health.ts");
    for (const path of [LIVENESS_PATH, READINESS_PATH]) expect(health).toContain(`"get", "${path}"`);
  });

  it("has the server's own times", () => {
    const keepAlive = /KEEP_ALIVE_MS = ([\d_]+)/.exec(source("server/start.ts"))?.[1]?.replaceAll("_", "");
    expect(Number(keepAlive) / 1000).toBe(SERVER_KEEP_ALIVE_SECONDS);
    const force = /FORCE_AFTER_SECONDS = (\d+)/.exec(source("server/serve.ts"))?.[1];
    expect(Number(force)).toBe(SERVER_STOP_SECONDS);
    expect(SERVER_STOP_SECONDS).toBeLessThan(STOP_TIMEOUT_SECONDS - 5);
  });

  it("has the image's user and folder, and its way to start and to be asked", () => {
    const dockerfile = source("Dockerfile");
    expect(dockerfile).toMatch(/^USER 1000:1000$/m);
    expect(dockerfile).toContain(`VOLUME ["${DATA_DIR}"]`);
    expect(dockerfile).toContain('ENTRYPOINT ["statehouse"]');
    expect(dockerfile).toContain(JSON.stringify(HEALTHCHECK_COMMAND.slice(1)).replace(",", ", "));
  });

  // Aurora's certificates are signed by authorities that Node doesn't know, and verify-full wants them.
  it("has the authorities of RDS where the image has them, every one of them good for a while", () => {
    expect(RDS_CA_FILE).toBe(`/app/${RDS_BUNDLE}`);
    const pems = rdsCertificates().match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    const authorities = pems.map((pem) => new X509Certificate(pem));
    const inAYear = Date.now() + 365 * 86_400_000;
    for (const it of authorities) {
      expect(it.ca, it.subject).toBe(true);
      expect(it.validToDate.getTime(), it.subject).toBeGreaterThan(inAYear);
    }
    const subjects = authorities.map((it) => it.subject).join("\n");
    for (const region of [
      "us-east-1",
      "us-west-2",
      "eu-central-1",
      "eu-west-1",
      "ap-southeast-2",
      "sa-east-1",
    ])
      for (const key of ["RSA2048", "RSA4096", "ECC384"])
        expect(subjects).toContain(`CN=Amazon RDS ${region} Root CA ${key} G1`);
  });
});

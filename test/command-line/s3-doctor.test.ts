/** The doctor of the second shape: the real probes, on a real Postgres, a real S3 server and a real Redis. */
import { afterAll, beforeEach, describe, expect, it, vi } from "vitest";
import { machineProbes } from "../../server/doctor/probes.ts";
import { engineProbes } from "../../server/engine.ts";
import { type SeenRequest, startProxy, type Verdict } from "../storage-adapters/s3-proxy.ts";
import { makeDatabase, makeEmptyDatabase } from "../support/postgres.ts";
import { describeRedis, freePort, TestRedis } from "../support/redis.ts";
import { newPrefix, startS3 } from "../support/s3.ts";
import { ADMIN_TOKEN, run } from "./support.ts";

const s3 = await startS3();
afterAll(() => s3.stop());

interface Check {
  readonly name: string;
  readonly status: string;
  readonly detail: string;
  readonly advice?: string;
}

async function settings(more: Readonly<Record<string, string>> = {}): Promise<Record<string, string>> {
  const { AWS_ACCESS_KEY_ID: _, AWS_SECRET_ACCESS_KEY: __, ...known } = s3.env;
  return {
    STATEHOUSE_MODE: "aurora",
    STATEHOUSE_REPLICAS: "2",
    STATEHOUSE_DATABASE_URL: await makeDatabase(),
    STATEHOUSE_ENCRYPTION_KEY: "7e".repeat(32),
    STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN,
    ...known,
    STATEHOUSE_S3_PREFIX: newPrefix(),
    ...more,
  };
}

async function examine(more: Readonly<Record<string, string>> = {}) {
  const doctorProbes = () => ({ ...machineProbes, ...engineProbes });
  const { code, stdout } = await run(["doctor", "--json"], await settings(more), { doctorProbes });
  const checks = JSON.parse(stdout) as Check[];
  return { code, checks, troubles: checks.filter(({ status }) => status !== "ok") };
}

beforeEach(() => {
  const { accessKeyId, secretAccessKey } = s3.options.credentials;
  vi.stubEnv("AWS_ACCESS_KEY_ID", accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", secretAccessKey);
  return () => vi.unstubAllEnvs();
});

describe("doctor on Postgres and S3", () => {
  it("finds nothing wrong where nothing is, and looks for no data folder", async () => {
    const { code, checks, troubles } = await examine();
    expect(troubles).toEqual([]);
    expect(code).toBe(0);
    const found = new Map(checks.map(({ name, detail }) => [name, detail]));
    expect([...found.keys()]).toEqual([
      "database",
      "schema",
      "encryption key",
      "S3 bucket",
      "clock",
      "public URL",
    ]);
    expect(found.get("database")).toMatch(/^Postgres \d+\S*.*, database test_\w+, no TLS$/);
    expect(found.get("S3 bucket")).toBe(
      `"${s3.options.bucket}" at ${s3.options.endpoint}: ` +
        "put, get, range, list, multipart, multipart-list, multipart-abort, delete work",
    );
  });

  it("is content with a database that is empty yet", async () => {
    const { checks, troubles } = await examine({ STATEHOUSE_DATABASE_URL: await makeEmptyDatabase() });
    expect(troubles).toEqual([]);
    expect(checks.find(({ name }) => name === "schema")?.detail).toContain("the first start makes them");
  });

  it("says that the bucket is not there", async () => {
    const { code, troubles } = await examine({ STATEHOUSE_S3_BUCKET: "no-such-bucket" });
    expect(code).toBe(1);
    expect(troubles).toEqual([
      {
        name: "S3 bucket",
        status: "fail",
        detail: `There is no bucket "no-such-bucket" at ${s3.options.endpoint}`,
        advice: "Make it, or correct STATEHOUSE_S3_BUCKET.",
      },
    ]);
  });

  it("says that the credentials are not known there", async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "NOBODYKNOWSTHISONE");
    const { code, troubles } = await examine();
    expect(code).toBe(1);
    expect(troubles).toHaveLength(1);
    expect(troubles[0]).toMatchObject({ name: "S3 bucket", status: "fail" });
    expect(troubles[0]?.detail).toContain("does not know the access key ID");
    expect(troubles[0]?.advice).toContain("Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  });

  it("says that nobody listens at the endpoint", async () => {
    const { code, troubles } = await examine({
      STATEHOUSE_S3_ENDPOINT: `http://127.0.0.1:${await freePort()}`,
    });
    expect(code).toBe(1);
    expect(troubles).toHaveLength(1);
    expect(troubles[0]?.detail).toContain("ECONNREFUSED");
    expect(troubles[0]?.advice).toContain("Check STATEHOUSE_S3_ENDPOINT");
  });

  const refusals = [
    { what: "PutObject", status: "fail", names: ["S3 bucket: put"], grant: "s3:PutObject" },
    { what: "DeleteObject", status: "fail", names: ["S3 bucket: delete"], grant: "s3:DeleteObject" },
    {
      what: "AbortMultipartUpload",
      status: "warn",
      names: ["S3 bucket: multipart-abort"],
      grant: "s3:AbortMultipartUpload",
    },
  ];
  it.each(refusals)("names the permission that lacks: $what", async ({ what, status, names, grant }) => {
    const judge = ({ url }: SeenRequest): Verdict =>
      url.includes(`x-id=${what}`) ? { status: 403, code: "AccessDenied" } : "pass";
    const proxy = await startProxy({ ...s3.options, judge });
    const { code, troubles } = await examine({ STATEHOUSE_S3_ENDPOINT: proxy.endpoint });
    expect(code).toBe(status === "fail" ? 1 : 0);
    expect(troubles.map((it) => it.name)).toEqual(names);
    expect(troubles[0]?.status).toBe(status);
    expect(troubles[0]?.advice).toMatch(
      new RegExp(`^Grant the server's role or user ${grant} on arn:aws:s3:::`),
    );
  });

  it("says that the database can't be reached, and goes on", async () => {
    const url = `postgres://statehouse:hidden@127.0.0.1:${await freePort()}/statehouse`;
    const { code, checks, troubles } = await examine({ STATEHOUSE_DATABASE_URL: url });
    expect(code).toBe(1);
    expect(troubles).toMatchObject([{ name: "database", status: "fail" }]);
    expect(troubles[0]?.detail).toContain("ECONNREFUSED");
    expect(JSON.stringify(checks)).not.toContain("hidden");
    expect(checks.find(({ name }) => name === "S3 bucket")?.status).toBe("ok");
  });

  it("warns when Redis is not there, which is no reason to fail", async () => {
    const { code, troubles } = await examine({
      STATEHOUSE_REDIS_URL: `redis://127.0.0.1:${await freePort()}`,
    });
    expect(code).toBe(0);
    expect(troubles).toMatchObject([{ name: "Redis", status: "warn" }]);
    expect(troubles[0]?.detail).toContain("ECONNREFUSED");
    expect(troubles[0]?.advice).toContain("each replica counts failed sign-ins alone");
  });
});

describe("doctor on SQLite and S3", () => {
  it("looks at the data folder as well as at the bucket", async () => {
    const more = { STATEHOUSE_MODE: "efs", STATEHOUSE_REPLICAS: "1", STATEHOUSE_FILES: "s3" };
    const { checks } = await examine({ ...more, STATEHOUSE_S3_BUCKET: "no-such-bucket" });
    const status = new Map(checks.map((it) => [it.name, it.status]));
    expect(status.get("data folder")).toBe("warn"); // there before the first start is none
    expect(status.get("S3 bucket")).toBe("fail");
    expect(status.has("database")).toBe(false);
  });
});

describeRedis("doctor with a Redis", () => {
  it("tells its version and how long a count takes", async () => {
    const redis = await TestRedis.start();
    const { checks, troubles } = await examine({ STATEHOUSE_REDIS_URL: redis.url });
    expect(troubles).toEqual([]);
    expect(checks.find(({ name }) => name === "Redis")?.detail).toMatch(
      /^\d+\.\d+\S*, a count takes \d+\.\d ms$/,
    );
  });

  it("says that the password is wrong, and not which one it was", async () => {
    const redis = await TestRedis.start();
    const url = redis.url.replace(/:[^:@]*@/, ":mistaken@");
    const { checks, troubles } = await examine({ STATEHOUSE_REDIS_URL: url });
    expect(troubles).toMatchObject([{ name: "Redis", status: "warn" }]);
    expect(troubles[0]?.detail).toMatch(/WRONGPASS/);
    expect(JSON.stringify(checks)).not.toContain("mistaken");
  });
});

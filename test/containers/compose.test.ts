/** docker-compose.yml: what it starts, in which order, and that the server boots with what it is given. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../server/config/config-error.ts";
import { readConfig } from "../../server/config/read.ts";
import { SETTINGS } from "../../server/config/schema.ts";
import {
  exampleSettings,
  ROOT,
  readCompose,
  readDockerfile,
  type Service,
  servicesOf,
  textOf,
  type Variables,
  variablesAskedFor,
} from "./support.ts";

const SECRETS = {
  STATEHOUSE_ENCRYPTION_KEY: "ab".repeat(32),
  STATEHOUSE_ADMIN_TOKEN: "admin-token-of-a-test",
};
const POSTGRES = { ...SECRETS, SQLITE_SERVERS: "0", POSTGRES_PASSWORD: "letters0and1digits" };
const OWN_IMAGE = "statehouse:local";
const ONE_SHOTS = ["bucket"];

const SHAPES: readonly { profile: string | undefined; variables: Variables; services: string[] }[] = [
  { profile: undefined, variables: {}, services: ["bucket", "minio", "statehouse"] },
  {
    profile: "postgres",
    variables: POSTGRES,
    services: ["bucket", "minio", "postgres", "proxy", "replica-1", "replica-2", "replica-3"],
  },
];

function everyService(): [string, Service][] {
  return Object.entries(readCompose().services);
}

/** ENV of the image, under what the compose file gives. */
function environmentOf({ environment }: Service): Variables {
  const env =
    readDockerfile()
      .stages.at(-1)
      ?.filter(({ word }) => word === "ENV") ?? [];
  const pairs = env.flatMap(({ rest }) => rest.split(" ").map((pair) => pair.split("=", 2)));
  return { ...Object.fromEntries(pairs), ...environment };
}

describe.each(SHAPES)("docker compose up, profile $profile", ({ profile, variables, services }) => {
  const compose = readCompose(variables);
  const started = servicesOf(compose, profile);

  it("starts these services", () => {
    expect(started.map(([name]) => name).sort()).toEqual(services);
  });

  it("waits for what each service needs until it is healthy or done", () => {
    const names = new Set(services);
    for (const [name, { depends_on }] of started) {
      for (const [needed, { condition }] of Object.entries(depends_on)) {
        expect(names, `${name} needs ${needed}`).toContain(needed);
        const isOneShot = ONE_SHOTS.includes(needed);
        expect(condition).toBe(isOneShot ? "service_completed_successfully" : "service_healthy");
        if (!isOneShot) expect(compose.services[needed]?.healthcheck).toBeDefined();
      }
    }
  });

  it("has one door, and it is open to this machine only", () => {
    const doors = started.flatMap(([, { ports }]) => ports);
    expect(doors).toEqual(["127.0.0.1:4000:4000"]);
  });

  it("gives the server settings that it boots with", () => {
    const servers = started.filter(([, { image }]) => image === OWN_IMAGE);
    expect(servers).toHaveLength(profile === "postgres" ? 3 : 1);
    for (const [, service] of servers) {
      const config = readConfig(environmentOf(service));
      expect(config).toMatchObject(
        profile === "postgres"
          ? { mode: "aurora", database: "postgres", files: "s3", replicas: 3, trustedProxyHops: 1 }
          : { mode: "efs", database: "sqlite", files: "s3", replicas: 1, trustedProxyHops: 0 },
      );
      expect(config).toMatchObject({
        host: "0.0.0.0",
        dataDir: "/data",
        s3Endpoint: "http://minio:9000",
        s3ForcePathStyle: true,
      });
      const minio = compose.services.minio?.environment;
      expect(service.environment.AWS_ACCESS_KEY_ID).toBe(minio?.MINIO_ROOT_USER);
      expect(service.environment.AWS_SECRET_ACCESS_KEY).toBe(minio?.MINIO_ROOT_PASSWORD);
      const makesBuckets = JSON.stringify(compose.services.bucket);
      expect(makesBuckets).toMatch(new RegExp(`mb .*files/${config.s3Bucket}\\b`));
    }
  });
});

describe("docker-compose.yml", () => {
  it("pins every image", () => {
    for (const [name, { image }] of everyService()) {
      if (image === OWN_IMAGE) continue;
      // A version with a patch level or a date, not a name that moves.
      expect(image, name).toMatch(
        /:(RELEASE\.\d{4}-\d{2}-\d{2}T[\dZ-]+@sha256:[0-9a-f]{64}|\d+\.\d+[\w.-]*)$/,
      );
    }
  });

  it("watches every service that stays", () => {
    for (const [name, { healthcheck, restart }] of everyService()) {
      const isOneShot = ONE_SHOTS.includes(name);
      expect({ name, restart }).toEqual({ name, restart: isOneShot ? "no" : "unless-stopped" });
      expect(healthcheck === undefined, name).toBe(isOneShot);
    }
  });

  it("keeps what must last in named volumes", () => {
    const { services, volumes } = readCompose();
    const named = Object.values(services)
      .flatMap((service) => service.volumes)
      .filter((volume) => !volume.startsWith("."))
      .map((volume) => volume.split(":")[0] ?? "");
    expect(named.sort()).toEqual(Object.keys(volumes).sort());
    expect(services.statehouse?.volumes).toEqual(["data:/data"]);
    expect(services.minio?.volumes).toEqual(["minio:/data"]);
    expect(services.postgres?.volumes).toEqual(["postgres:/var/lib/postgresql/data"]);
  });

  it("mounts only files that are there", () => {
    const mounts = everyService()
      .flatMap(([, { volumes }]) => volumes)
      .filter((volume) => volume.startsWith("."));
    expect(mounts).not.toEqual([]);
    for (const mount of mounts) expect(existsSync(`${ROOT}${mount.split(":")[0]}`), mount).toBe(true);
  });

  it("runs the server on a read-only root, with somewhere to write", () => {
    for (const [name, service] of everyService().filter(([, { image }]) => image === OWN_IMAGE)) {
      expect(service.read_only, name).toBe(true);
      const writable = [...service.volumes, ...service.tmpfs].join(" ");
      expect(writable, name).toMatch(/\/data\b/);
      expect(writable, name).toMatch(/\/tmp\b/);
    }
  });

  it("keeps Postgres and MinIO off every network that reaches outside", () => {
    const { services, networks } = readCompose();
    expect(networks.storage?.internal).toBe(true);
    for (const name of ["postgres", "minio", "bucket"]) expect(services[name]?.networks).toEqual(["storage"]);
  });

  it("has the server refuse the shape with Postgres when its secrets are missing", () => {
    const replica = readCompose({ SQLITE_SERVERS: "0" }).services["replica-1"];
    if (replica === undefined) throw new Error("there is no replica-1");
    const refused = () => readConfig(environmentOf(replica));
    expect(refused).toThrow(ConfigError);
    expect(refused).toThrow(/STATEHOUSE_ENCRYPTION_KEY[\s\S]*STATEHOUSE_ADMIN_TOKEN/);
  });

  it("has a proxy that asks the replicas that there are", () => {
    const { services } = readCompose();
    const replicas = Object.keys(services).filter((name) => name.startsWith("replica-"));
    expect(Object.keys(services.proxy?.depends_on ?? {})).toEqual(replicas);
    const upstreams = /^\s*reverse_proxy ([^{]+)\{/m.exec(textOf("docker/Caddyfile"))?.[1] ?? "";
    expect(upstreams.trim().split(/\s+/)).toEqual(replicas.map((name) => `${name}:4000`));
  });
});

describe(".env.example", () => {
  it("explains every variable that the compose file asks for, and no other", () => {
    const explained = exampleSettings().map(([name]) => name);
    expect(explained.filter((name) => name !== "COMPOSE_PROFILES").sort()).toEqual(variablesAskedFor());
  });

  // `npm start` reads the same file and refuses a STATEHOUSE_ name that it doesn't know.
  it("has no STATEHOUSE_ name that isn't a setting", () => {
    const known = SETTINGS.map(({ env }) => env);
    const ours = exampleSettings().filter(([name]) => name.startsWith("STATEHOUSE_"));
    for (const [name] of ours) expect(known).toContain(name);
  });

  it("changes nothing where it shows a default", () => {
    const shown = Object.fromEntries(
      exampleSettings().filter(([name]) => ["HTTP_ADDRESS", "HTTP_PORT", "MINIO_ROOT_USER"].includes(name)),
    );
    expect(Object.keys(shown)).toHaveLength(3);
    expect(readCompose(shown)).toEqual(readCompose());
  });

  it("starts the shape with Postgres when its last block is switched on", () => {
    const block = Object.fromEntries(exampleSettings().slice(-3));
    const compose = readCompose({ ...block, ...SECRETS, POSTGRES_PASSWORD: "x" });
    expect(block).toMatchObject({ COMPOSE_PROFILES: "postgres", SQLITE_SERVERS: "0" });
    expect(servicesOf(compose, block.COMPOSE_PROFILES).map(([name]) => name)).not.toContain("statehouse");
  });
});

/** The tests above read YAML by themselves; where compose itself is installed it has the last word. */
describe("docker compose config", () => {
  const hasCompose = spawnSync("docker", ["compose", "version"]).status === 0;
  if (!hasCompose) {
    process.stderr.write("SKIPPED: `docker compose` is not here, so its own parser has not seen the file\n");
  }

  it.skipIf(!hasCompose).each(SHAPES)("agrees, profile $profile", ({ profile, variables, services }) => {
    const profiles = profile === undefined ? [] : ["--profile", profile];
    const { status, stdout, stderr } = spawnSync(
      "docker",
      ["compose", "--env-file", "/dev/null", ...profiles, "config", "--format", "json"],
      { cwd: ROOT, env: { PATH: process.env.PATH, ...variables }, encoding: "utf8" },
    );
    expect({ status, stderr }).toMatchObject({ status: 0 });
    const resolved = JSON.parse(stdout) as { services: Record<string, { deploy?: { replicas?: number } }> };
    const started = Object.entries(resolved.services).filter(([, { deploy }]) => deploy?.replicas !== 0);
    expect(started.map(([name]) => name).sort()).toEqual(services);
  });
});

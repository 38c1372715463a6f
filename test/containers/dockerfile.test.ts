/** What the Dockerfile promises, as far as its text shows it, and what really goes into /app. */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  globSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RDS_BUNDLE, rdsCertificates } from "../../docker/rds-certificates.ts";
import { ROOT, readDockerfile, textOf } from "./support.ts";

const { globals, stages } = readDockerfile();
const image = stages.at(-1) ?? [];

function last(word: string): string | undefined {
  return image.findLast((each) => each.word === word)?.rest;
}

/** What a builder is given. */
const CONTEXT = textOf(".dockerignore")
  .split("\n")
  .filter((line) => line.startsWith("!"))
  .map((line) => line.slice(1));

describe("the image that the Dockerfile describes", () => {
  it("runs as 1000:1000, and nothing comes after that", () => {
    expect(last("USER")).toBe("1000:1000");
    const after = image.slice(image.findIndex(({ word }) => word === "USER"));
    expect(after.map(({ word }) => word)).not.toContain("RUN");
  });

  it("has its commands in exec form, so that the server gets the signals itself", () => {
    expect(JSON.parse(last("ENTRYPOINT") ?? "")).toEqual(["statehouse"]);
    expect(JSON.parse(last("CMD") ?? "")).toEqual(["serve"]);
    expect(last("STOPSIGNAL")).toBe("SIGTERM");
  });

  it("asks statehouse itself whether it is healthy, with time for a database that wakes up", () => {
    const [, options = "", command = ""] = /^(.*?)CMD (.*)$/.exec(last("HEALTHCHECK") ?? "") ?? [];
    expect(JSON.parse(command)).toEqual(["statehouse", "healthcheck"]);
    expect(Number(/--start-period=(\d+)s/.exec(options)?.[1])).toBeGreaterThanOrEqual(40);
  });

  it("keeps its data in /data and listens on 4000", () => {
    expect(JSON.parse(last("VOLUME") ?? "")).toEqual(["/data"]);
    expect(last("EXPOSE")).toBe("4000");
    const env = last("ENV")?.split(" ") ?? [];
    for (const pair of ["NODE_ENV=production", "STATEHOUSE_HOST=0.0.0.0", "STATEHOUSE_DATA_DIR=/data"]) {
      expect(env).toContain(pair);
    }
  });

  it("says what it is", () => {
    const labels = image
      .filter(({ word }) => word === "LABEL")
      .map(({ rest }) => rest)
      .join(" ");
    for (const name of ["title", "description", "licenses", "version", "revision", "created"]) {
      expect(labels).toContain(`org.opencontainers.image.${name}=`);
    }
  });

  it("starts from Node 24 slim, and knows no processor", () => {
    expect(globals).toEqual([{ word: "ARG", rest: "NODE_IMAGE=node:24-bookworm-slim" }]);
    const bases = stages.map((stage) => /--platform|amd64|arm64|x64/.test(JSON.stringify(stage)));
    expect(bases).toEqual(stages.map(() => false));
  });

  it("leaves the builder behind: it takes one folder from it", () => {
    const taken = stages
      .flat()
      .filter(({ word, rest }) => word === "COPY" && rest.includes("--from=builder"));
    expect(taken.map(({ rest }) => rest)).toEqual(["--from=builder /app /app"]);
  });

  it("is built from what .dockerignore names, and that is all there", () => {
    expect(textOf(".dockerignore")).toMatch(/^\*$/m);
    for (const path of CONTEXT) expect(existsSync(`${ROOT}${path}`), path).toBe(true);
  });
});

/** Needs the bundle, which `npm test` builds first. */
const hasBundle = existsSync(`${ROOT}dist/main.js`);
if (!hasBundle) process.stderr.write("SKIPPED: what goes into the image (no dist/; node scripts/build.ts)\n");

describe.skipIf(!hasBundle)("what goes into /app", () => {
  // Outside of the project, so that no package is found that isn't in there.
  const app = mkdtempSync(join(tmpdir(), "statehouse-app-"));
  const builder = mkdtempSync(join(tmpdir(), "statehouse-builder-"));
  afterAll(() => {
    for (const folder of [app, builder]) rmSync(folder, { recursive: true, force: true });
  });
  beforeAll(() => {
    for (const path of CONTEXT) cpSync(`${ROOT}${path}`, join(builder, path), { recursive: true });
    for (const made of ["dist", "node_modules"]) symlinkSync(`${ROOT}${made}`, join(builder, made));
    const { status, stderr } = spawnSync(process.execPath, [join(builder, "docker/gather.mjs"), app], {
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  it("is enough for the commands to run, and has no install tree around it", () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [`${app}/dist/main.js`, "--version"], {
      cwd: app,
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout.trim()).toBe(JSON.parse(textOf("package.json")).version);
  });

  it("has the authorities of RDS, from which Node makes its list", () => {
    const bundle = readFileSync(`${app}/${RDS_BUNDLE}`, "utf8");
    expect(bundle).toBe(rdsCertificates());
    expect(() => createSecureContext({ ca: bundle })).not.toThrow();
  });

  it("has no package that is only for development, and not the npm package node", () => {
    const lock = JSON.parse(textOf("package-lock.json")) as { packages: Record<string, { dev?: boolean }> };
    const packages = globSync("node_modules/**/package.json", { cwd: app })
      .map((path) => path.slice(0, -"/package.json".length))
      .filter((path) => path in lock.packages);
    expect(packages).toContain("node_modules/better-sqlite3");
    expect(packages.filter((path) => lock.packages[path]?.dev)).toEqual([]);
    expect(existsSync(`${app}/node_modules/node`)).toBe(false);
  });

  it("has every package that the bundle may load later", () => {
    const names = ["better-sqlite3", "pino-pretty", "@opentelemetry/api", "@opentelemetry/sdk-trace-node"];
    const script = `await Promise.all(${JSON.stringify(names)}.map((name) => import(name)))`;
    const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      cwd: app,
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  it("has one binary of SQLite, for this machine, and is small", () => {
    const binaries = globSync("node_modules/**/*.node", { cwd: app });
    expect(binaries).toHaveLength(1);
    const files = globSync("**/*", { cwd: app }).map((path) => statSync(join(app, path)));
    const sizeMb = files.reduce((sum, { size }) => sum + size, 0) / 1e6;
    expect(sizeMb).toBeLessThan(40);
  });

  it("has an entry that a shell can start", () => {
    expect(statSync(`${app}/dist/main.js`).mode & 0o111).toBe(0o111);
    expect(readFileSync(`${app}/dist/main.js`, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
  });
});

/**
 * Puts SST's types and components into .sst/platform, as `sst install` does, without an AWS account and without
 * downloading Pulumi: about a minute and 320 MB, once per version. CI caches .sst and infra/node_modules by
 * infra/package-lock.json and sst.config.ts.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const STAMP = join(ROOT, ".sst/platform/statehouse-prepared");
const SST = join(ROOT, "infra/node_modules/.bin/sst");
/** What SST 4.17.1 asks for; another answer and it downloads Pulumi. */
const PULUMI_VERSION = "v3.215.0";

/** Providers come from sst.config.ts, the components from the locked SST. */
function wanted(): string {
  const hash = createHash("sha256");
  for (const file of ["infra/package-lock.json", "sst.config.ts"])
    hash.update(readFileSync(join(ROOT, file)));
  return hash.digest("hex");
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): void {
  const { status } = spawnSync(command, args, { cwd: ROOT, env, stdio: "inherit" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${String(status)}`);
}

if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === wanted()) {
  console.log("SST's platform is prepared already.");
} else {
  run("npm", ["ci", "--prefix", "infra", "--no-audit", "--no-fund"]);
  // SST looks for Pulumi in its own folder; a stand-in there would break real deploys, so it gets another folder.
  const home = mkdtempSync(join(tmpdir(), "statehouse-sst-"));
  const sub = process.platform === "darwin" ? "Library/Application Support/sst/bin" : "sst/bin";
  const pulumi = join(home, sub, "pulumi");
  try {
    mkdirSync(dirname(pulumi), { recursive: true });
    writeFileSync(pulumi, `#!/bin/sh\necho ${PULUMI_VERSION}\n`);
    chmodSync(pulumi, 0o755);
    run(SST, ["install"], {
      ...process.env,
      ...(process.platform === "darwin" ? { HOME: home } : { XDG_CONFIG_HOME: home }),
      SST_NO_BUN: "1",
      SST_STAGE: "prepare",
      SST_TELEMETRY_DISABLED: "1",
    });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  writeFileSync(STAMP, wanted());
}

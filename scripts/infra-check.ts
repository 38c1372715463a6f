/** `npm run infra:check`: the types of infra/ against SST's real ones, and every case synthesised afresh. */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isPrepared } from "../test/infra/synth/bundle.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

if (!isPrepared()) {
  console.error("SST's platform is not here: npm run infra:prepare (about a minute, no AWS account needed).");
  process.exit(1);
}
rmSync(join(ROOT, ".cache/infra"), { recursive: true, force: true });
const startMs = Date.now();
const vitest = join(ROOT, "node_modules/.bin/vitest");
const { status } = spawnSync(vitest, ["run", "--project", "infra"], { cwd: ROOT, stdio: "inherit" });
console.log(
  `infra:check: ${status === 0 ? "ok" : "failed"} after ${((Date.now() - startMs) / 1000).toFixed(1)} s`,
);
process.exit(status ?? 1);

/** `npm run infra:check`: the types of infra/ against SST's real ones, and every case synthesised afresh. */
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isPrepared } from "../test/infra/synth/bundle.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const BIN = join(ROOT, "node_modules/.bin");

function run(name: string, args: readonly string[]): Promise<boolean> {
  const startMs = Date.now();
  const child = spawn(join(BIN, name), args, { cwd: ROOT, stdio: "inherit" });
  return new Promise((resolve) => {
    child.on("close", (code) => {
      const seconds = ((Date.now() - startMs) / 1000).toFixed(1);
      console.log(`${name} ${args[0]}: ${code === 0 ? "ok" : "failed"} after ${seconds} s`);
      resolve(code === 0);
    });
  });
}

if (!isPrepared()) {
  console.error("SST's platform is not here: npm run infra:prepare (about a minute, no AWS account needed).");
  process.exit(1);
}
rmSync(join(ROOT, ".cache/infra"), { recursive: true, force: true });
const types = run("tsc", ["-p", "infra"]);
const tests = run("vitest", ["run", "test/infra"]);
process.exit((await types) && (await tests) ? 0 : 1);

/** Synthesises stages in processes of their own; what came out is kept, and read by the tests. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ROOT } from "./bundle.ts";
import type { Synthesis, SynthInput } from "./case.ts";

const CHILD = fileURLToPath(new URL("./child.ts", import.meta.url));

export const SECRETS = {
  EncryptionKey: "5eed".repeat(16),
  AdminToken: "admin-token-of-the-tests",
  PreviousEncryptionKeys: "01d5".repeat(16),
} as const;
export const IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/statehouse@sha256:feed";

const CACHE = join(ROOT, ".cache", "infra");
const NOISE_MAX = 4_000;

/** Each case in a process of its own, as many at once as there are cores. What is known already is not made again. */
export async function synthesiseAll(inputs: readonly SynthInput[], bundlePath: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const waiting = [...inputs];
  const work = async () => {
    for (let input = waiting.shift(); input !== undefined; input = waiting.shift()) {
      const path = await cachePath(input, bundlePath);
      if (existsSync(path)) continue;
      const fresh = JSON.stringify(await spawnChild(withImage(input), bundlePath));
      await writeFile(`${path}.${process.pid}`, fresh);
      await rename(`${path}.${process.pid}`, path);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
}

export async function readSynthesis(input: SynthInput, bundlePath: string): Promise<Synthesis> {
  return JSON.parse(await readFile(await cachePath(input, bundlePath), "utf8")) as Synthesis;
}

function withImage(input: SynthInput): SynthInput {
  return { ...input, config: { image: IMAGE, ...input.config } };
}

/** Named by all that goes in. */
async function cachePath(input: SynthInput, bundlePath: string): Promise<string> {
  const sources = [bundlePath, CHILD, join(dirname(CHILD), "answers.ts")];
  const hash = createHash("sha256").update(JSON.stringify(withImage(input)));
  for (const source of await Promise.all(sources.map((file) => readFile(file)))) hash.update(source);
  return join(CACHE, `${hash.digest("hex")}.json`);
}

async function spawnChild(input: SynthInput, path: string): Promise<Synthesis> {
  const secrets = Object.entries(input.secrets ?? SECRETS).map(([name, value]) => [
    `SST_SECRET_${name}`,
    value,
  ]);
  const child = spawn(process.execPath, ["--no-deprecation", CHILD, path], {
    stdio: ["pipe", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      NODE_COMPILE_CACHE: join(CACHE, "compiled"),
      ...Object.fromEntries(secrets),
      ...input.environment,
      STATEHOUSE_CONFIG_OVERRIDE: JSON.stringify(input.config),
    },
  });
  child.stdin.end(JSON.stringify(input));
  let text = "";
  let noise = "";
  child.stdout.on("data", (chunk) => {
    text += String(chunk);
  });
  child.stderr.on("data", (chunk) => {
    noise += String(chunk);
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (text === "") throw new Error(`the synthesis ended with ${String(code)}: ${noise.slice(0, NOISE_MAX)}`);
  const synthesis = JSON.parse(text) as Synthesis;
  // Pulumi's own sign of a promise that never came.
  const stuck = code === 0 || synthesis.errors.length > 0 ? [] : ["the program waited for something forever"];
  return { ...synthesis, errors: [...synthesis.errors, ...stuck] };
}

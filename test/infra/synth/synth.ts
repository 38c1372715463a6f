/** Synthesises a stage in a process of its own, once per input. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, open, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Bundle } from "./bundle.ts";
import { bundle, ROOT } from "./bundle.ts";
import type { Synthesis, SynthInput } from "./case.ts";

const CHILD = fileURLToPath(new URL("./child.ts", import.meta.url));

export const SECRETS = {
  EncryptionKey: "5eed".repeat(16),
  AdminToken: "admin-token-of-the-tests",
  PreviousEncryptionKeys: "01d5".repeat(16),
} as const;
export const IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/statehouse@sha256:feed";

const CACHE = join(ROOT, ".cache", "infra");
const POLL_MS = 50;
/** Whoever claimed a case and died should not stop the others for long. */
const OTHERS_MS_MAX = 30_000;
const NOISE_MAX = 4_000;

let bundling: Promise<Bundle> | null = null;
const done = new Map<string, Promise<Synthesis>>();

export function synth(input: SynthInput): Promise<Synthesis> {
  const withImage = { ...input, config: { image: IMAGE, ...input.config } };
  const key = JSON.stringify(withImage);
  const known = done.get(key);
  if (known !== undefined) return known;
  const fresh = run(withImage);
  done.set(key, fresh);
  return fresh;
}

/** For afterAll: the bundle lies beside SST's platform. */
export async function removeBundle(): Promise<void> {
  await (await bundling)?.remove();
  bundling = null;
  done.clear();
}

/** Test files run in processes of their own: what one has synthesised, the others read. The key is all that went in. */
async function run(input: SynthInput): Promise<Synthesis> {
  bundling ??= bundle(process.env.STATEHOUSE_TEST_INFRA_ROOT || undefined);
  const { path } = await bundling;
  const sources = await Promise.all(
    [path, CHILD, join(dirname(CHILD), "answers.ts")].map((file) => readFile(file)),
  );
  const hash = createHash("sha256").update(JSON.stringify(input));
  for (const source of sources) hash.update(source);
  const cached = join(CACHE, `${hash.digest("hex")}.json`);
  await mkdir(CACHE, { recursive: true });
  const isOurs = await claim(`${cached}.claim`);
  const known = await waitFor(cached, isOurs ? 0 : OTHERS_MS_MAX);
  if (known !== null) return JSON.parse(known) as Synthesis;
  const fresh = await spawnChild(input, path);
  await writeFile(`${cached}.${process.pid}`, JSON.stringify(fresh));
  await rename(`${cached}.${process.pid}`, cached);
  return fresh;
}

/** True for the first that asks. */
async function claim(path: string): Promise<boolean> {
  const flag = await open(path, "wx").catch(() => null);
  await flag?.close();
  return flag !== null;
}

async function waitFor(path: string, waitMs: number): Promise<string | null> {
  for (const endMs = Date.now() + waitMs; ; await setTimeout(POLL_MS)) {
    const text = await readFile(path, "utf8").catch(() => null);
    if (text !== null || Date.now() >= endMs) return text;
  }
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

/** Bundles sst.config.ts with SST's real components, as SST's own command line does, once for every case. */
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url)).replace(/\/$/, "");
export const PLATFORM = join(ROOT, ".sst", "platform");

/** SST's types and components are there: `npm run infra:prepare` puts them there. */
export function isPrepared(): boolean {
  return existsSync(join(PLATFORM, "node_modules", "@pulumi", "aws", "package.json"));
}

interface Esbuild {
  build(options: Record<string, unknown>): Promise<unknown>;
}

interface LockedProvider {
  readonly package: string;
  readonly alias: string;
}

/** Left outside, so that the bundle and the harness share one copy of Pulumi. */
const EXTERNAL = [
  "@pulumi/*",
  "@pulumiverse/*",
  "@aws-sdk/*",
  "undici",
  "esbuild",
  "archiver",
  "glob",
  "vite",
];

export interface Bundle {
  readonly path: string;
  remove(): Promise<void>;
}

/** @param root where sst.config.ts and infra/ are; another folder than ROOT when a mutation is tried */
export async function bundle(root = ROOT): Promise<Bundle> {
  const esbuild = createRequire(join(PLATFORM, "package.json"))("esbuild") as Esbuild;
  // Beside the platform's node_modules, so that what was left outside resolves there.
  const folder = await mkdtemp(join(PLATFORM, "synth-"));
  const path = join(folder, "bundle.mjs");
  await esbuild.build({
    stdin: {
      contents: `export { run } from "${join(PLATFORM, "src/auto/run.ts")}"; export { default as config } from "${join(root, "sst.config.ts")}";`,
      resolveDir: root,
      loader: "ts",
    },
    outfile: path,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "esnext",
    keepNames: true,
    mainFields: ["module", "main"],
    external: EXTERNAL,
    inject: [join(PLATFORM, "src/shim/run.js")],
    banner: {
      js: 'import { createRequire as topLevelCreateRequire } from "node:module"; const require = topLevelCreateRequire(import.meta.url);',
    },
    logLevel: "error",
    plugins: [globalsPlugin(root)],
  });
  return { path, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** Gives our own files the globals `aws`, `random` and `sst`; SST's own files import what they need. */
function globalsPlugin(root: string) {
  const lock = JSON.parse(readFileSync(join(ROOT, ".sst/provider-lock.json"), "utf8")) as LockedProvider[];
  const imports = [
    ...lock.map((it) => `import * as ${it.alias} from "${it.package}";`),
    `import * as sst from "${join(PLATFORM, "src/components")}";`,
  ].join(" ");
  const isOurs = (path: string) =>
    path.startsWith(`${root}/`) && !path.includes("/.sst/") && !path.includes("/node_modules/");
  return {
    name: "globals",
    setup(build: { onLoad(filter: { filter: RegExp }, load: (file: { path: string }) => unknown): void }) {
      build.onLoad({ filter: /\.ts$/ }, ({ path }) =>
        isOurs(path) ? { contents: `${imports}\n${sourceOf(path)}`, loader: "ts" } : undefined,
      );
    },
  };
}

/** In place of what statehouse.config.ts says, a case may say something else. */
function sourceOf(path: string): string {
  const text = readFileSync(path, "utf8");
  if (!path.endsWith("/statehouse.config.ts")) return text;
  const override = "process.env.STATEHOUSE_CONFIG_OVERRIDE";
  return `${text.replace("export default", "const written =")}
export default ${override} ? JSON.parse(${override}) : written;`;
}

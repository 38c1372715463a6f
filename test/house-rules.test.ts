/** The house rules, as a test: who may import whom, and what no source file may hold. */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const LONGEST_FILE_LINES = 400;

/** Layers from the inside out; a file's layer is the first whose pattern fits. */
const LAYERS: readonly { name: string; pattern: RegExp; mayImport: readonly string[] }[] = [
  { name: "database", pattern: /^db-adapters\//, mayImport: ["database"] },
  { name: "files", pattern: /^storage-adapters\//, mayImport: ["files"] },
  { name: "errors", pattern: /^server\/(errors|version|logger)\.ts/, mayImport: ["errors", "config"] },
  { name: "rules", pattern: /^server\/rules\//, mayImport: ["rules", "errors", "database contract"] },
  { name: "deployment", pattern: /^server\/deployment\//, mayImport: ["deployment"] },
  { name: "crypto", pattern: /^server\/crypto\//, mayImport: ["crypto"] },
  { name: "blobs", pattern: /^server\/blobs\//, mayImport: ["blobs", "crypto", "files contract"] },
  { name: "config", pattern: /^server\/config\//, mayImport: ["config"] },
  { name: "doctor", pattern: /^server\/doctor\//, mayImport: ["doctor", "config"] },
  {
    name: "cli",
    pattern: /^server\/cli\//,
    mayImport: ["cli", "config", "doctor", "rules", "transfer", "database contract"],
  },
  {
    name: "services",
    pattern: /^server\/(services\/|context\.ts|metrics\.ts)/,
    mayImport: [
      "services",
      "errors",
      "rules",
      "deployment",
      "crypto",
      "blobs",
      "config",
      "jobs clock",
      "database contract",
      "files contract",
    ],
  },
  { name: "jobs clock", pattern: /^server\/jobs\/deadlines\.ts/, mayImport: [] },
  {
    name: "jobs",
    pattern: /^server\/jobs\//,
    mayImport: ["errors", "jobs", "jobs clock", "services", "blobs", "http", "database contract"],
  },
  {
    name: "http",
    pattern: /^server\/http\//,
    mayImport: [
      "crypto",
      "errors",
      "http",
      "services",
      "rules",
      "blobs",
      "database contract",
      "files contract",
    ],
  },
  {
    name: "pulumi",
    pattern: /^server\/pulumi\//,
    mayImport: ["rules", "errors", "pulumi", "services", "http", "config", "deployment", "database contract"],
  },
  {
    name: "admin",
    pattern: /^server\/admin\//,
    mayImport: ["errors", "admin", "services", "http", "rules", "database contract", "files contract"],
  },
  {
    name: "artifacts",
    pattern: /^server\/artifacts\//,
    mayImport: ["errors", "artifacts", "admin", "services", "http", "rules", "database contract"],
  },
  {
    name: "transfer",
    pattern: /^server\/transfer\//,
    mayImport: ["transfer", "rules", "crypto", "blobs", "database contract", "files contract"],
  },
  {
    name: "app",
    pattern: /^server\/app\.ts/,
    mayImport: ["errors", "app", "services", "http", "jobs", "pulumi", "admin", "artifacts"],
  },
  { name: "main", pattern: /^server\/(launch|main|start|serve|engine|storage|move)\.ts/, mayImport: ["*"] },
];
const CONTRACTS: readonly (readonly [RegExp, string])[] = [
  [/^db-adapters\/(contract|rules|artifact-rules|vocabulary)\.ts$/, "database contract"],
  [/^storage-adapters\/(contract|keys)\.ts$/, "files contract"],
];
/** Packages that only these layers may know. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  express: ["http", "pulumi", "admin", "artifacts", "app"],
  multer: ["artifacts"],
  "better-sqlite3": ["database"],
  "drizzle-orm": ["database"],
  pg: ["database"],
  ioredis: ["database"],
  "@aws-sdk": ["files"],
  commander: ["cli"],
};

interface Import {
  readonly from: string;
  readonly to: string;
}

function sources(): string[] {
  const patterns = ["server/**/*.ts", "db-adapters/**/*.ts", "storage-adapters/**/*.ts"];
  return globSync(patterns, { cwd: ROOT });
}

function layerOf(path: string): string {
  return LAYERS.find((layer) => layer.pattern.test(path))?.name ?? "?";
}

function importsOf(path: string): Import[] {
  const text = readFileSync(join(ROOT, path), "utf8");
  const found = [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1] ?? "");
  return found.map((to) => ({ from: path, to }));
}

function problemOf({ from, to }: Import): string | null {
  const layer = LAYERS.find((it) => it.pattern.test(from));
  if (layer === undefined) return `${from} belongs to no layer`;
  if (!to.startsWith(".")) {
    const packageName = Object.keys(PACKAGES).find((name) => to === name || to.startsWith(`${name}/`));
    if (packageName === undefined || layer.name === "main") return null;
    return PACKAGES[packageName]?.includes(layer.name) ? null : `${from} (${layer.name}) imports ${to}`;
  }
  const target = relative(ROOT, join(ROOT, dirname(from), to));
  if (target.startsWith("test/") || target.startsWith("bench/")) return `${from} imports ${target}`;
  if (layer.mayImport.includes("*")) return null;
  const contract = CONTRACTS.find(([pattern]) => pattern.test(target))?.[1];
  const names = contract === undefined ? [layerOf(target)] : [contract, layerOf(target)];
  return names.some((name) => layer.mayImport.includes(name))
    ? null
    : `${from} (${layer.name}) imports ${target}`;
}

describe("the house rules", () => {
  it("lets no import go against the arrows", () => {
    const problems = sources().flatMap(importsOf).map(problemOf);
    expect(problems.filter((it) => it !== null)).toEqual([]);
  });

  it("would notice an arrow reversed", () => {
    const reversed = [
      { from: "db-adapters/sqlite/steps/stacks.ts", to: "../../../server/errors.ts" },
      { from: "server/services/stacks.ts", to: "../../db-adapters/sqlite/open.ts" },
      { from: "server/services/stacks.ts", to: "express" },
      { from: "server/pulumi/wire.ts", to: "../admin/page.ts" },
      { from: "server/deployment/rename.ts", to: "../services/stacks.ts" },
      { from: "server/app.ts", to: "../test/support/server.ts" },
    ];
    for (const each of reversed) expect(problemOf(each), JSON.stringify(each)).not.toBeNull();
  });

  it("keeps files short enough to be read in one go", () => {
    const long = sources()
      .map((path) => ({ path, lines: readFileSync(join(ROOT, path), "utf8").split("\n").length }))
      // The contract is one page on purpose: it is read as a whole.
      .filter(({ path, lines }) => lines > LONGEST_FILE_LINES && path !== "db-adapters/contract.ts");
    expect(long).toEqual([]);
  });
});

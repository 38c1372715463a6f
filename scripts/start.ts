/** `npm start`: builds the bundle when a source is newer, then runs it in this process. */
import { existsSync, globSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const bundle = `${root}dist/main.js`;
const SOURCES = [
  "server/**/*.ts",
  "db-adapters/**/*.{ts,sql}",
  "storage-adapters/**/*.ts",
  "package-lock.json",
  "scripts/build.ts",
];

function isCurrent(): boolean {
  if (!existsSync(bundle)) return false;
  const builtMs = statSync(bundle).mtimeMs;
  return globSync(SOURCES, { cwd: root }).every((path) => statSync(`${root}${path}`).mtimeMs <= builtMs);
}

if (!isCurrent()) await import("./build.ts");
await import(bundle);

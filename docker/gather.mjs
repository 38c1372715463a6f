/**
 * Gathers what the server needs at run time: the bundle, package.json, the certificates of RDS, and of node_modules
 * only the packages that the bundle still imports, with what those depend on. What is bundled already, the build tools and the
 * npm package `node` (the image has its own Node) stay behind.
 *
 *   node docker/gather.mjs <target folder>
 *
 * The imports are asked of esbuild rather than listed here, so that nobody has to keep a list in step when a
 * dependency becomes bundled or external. Plain JavaScript: it runs in the builder before anything else is there.
 */
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { RDS_BUNDLE, rdsCertificates } from "./rds-certificates.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const [target] = process.argv.slice(2);
if (target === undefined) throw new Error("usage: node docker/gather.mjs <target folder>");

/** Never loaded by Node: types, source maps, documentation, C++ sources. Licences stay. */
const UNUSED_FILE = /\.(d\.[cm]?ts|map|md|markdown|flow|tsbuildinfo|cc|cpp|c|h|hpp|gyp|gypi)$/i;
/** Sources to compile from and variants for bundlers and browsers, where the package loads others in Node. */
const UNUSED_FOLDERS = {
  "better-sqlite3": ["deps", "src"],
  "@opentelemetry/*": ["build/esm", "build/esnext"],
};
/** Packages that are only needed to compile a package that comes with its binary. */
const BUILD_ONLY = new Set(["node-addon-api"]);

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
for (const name of ["dist", "package.json", "LICENSE"]) {
  cpSync(join(root, name), join(target, name), { recursive: true });
}

mkdirSync(dirname(join(target, RDS_BUNDLE)), { recursive: true });
writeFileSync(join(target, RDS_BUNDLE), rdsCertificates());

const packages = new Map();
for (const name of await importsOfBundle()) addPackage(name, root);
for (const [folder, name] of packages) copyPackage(folder, name);
process.stdout.write(`${packages.size} packages: ${[...new Set(packages.values())].sort().join(" ")}\n`);

/** Names of the packages that the bundle imports or requires. */
async function importsOfBundle() {
  const files = globSync("dist/*.js", { cwd: root });
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: files,
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    outdir: "nowhere",
    write: false,
    metafile: true,
    logLevel: "error",
  });
  const imported = Object.values(metafile.outputs)
    .flatMap(({ imports }) => imports)
    .filter(({ external }) => external)
    .map(({ path }) => path);
  // The bundle makes its own `require`, which esbuild can't see through.
  const required = files.flatMap((file) =>
    [...readFileSync(join(root, file), "utf8").matchAll(/\brequire\("([^"./][^"]*)"\)/g)].map((m) => m[1]),
  );
  const names = [...imported, ...required].filter((path) => !isBuiltin(path)).map(packageName);
  // Some requires are wrapped in a try: what isn't installed isn't needed.
  return new Set(
    names.filter((name) => imported.some((path) => packageName(path) === name) || find(name, root)),
  );
}

/** `@scope/name/sub/path` → `@scope/name` */
function packageName(path) {
  return path.split("/", path.startsWith("@") ? 2 : 1).join("/");
}

/** The package's folder as Node finds it from `from`, or null. */
function find(name, from) {
  for (let folder = from; ; folder = dirname(folder)) {
    const found = join(folder, "node_modules", name);
    if (existsSync(join(found, "package.json"))) return found;
    if (relative(root, folder) === "") return null;
  }
}

function addPackage(name, from, isOptional = false) {
  const folder = find(name, from);
  if (folder === null) {
    if (isOptional) return;
    throw new Error(`${name} is needed from ${relative(root, from) || "the bundle"} and is not installed`);
  }
  if (packages.has(folder)) return;
  packages.set(folder, name);
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  for (const each of Object.keys(manifest.dependencies ?? {})) {
    if (!BUILD_ONLY.has(each)) addPackage(each, folder);
  }
  const peers = Object.keys(manifest.peerDependencies ?? {});
  for (const each of [...peers, ...Object.keys(manifest.optionalDependencies ?? {})]) {
    addPackage(each, folder, true);
  }
}

function copyPackage(folder, name) {
  const unused = Object.entries(UNUSED_FOLDERS)
    .filter(
      ([pattern]) => pattern === name || (pattern.endsWith("/*") && name.startsWith(pattern.slice(0, -1))),
    )
    .flatMap(([, folders]) => folders);
  cpSync(folder, join(target, relative(root, folder)), {
    recursive: true,
    filter: (source) => {
      const path = relative(folder, source).split(sep).join("/");
      // Nested packages are copied for themselves, if they are needed.
      if (path === "node_modules" || unused.includes(path)) return false;
      return !UNUSED_FILE.test(path) && !isForOtherMachine(path);
    },
  });
}

/** `prebuilds/linux-arm64.node` on an x64: a builder runs on what it builds for. */
function isForOtherMachine(path) {
  const [folder, file] = path.split("/");
  if (folder !== "prebuilds" || file === undefined) return false;
  return file !== `${process.platform}-${process.arch}.node`;
}

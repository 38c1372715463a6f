/**
 * Bundles the server into `dist/`: one file instead of some hundred, no types to strip, so that it is ready
 * sooner and needs less memory. Development runs the sources; `npm start` and the image run this.
 */
import { execFileSync } from "node:child_process";
import { cp, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

const root = fileURLToPath(new URL("../", import.meta.url));

/**
 * What the server never reaches, but its dependencies load at start: Express's body parsers (with tables of a
 * hundred encodings), lists of media types and zod's messages in forty languages. Together a third of the bundle and 8 MB of memory.
 */
const unused: Plugin = {
  name: "unused",
  setup({ onLoad, onResolve }) {
    onLoad({ filter: /node_modules\/body-parser\/index\.js$/ }, () => ({
      contents: "for (const name of ['json','raw','text','urlencoded']) exports[name] = undefined;",
    }));
    onLoad({ filter: /node_modules\/zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: 'export { default as en } from "./en.js";',
      resolveDir: `${root}node_modules/zod/v4/locales`,
    }));
    // For exemplars, which nobody asks for.
    onResolve({ filter: /^@opentelemetry\/api$/ }, ({ importer }) =>
      importer.includes("/prom-client/") ? { path: "opentelemetry", namespace: "nothing" } : null,
    );
    onLoad({ filter: /.*/, namespace: "nothing" }, () => ({ contents: "module.exports = {};" }));
    // Types by file extension, thousands of them: whoever sends something here says its type.
    onResolve({ filter: /^mime-db$/ }, () => ({ path: "mime-db", namespace: "nothing" }));
  },
};

/**
 * Node's own modules by `require`: an `import` of `node:http` reads all of its exports, and one of them loads the
 * whole of `fetch` and WebSocket, which nothing here uses.
 */
const builtins: Plugin = {
  name: "builtins",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      kind === "import-statement" ? { path, namespace: "builtin" } : { path, external: true },
    );
    onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
    }));
  },
};

await rm(`${root}dist`, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: {
    main: "server/launch.ts",
    "sqlite-worker": "db-adapters/sqlite/worker.ts",
    "replay-worker": "server/services/replay-worker.ts",
  },
  outdir: "dist",
  bundle: true,
  splitting: true,
  platform: "node",
  format: "esm",
  target: "node24",
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: true,
  sourcesContent: false,
  // Native, or loaded only when a setting asks for it.
  external: ["better-sqlite3", "pino-pretty", "@opentelemetry/*"],
  // Some dependencies are CommonJS and require Node's own modules.
  banner: {
    js: 'import{createRequire as createRequireForBundle}from"node:module";const require=createRequireForBundle(import.meta.url);',
  },
  plugins: [unused, builtins],
  logLevel: "warning",
});
for (const engine of ["sqlite", "postgres"]) {
  await cp(`${root}db-adapters/${engine}/migrations`, `${root}dist/migrations/${engine}`, {
    recursive: true,
  });
}
// Fills the compile cache (server/launch.ts): the first start is as quick as later ones, on a read-only disk too.
execFileSync(process.execPath, [`${root}dist/main.js`, "--version"], { stdio: "ignore" });

// Before `npm start` and `npm test`: installs what the lock file names unless it is there already. Runs on any
// Node from 20 on, before the project's own Node is there; so no TypeScript and no dependencies here.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const installed = join(root, "node_modules", ".package-lock.json");

function isCurrent() {
  if (!existsSync(installed)) return false;
  const since = statSync(installed).mtimeMs;
  return ["package.json", "package-lock.json"].every((name) => statSync(join(root, name)).mtimeMs <= since);
}

if (!isCurrent()) {
  process.stderr.write("Installing dependencies (once; about a minute)…\n");
  const npm = process.env.npm_execpath;
  const [command, args] = npm === undefined ? ["npm", []] : [process.execPath, [npm]];
  // Not `ci`: it refuses a lock file made where a registry lacks some platform's optional packages. With
  // --no-save the lock file decides all the same, and stays as it is.
  // The output goes to standard error: standard output belongs to the command that was asked for.
  const { status } = spawnSync(
    command,
    [...args, "install", "--no-save", "--no-fund", "--no-audit", "--loglevel=error"],
    {
      cwd: root,
      stdio: ["ignore", 2, 2],
    },
  );
  if (status !== 0) {
    process.stderr.write("The installation failed; `npm install` shows more.\n");
    process.exit(status ?? 1);
  }
}

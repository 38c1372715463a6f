/**
 * `npm run infra:mutate [words of a rule]`: breaks each safety rule in turn, in a copy, and shows that the test
 * that guards it fails. Ends with 1 when a break goes unnoticed.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MUTATIONS, type Mutation } from "./infra-mutations.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url)).replace(/\/$/, "");
const COPY = join(ROOT, ".cache/infra-mutant");
const REPORT = join(ROOT, ".cache/infra-mutant-report.json");
const VITEST = join(ROOT, "node_modules/.bin/vitest");

interface Report {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

function copyWith(mutation: Mutation | null): void {
  rmSync(COPY, { recursive: true, force: true });
  mkdirSync(COPY, { recursive: true });
  for (const name of ["sst.config.ts", "statehouse.config.ts"]) cpSync(join(ROOT, name), join(COPY, name));
  cpSync(join(ROOT, "infra"), join(COPY, "infra"), {
    recursive: true,
    filter: (path) => !path.includes("node_modules"),
  });
  if (mutation === null) return;
  const path = join(COPY, mutation.file);
  const text = readFileSync(path, "utf8");
  if (!text.includes(mutation.from))
    throw new Error(`${mutation.file} has no ${JSON.stringify(mutation.from)}`);
  writeFileSync(
    path,
    text.replace(mutation.from, () => mutation.to),
  );
}

/** Names of the tests that failed. */
function failures(test: Mutation["test"], label: string): string[] {
  rmSync(REPORT, { force: true });
  const args = ["run", `test/infra/${test}.test.ts`, "--reporter=json", `--outputFile=${REPORT}`];
  const env = { ...process.env, STATEHOUSE_TEST_INFRA_ROOT: COPY, STATEHOUSE_TEST_INFRA_CASE: label };
  spawnSync(VITEST, args, { cwd: ROOT, env, stdio: "ignore" });
  const report = JSON.parse(readFileSync(REPORT, "utf8")) as Report;
  const results = report.testResults.flatMap((it) => it.assertionResults);
  const failed = results.filter((it) => it.status === "failed").map((it) => it.fullName);
  if (report.numPassedTests + failed.length === 0) throw new Error(`${test} has no case ${label}`);
  return failed;
}

const words = process.argv.slice(2).join(" ");
const chosen = MUTATIONS.filter((it) => it.rule.includes(words));
let unnoticed = 0;
for (const mutation of chosen) {
  copyWith(mutation);
  const failed = failures(mutation.test, mutation.in);
  const isCaught = failed.some((name) => name.includes(mutation.caughtBy));
  if (!isCaught) unnoticed += 1;
  console.log(
    `${isCaught ? "caught   " : "UNNOTICED"} ${mutation.rule} (${mutation.test}: ${mutation.caughtBy})`,
  );
}
rmSync(COPY, { recursive: true, force: true });
rmSync(REPORT, { force: true });
console.log(`${chosen.length - unnoticed} of ${chosen.length} breaks were caught.`);
process.exit(unnoticed === 0 && chosen.length > 0 ? 0 : 1);

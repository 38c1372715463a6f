import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { ConfigError, type ConfigProblem } from "../../server/config/config-error.ts";
import { type Environment, readConfig } from "../../server/config/read.ts";

/** A folder that goes when the test ends. */
export function tempDir(): string {
  const folder = mkdtempSync(join(tmpdir(), "statehouse-config-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What is wrong with an environment; fails when nothing is. */
export function problemsOf(env: Environment): readonly ConfigProblem[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error("the configuration was accepted");
}

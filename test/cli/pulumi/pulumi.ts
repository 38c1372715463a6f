/** The real `pulumi` of this machine: where it is, and what happens when it is nowhere. */
import { accessSync, constants } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { describe, it, vi } from "vitest";

/** Generous: on a busy machine a command takes several seconds. */
const TEST_TIMEOUT_MS = 90_000;

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** `PULUMI_BIN` (the program itself) or the first on PATH; null when there is none. */
function findPulumi(): string | null {
  const named = process.env.PULUMI_BIN;
  if (named !== undefined && named !== "") {
    if (isExecutable(named)) return resolve(named);
    throw new Error(`PULUMI_BIN is ${named}, which is not a program that can be run`);
  }
  const folders = (process.env.PATH ?? "").split(delimiter).filter((it) => it !== "");
  return folders.map((it) => join(it, "pulumi")).find(isExecutable) ?? null;
}

export const PULUMI_BIN = findPulumi();

const ABSENT = "the real pulumi CLI was NOT found: nothing below ran";

let hasWarned = false;

function warnOnce(): void {
  if (hasWarned) return;
  hasWarned = true;
  const line = "!".repeat(80);
  console.warn(`${line}\n!!! ${ABSENT}.\n!!! Put it on PATH, or name it in PULUMI_BIN.\n${line}`);
}

/** A `describe` whose tests need the CLI. Without one they are skipped, and not in silence. */
export function describePulumi(label: string, body: () => void): void {
  const name = `the real pulumi: ${label}`;
  if (PULUMI_BIN === null) {
    warnOnce();
    describe.skip(name, () => {
      it(ABSENT, () => undefined);
      body();
    });
    return;
  }
  vi.setConfig({ testTimeout: TEST_TIMEOUT_MS, hookTimeout: TEST_TIMEOUT_MS });
  describe(name, body);
}

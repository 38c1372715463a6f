/** The real `pulumi` of this machine: where it is, and what happens when it is nowhere. */
import { describe, it, vi } from "vitest";
import { findProgram } from "../../support/find-program.ts";

/** Generous: on a busy machine a command takes several seconds. */
const TEST_TIMEOUT_MS = 90_000;

export const PULUMI_BIN = findProgram("pulumi", "PULUMI_BIN");

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

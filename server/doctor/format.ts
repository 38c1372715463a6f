import type { Check } from "./check.ts";

const COLOURS = { ok: "\u001b[32m", warn: "\u001b[33m", fail: "\u001b[31m" } as const;
const RESET = "\u001b[0m";

/** The checks as people read them: one line each, what to do below. */
export function formatChecks(checks: readonly Check[], isColoured: boolean): string {
  const width = Math.max(...checks.map(({ name }) => name.length), 0);
  const lines = checks.flatMap(({ name, status, detail, advice }) => {
    const word = status.padEnd(4);
    const shown = isColoured ? `${COLOURS[status]}${word}${RESET}` : word;
    const line = `${shown}  ${name.padEnd(width)}  ${detail}`;
    return advice === undefined ? [line] : [line, `${" ".repeat(width + 8)}→ ${advice}`];
  });
  return `${[...lines, "", summary(checks)].join("\n")}\n`;
}

function summary(checks: readonly Check[]): string {
  const failed = checks.filter(({ status }) => status === "fail").length;
  const warned = checks.filter(({ status }) => status === "warn").length;
  if (failed === 0 && warned === 0) return "All checks are fine.";
  return `${checks.length} checks: ${failed} failed, ${warned} with a warning.`;
}

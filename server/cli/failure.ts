import { ConfigError } from "../config/config-error.ts";

export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** A command that could not do its work; the message is one sentence and what to do next. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
}

/** Used in a way that can't work; told like a failure, with exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What a person reads of an error. Slips of our own keep their stack: someone has to find them. */
export function describeError(error: unknown): { text: string; exitCode: number } {
  if (error instanceof ConfigError || error instanceof UsageError) {
    return { text: error.message, exitCode: EXIT_USAGE };
  }
  if (!(error instanceof Error)) return { text: String(error), exitCode: EXIT_FAILED };
  if (isSlip(error)) return { text: error.stack ?? error.message, exitCode: EXIT_FAILED };
  if ("code" in error && error.code === "EADDRINUSE")
    return { text: portTaken(error), exitCode: EXIT_FAILED };
  return { text: error.message, exitCode: EXIT_FAILED };
}

function isSlip(error: Error): boolean {
  return error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError;
}

function portTaken(error: Error): string {
  const port = "port" in error ? ` ${String(error.port)}` : "";
  return `The port${port} is taken by another program. Stop that one, or set STATEHOUSE_PORT to another port.`;
}

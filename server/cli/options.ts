/** Options that several commands share, and the checks of their values. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { ROLES } from "../../db-adapters/vocabulary.ts";
import { parseDurationSeconds } from "./duration.ts";

export function serverOptions(command: Command): Command {
  return command
    .option("--url <url>", "address of the server (default: STATEHOUSE_URL, the public URL, or this machine)")
    .option(
      "--token <token>",
      "admin token (default: STATEHOUSE_ADMIN_TOKEN, or admin.token in the data folder)",
    );
}

export function jsonOption(command: Command): Command {
  return command.option("--json", "print JSON", false);
}

export function roleOption(): Option {
  return new Option("--role <role>", "role in the organization").choices(ROLES);
}

/** Lines below the help of a command. */
export function examples(...lines: readonly string[]): string {
  const head = lines.length === 1 ? "Example:" : "Examples:";
  return ["", head, ...lines.map((line) => `  $ statehouse ${line}`)].join("\n");
}

/** `90d` in seconds. */
export function duration(text: string): number {
  const seconds = parseDurationSeconds(text);
  if (seconds === null) throw new InvalidArgumentError("Give a number and s, m, h, d, w or y, such as 90d.");
  return seconds;
}

import type { Command } from "commander";
import { nearest } from "../../config/nearest.ts";
import { loadConfig } from "../connect.ts";
import type { CommandLineDeps } from "../deps.ts";
import { UsageError } from "../failure.ts";
import { examples } from "../options.ts";

export function addServe(program: Command, deps: CommandLineDeps): void {
  program
    .command("serve", { isDefault: true })
    .summary("run the server (what happens without a command)")
    .description(
      "Run the server until SIGTERM or Ctrl-C. The first start makes the data folder and its secrets.",
    )
    .addHelpText("after", examples("serve", "config print"))
    // A word that is no command ends here, because this is the default: it gets a better answer.
    .allowExcessArguments(true)
    .action(async (_options: object, command: Command) => {
      const [word] = command.args;
      if (word !== undefined) throw unknownCommand(word, program);
      await deps.serve(loadConfig(deps).config);
    });
}

function unknownCommand(word: string, program: Command): UsageError {
  const near = nearest(
    word,
    program.commands.map((command) => command.name()),
  );
  const guess = near === null ? "" : ` Did you mean ${near}?`;
  return new UsageError(`There is no command "${word}".${guess} See statehouse --help.`);
}

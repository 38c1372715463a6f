import type { Command } from "commander";
import { loadConfig } from "../connect.ts";
import type { CommandLineDeps } from "../deps.ts";
import { examples } from "../options.ts";

export function addMigrate(program: Command, deps: CommandLineDeps): void {
  program
    .command("migrate")
    .summary("bring the database to this version, and exit")
    .description(
      "Bring the database to this version's schema, and exit. The server does the same at its start; " +
        "this is for those who want the two apart.",
    )
    .addHelpText("after", examples("migrate"))
    .action(async () => {
      deps.stdout.write(`${await deps.migrate(loadConfig(deps).config)}\n`);
    });
}

import type { Command } from "commander";
import { describeConfig } from "../../config/describe.ts";
import { loadConfig } from "../connect.ts";
import type { CommandLineDeps } from "../deps.ts";
import { examples, jsonOption } from "../options.ts";
import { alignRows } from "../table.ts";

export function addConfig(program: Command, deps: CommandLineDeps): void {
  const config = program.command("config").description("Look at the settings");
  jsonOption(config.command("print"))
    .description("Print every setting that is in force, with secrets masked")
    .addHelpText("after", examples("config print"))
    .action(({ json }: { json: boolean }) => {
      const settings = describeConfig(loadConfig(deps).config);
      if (json) {
        deps.stdout.write(`${JSON.stringify(settings, null, 2)}\n`);
        return;
      }
      const rows = settings.map(({ env, value, isDefault }) => [
        env,
        value ?? "(not set)",
        isDefault && value !== null ? "default" : "",
      ]);
      deps.stdout.write(alignRows(rows));
    });
}

import type { Command } from "commander";
import { formatChecks } from "../../doctor/format.ts";
import { runDoctor } from "../../doctor/run.ts";
import { loadConfig } from "../connect.ts";
import type { CommandLineDeps } from "../deps.ts";
import { EXIT_FAILED, EXIT_OK } from "../failure.ts";
import { examples, jsonOption } from "../options.ts";

export function addDoctor(program: Command, deps: CommandLineDeps, exitWith: (code: number) => void): void {
  jsonOption(program.command("doctor"))
    .summary("check the storage, the clock, the key and the addresses")
    .description(
      "Check the data folder and its file system or the database server, the bucket and Redis, the disk, the " +
        "clock, the encryption key and the addresses, and say what to do about what is wrong. Safe while a server is running. Exit code 1 when a check fails.",
    )
    .addHelpText("after", examples("doctor", "doctor --json"))
    .action(async ({ json }: { json: boolean }) => {
      const { config } = loadConfig(deps);
      const checks = await runDoctor(config, deps.doctorProbes(config));
      const isColoured = deps.stdout.isTTY === true && !deps.env.NO_COLOR;
      deps.stdout.write(json ? `${JSON.stringify(checks, null, 2)}\n` : formatChecks(checks, isColoured));
      exitWith(checks.some(({ status }) => status === "fail") ? EXIT_FAILED : EXIT_OK);
    });
}

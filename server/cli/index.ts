/** The command line: which commands there are, and how they end. */
import { Command, CommanderError } from "commander";
import { addArtifact } from "./commands/artifact.ts";
import { addConfig } from "./commands/config.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addGc } from "./commands/gc.ts";
import { addHealthcheck } from "./commands/healthcheck.ts";
import { addMigrate } from "./commands/migrate.ts";
import { addOrg } from "./commands/org.ts";
import { addServe } from "./commands/serve.ts";
import { addToken } from "./commands/token.ts";
import { addTransfer } from "./commands/transfer.ts";
import { addUser } from "./commands/user.ts";
import type { CommandLineDeps } from "./deps.ts";
import { describeError, EXIT_OK, EXIT_USAGE } from "./failure.ts";
import { examples } from "./options.ts";

/**
 * Runs one command and returns the exit code: 0, 1 (failed) or 2 (used in a way that can't work). Never
 * throws and never ends the process. `argv` is without node and the script's name.
 */
export async function runCommandLine(argv: readonly string[], deps: CommandLineDeps): Promise<number> {
  let exitCode = EXIT_OK;
  const program = buildProgram(deps, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(argv, { from: "user" });
    return exitCode;
  } catch (error) {
    // Commander has already written its words.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    const { text, exitCode: code } = describeError(error);
    deps.stderr.write(`statehouse: ${text}\n`);
    return code;
  }
}

/** The commands as commander knows them; apart from running so that a test can walk through the helps. */
export function buildProgram(deps: CommandLineDeps, exitWith: (code: number) => void): Command {
  const program = new Command("statehouse")
    .description("The state of your infrastructure, in your own house: a backend for unmodified pulumi CLIs.")
    .version(deps.version, "-v, --version")
    .usage("[command] [options]")
    .showHelpAfterError("See --help for what this command takes.")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => deps.stdout.write(text),
      writeErr: (text) => deps.stderr.write(text),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText("after", examples("serve", "doctor", "token create --user ada --create-user"))
    .addHelpText("after", "\nSettings come from STATEHOUSE_… variables and .env: see docs/configuration.md.");
  addServe(program, deps);
  addHealthcheck(program, deps);
  addDoctor(program, deps, exitWith);
  addGc(program, deps);
  addToken(program, deps);
  addOrg(program, deps);
  addUser(program, deps);
  addConfig(program, deps);
  addMigrate(program, deps);
  addArtifact(program, deps, exitWith);
  addTransfer(program, deps);
  return program;
}

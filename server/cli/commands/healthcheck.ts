import type { Command } from "commander";
import { directUrl } from "../../config/urls.ts";
import { networkReason } from "../admin-api.ts";
import { loadConfig } from "../connect.ts";
import type { CommandLineDeps } from "../deps.ts";
import { CommandFailure, UsageError } from "../failure.ts";
import { examples } from "../options.ts";

const ANSWER_MS_MAX = 3_000;

export function addHealthcheck(program: Command, deps: CommandLineDeps): void {
  program
    .command("healthcheck")
    .summary("exit with 0 when the server on this machine is ready")
    .description(
      "Ask the server on this machine whether it is ready: exit code 0 when it is, 1 when not. " +
        "Made for a container's health check; needs no curl.",
    )
    .addHelpText("after", examples("healthcheck"))
    .action(async () => {
      const url = directUrl(loadConfig(deps).config);
      if (url === null) throw new UsageError("STATEHOUSE_PORT is 0, so the server's port is not known.");
      const problem = await findProblem(url);
      if (problem !== null) throw new CommandFailure(`not ready: ${problem}`);
      deps.stdout.write(`ready: ${url}\n`);
    });
}

async function findProblem(url: string): Promise<string | null> {
  try {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    await response.body?.cancel();
    return response.ok ? null : `${url} answers ${response.status}`;
  } catch (error) {
    return `no answer from ${url} (${networkReason(error)})`;
  }
}

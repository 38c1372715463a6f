import type { Command } from "commander";
import { z } from "zod";
import { type ServerOptions, withAdminApi } from "../connect.ts";
import type { CommandLineDeps } from "../deps.ts";
import { CommandFailure } from "../failure.ts";
import { examples, jsonOption, serverOptions } from "../options.ts";
import { alignRows } from "../table.ts";

/** A sweep of a large store takes its time. */
const RUN_MS_MAX = 600_000;

const Run = z.looseObject({
  dryRun: z.boolean(),
  counts: z.record(z.string(), z.number()),
  error: z.string().nullish(),
});

export function addGc(program: Command, deps: CommandLineDeps): void {
  serverOptions(jsonOption(program.command("gc")))
    .summary("run the sweeps now")
    .description(
      "Run the sweeps now: free the stacks of dead updates, delete what has ended and what nothing names. " +
        "The server does the same by itself every minute.",
    )
    .option("--dry-run", "only count what would go", false)
    .addHelpText("after", examples("gc --dry-run"))
    .action(async (options: ServerOptions & { dryRun: boolean; json: boolean }) => {
      await withAdminApi(deps, options, async (api) => {
        const { dryRun } = options;
        const answer = await api.send("POST", ["gc-runs"], { body: { dryRun }, timeoutMs: RUN_MS_MAX });
        const run = Run.parse(answer);
        deps.stdout.write(options.json ? `${JSON.stringify(answer, null, 2)}\n` : formatRun(run));
        if (run.error) throw new CommandFailure(`The run ended early: ${run.error}. See the server's log.`);
      });
    });
}

function formatRun({ dryRun, counts }: z.output<typeof Run>): string {
  const head = dryRun ? "Would be swept:\n" : "Swept:\n";
  const rows = Object.entries(counts).map(([what, count]) => [`  ${what}`, String(count)]);
  return head + alignRows(rows);
}

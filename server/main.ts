import { runCommandLine } from "./cli/index.ts";
import { machineProbes } from "./doctor/probes.ts";
import { engineProbes, migrate, withLocalServer } from "./engine.ts";
import { moveData, reopenSource } from "./move.ts";
import { serve } from "./serve.ts";
import { VERSION } from "./version.ts";

process.exitCode = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  cwd: process.cwd(),
  version: VERSION,
  stdout: process.stdout,
  stderr: process.stderr,
  serve,
  migrate,
  withLocalServer,
  transfer: ({ from, to, awsEnvironment, ...options }) => {
    Object.assign(process.env, awsEnvironment);
    return moveData(from, to, options);
  },
  reopenSource,
  findOwner: engineProbes.findOwner,
  doctorProbes: () => ({ ...machineProbes, ...engineProbes }),
});

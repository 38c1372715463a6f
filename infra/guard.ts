/** Refuses a change of mode that would put an empty store before people whose states are in the other. */
import { ACKNOWLEDGEMENT, refusalOf } from "./mode-change.ts";
import type { Settings } from "./settings.ts";

/** Compares with the mode that the stage was last deployed in, before anything is made. */
export async function guardMode(settings: Settings): Promise<void> {
  const path = `/${$app.name}/${settings.stage}/guard`;
  // By path, because asking for one parameter fails at the first deploy.
  const found = await aws.ssm.getParametersByPath({ path });
  const deployed = found.values[found.names.indexOf(`${path}/mode`)] ?? null;
  const refusal = refusalOf(settings, deployed, process.env[ACKNOWLEDGEMENT]);
  if (refusal !== null) throw new Error(refusal);
}

/** Written when the service runs in that mode, not before. */
export function rememberMode(settings: Settings, service: sst.aws.Service): void {
  const name = `/${$app.name}/${settings.stage}/guard/mode`;
  new aws.ssm.Parameter(
    "Mode",
    { name, type: "String", value: settings.mode },
    { dependsOn: [service], retainOnDelete: settings.production },
  );
}

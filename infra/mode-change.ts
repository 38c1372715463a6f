/** When a stage may change its mode. Pure. */
import type { Mode } from "./input.ts";
import type { Settings } from "./settings.ts";

export const ACKNOWLEDGEMENT = "STATEHOUSE_MODE_CHANGE";

/** What the variable must hold, word for word. */
export function acknowledgementOf(from: string, to: Mode): string {
  return `${from}->${to}, moved with statehouse transfer`;
}

/** Why the deploy must not go on; null when it may. */
export function refusalOf(
  settings: Pick<Settings, "stage" | "mode" | "bothStorages">,
  deployed: string | null,
  given: string | undefined,
): string | null {
  const { stage, mode, bothStorages } = settings;
  if (deployed === null || deployed === mode) return null;
  if (!bothStorages)
    return (
      `The stage ${stage} runs in mode ${deployed}, and its data is there. To move it to ${mode}: deploy with ` +
      `mode "${deployed}" and bothStorages: true, run \`statehouse transfer\` in the transfer task, and change ` +
      "the mode while bothStorages is true (docs/deploy/aws.md, Switching the mode)."
    );
  const words = acknowledgementOf(deployed, mode);
  if (given === words) return null;
  return (
    `The stage ${stage} changes from ${deployed} to ${mode}. Move the data with \`statehouse transfer\` first; ` +
    `when its report says that everything is there, deploy with ${ACKNOWLEDGEMENT}="${words}".`
  );
}

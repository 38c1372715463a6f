/** A Config as it may be shown or logged. */
import { resolve } from "node:path";
import { type Config, SETTINGS } from "./schema.ts";

const MASK = "********";

export interface SettingLine {
  readonly env: string;
  /** As it would be typed; secrets masked; null when not set. */
  readonly value: string | null;
  readonly isDefault: boolean;
}

/** Every setting and its value, secrets masked. */
export function describeConfig(config: Config): SettingLine[] {
  return SETTINGS.map(({ name, env, secret, initial }) => {
    const value = config[name];
    const isSet = value !== null && !(Array.isArray(value) && value.length === 0);
    const shown = isSet ? (secret ? MASK : String(value)) : null;
    const isDefault = isSet ? shown === initialOf(name, initial) : initial === null;
    return { env, value: shown, isDefault };
  });
}

function initialOf(name: string, initial: string | null): string | null {
  return name === "dataDir" && initial !== null ? resolve(initial) : initial;
}

const UNIT_SECONDS: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
  y: 31_536_000,
};

/** `90d` → 7776000; null when it is no duration. */
export function parseDurationSeconds(text: string): number | null {
  const [, count = "", unit = ""] = /^([1-9][0-9]{0,8})([smhdwy])$/.exec(text) ?? [];
  const seconds = UNIT_SECONDS[unit];
  return seconds === undefined ? null : Number(count) * seconds;
}

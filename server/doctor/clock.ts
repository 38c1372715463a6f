import type { Config } from "../config/schema.ts";
import { type Check, fail, guarded, ok, warn } from "./check.ts";
import type { DoctorProbes } from "./probes.ts";

const SKEW_MS_WARN = 2_000;
const DRIFT_MS_WARN = 100;
/** This program was written in 2025: an earlier year is a machine that lost its clock. */
const YEAR_MIN = 2025;
const YEAR_MAX = 2100;

/**
 * Leases end by the clock: one that is wrong or jumps frees stacks too early or too late. `hasFolder` false
 * leaves out the comparison with the file system.
 */
export async function checkClock(config: Config, probes: DoctorProbes, hasFolder: boolean): Promise<Check> {
  return await guarded("clock", "Look at the machine's time service.", async () => {
    const nowMs = probes.nowMs();
    const year = new Date(nowMs).getUTCFullYear();
    const now = new Date(nowMs).toISOString();
    if (year < YEAR_MIN || year > YEAR_MAX) {
      return fail("clock", `it is ${now} here`, "Set the machine's clock, and let NTP keep it.");
    }
    const { wallMs, monotonicMs } = await probes.elapsedMs();
    if (Math.abs(wallMs - monotonicMs) > DRIFT_MS_WARN) {
      const detail = `${Math.round(monotonicMs)} ms passed, the clock moved by ${Math.round(wallMs)} ms`;
      return warn("clock", detail, "Something is setting the clock: let NTP slew it, not step it.");
    }
    if (!hasFolder) return ok("clock", now);
    const beforeMs = probes.nowMs();
    const skewMs = (await probes.fileTimeMs(config.dataDir)) - beforeMs;
    if (Math.abs(skewMs) <= SKEW_MS_WARN) return ok("clock", now);
    const seconds = (skewMs / 1000).toFixed(1);
    const advice = "Let NTP keep both this machine's clock and the file server's.";
    return warn("clock", `the file system's clock is ${seconds} s from this machine's`, advice);
  });
}

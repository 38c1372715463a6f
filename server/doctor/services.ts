/** Checks of what the server reaches over the network: the bucket and Redis. */
import type { Config } from "../config/schema.ts";
import { type Check, fail, ok, warn } from "./check.ts";
import type { BucketStep, DoctorProbes } from "./probes.ts";

const BUCKET = "S3 bucket";
const REDIS = "Redis";
const REDIS_MS_WARN = 50;

/** Without these states are kept even so; what is left of uploads that were cut off stays, and is paid for. */
const CLEANING: ReadonlySet<string> = new Set(["multipart-list", "multipart-abort"]);
const REFUSED = "refused: grant ";
const NOT_TRIED = "not tried";
const TO_DO = /^(.*?): ((?:check|correct|get|grant|make|name|set) .*)$/s;

/** One line when all is well; else one for each call that isn't. */
export async function checkBucket(config: Config, probes: DoctorProbes): Promise<Check[]> {
  const steps = await probes.probeBucket(config);
  const where = `"${config.s3Bucket ?? ""}" at ${config.s3Endpoint ?? "AWS"}`;
  const broken = steps.filter(({ ok: isFine, detail }) => !isFine && detail !== NOT_TRIED);
  if (broken.length > 0) return broken.map((step) => brokenStep(step, where));
  const tried = steps.map(({ step }) => step).filter((step) => step !== "bucket");
  return [ok(BUCKET, `${where}: ${tried.join(", ")} work`)];
}

function brokenStep({ step, detail }: BucketStep, where: string): Check {
  const name = step === "bucket" ? BUCKET : `${BUCKET}: ${step}`;
  const say = CLEANING.has(step) ? warn : fail;
  if (detail.startsWith(REFUSED)) {
    const grant = detail.slice(REFUSED.length);
    return say(name, `${where} refuses it`, `Grant the server's role or user ${grant}.`);
  }
  // The store's own words: what is wrong, a colon, what to do.
  const [, found, todo] = TO_DO.exec(detail) ?? [];
  if (found !== undefined && todo !== undefined) {
    return say(name, found, `${todo.charAt(0).toUpperCase()}${todo.slice(1)}.`);
  }
  const advice =
    step === "bucket"
      ? "Check STATEHOUSE_S3_ENDPOINT, and that this machine may reach it."
      : "Look at the server's own log; it has to do what S3 does.";
  return say(name, `${where}: ${detail}`, advice);
}

/** Never more than a warning: the server runs without it. */
export async function checkRedis(url: string, probes: DoctorProbes): Promise<Check> {
  const alone = "Until it answers each replica counts failed sign-ins alone.";
  try {
    const { version, tookMs } = await probes.pingRedis(url);
    const detail = `${version}, a count takes ${tookMs.toFixed(1)} ms`;
    if (tookMs <= REDIS_MS_WARN) return ok(REDIS, detail);
    return warn(REDIS, detail, "Every failed sign-in waits for one: use a Redis nearer by.");
  } catch (error) {
    const why = (error instanceof Error ? error.message : String(error)).replaceAll(
      url,
      "STATEHOUSE_REDIS_URL",
    );
    return warn(REDIS, why, `Check STATEHOUSE_REDIS_URL. ${alone}`);
  }
}

import type { Config } from "../config/schema.ts";
import { type Check, ok, warn } from "./check.ts";

const ANSWER_MS_MAX = 5_000;
const NAME = "public URL";

/** What people type. `isRunning`: only then can it be expected to answer. */
export async function checkPublicUrl(config: Config, isRunning: boolean): Promise<Check> {
  const { publicUrl } = config;
  if (publicUrl === null) return unset(config);
  const url = new URL(publicUrl);
  const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  if (url.protocol !== "https:" && !isLocal) {
    return warn(NAME, publicUrl, "Tokens travel in the clear over http: put TLS before the server.");
  }
  if (url.pathname !== "/") {
    const advice =
      "The server answers at the root: the proxy must take the path off, or use a host name of its own.";
    return warn(NAME, `${publicUrl} has a path`, advice);
  }
  if (!isRunning) return ok(NAME, `${publicUrl} (not asked: no server is running)`);
  const problem = await findProblem(publicUrl);
  if (problem === null) return ok(NAME, `${publicUrl} answers`);
  return warn(NAME, `${publicUrl}: ${problem}`, "Check DNS, the proxy and its certificate.");
}

function unset({ host }: Config): Check {
  const isLocal = ["127.0.0.1", "::1", "localhost"].includes(host);
  if (isLocal) return ok(NAME, "not set: for this machine alone");
  return warn(
    NAME,
    `not set, and the server listens on ${host}`,
    "Set STATEHOUSE_PUBLIC_URL to the address that people type.",
  );
}

async function findProblem(url: string): Promise<string | null> {
  try {
    const response = await fetch(`${url}/livez`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    await response.body?.cancel();
    return response.ok ? null : `answers ${response.status}`;
  } catch (error) {
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    return cause instanceof Error ? cause.message || "no answer" : String(cause);
  }
}

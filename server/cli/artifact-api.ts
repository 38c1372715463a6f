/** The artifact API as CI jobs use it: any server, a token of theirs, and retries of what may pass. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Environment } from "../config/read.ts";
import { networkReason } from "./admin-api.ts";
import { UsageError } from "./failure.ts";

export const EXIT_NOT_FOUND = 3;
export const EXIT_REFUSED = 4;
export const EXIT_UNAVAILABLE = 5;

const FIRST_DELAY_MS = 500;
const DELAY_MS_MAX = 15_000;
const PASSING: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** What went wrong, and the exit code that says so. */
export class ArtifactFailure extends Error {
  override readonly name = "ArtifactFailure";
  readonly exitCode: number;
  readonly mayPass: boolean;
  /** Of the answer; null when there was none. */
  readonly status: number | null;
  constructor(
    message: string,
    exitCode: number,
    options: { mayPass?: boolean; cause?: unknown; status?: number } = {},
  ) {
    super(message, { cause: options.cause });
    this.exitCode = exitCode;
    this.mayPass = options.mayPass ?? false;
    this.status = options.status ?? null;
  }
}

export interface Access {
  readonly url: string;
  readonly token: string;
  readonly retries: number;
}

const Credentials = z.looseObject({
  current: z.string().optional(),
  accessTokens: z.record(z.string(), z.string()).default({}),
  accounts: z.record(z.string(), z.looseObject({ accessToken: z.string().optional() })).default({}),
});

/** From options, the environment, or what `pulumi login` keeps. @throws UsageError */
export function accessOf(
  env: Environment,
  options: { readonly url?: string; readonly token?: string; readonly retries: number },
): Access {
  const login = pulumiLogin(env);
  const url = [options.url, env.STATEHOUSE_URL, env.PULUMI_BACKEND_URL, login?.current].find(isSet);
  if (url === undefined || !/^https?:\/\//.test(url)) {
    throw new UsageError(
      "Which server? Give --url, STATEHOUSE_URL or PULUMI_BACKEND_URL, or run pulumi login.",
    );
  }
  const base = url.replace(/\/+$/, "");
  const token = [options.token, env.PULUMI_ACCESS_TOKEN, login?.tokenFor(base)].find(isSet);
  if (token === undefined) {
    throw new UsageError(
      `There is no token for ${base}. Give --token or PULUMI_ACCESS_TOKEN, or run pulumi login.`,
    );
  }
  return { url: base, token, retries: options.retries };
}

function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== "";
}

function pulumiLogin(
  env: Environment,
): { current: string | undefined; tokenFor(url: string): string | undefined } | null {
  const folder = env.PULUMI_CREDENTIALS_PATH ?? env.PULUMI_HOME ?? join(env.HOME ?? homedir(), ".pulumi");
  try {
    const parsed = Credentials.parse(JSON.parse(readFileSync(join(folder, "credentials.json"), "utf8")));
    const { current, accounts, accessTokens } = parsed;
    const tokenFor = (url: string) => {
      const key = [url, `${url}/`].find((it) => it in accounts || it in accessTokens) ?? url;
      return accounts[key]?.accessToken ?? accessTokens[key];
    };
    return { current, tokenFor };
  } catch {
    return null; // nobody has logged in here
  }
}

/** Runs `attempt` again while what went wrong may pass. `onRetry` is told before each wait. */
export async function withRetries<T>(
  { retries }: Pick<Access, "retries">,
  onRetry: (error: ArtifactFailure, waitMs: number) => void,
  attempt: (number: number) => Promise<T>,
): Promise<T> {
  for (let number = 0; ; number++) {
    try {
      return await attempt(number);
    } catch (error) {
      if (!(error instanceof ArtifactFailure) || !error.mayPass || number >= retries) throw error;
      const waitMs = Math.min(FIRST_DELAY_MS * 2 ** number, DELAY_MS_MAX) * (0.5 + Math.random() / 2);
      onRetry(error, waitMs);
      await sleep(waitMs);
    }
  }
}

/** One request; whatever isn't a success is thrown. Redirects are not followed: a token must not go elsewhere. */
export async function call(
  access: Access,
  path: string,
  init: RequestInit & { readonly duplex?: "half" } = {},
): Promise<Response> {
  const headers = { authorization: `token ${access.token}`, ...(init.headers as Record<string, string>) };
  let response: Response;
  try {
    response = await fetch(`${access.url}${path}`, { redirect: "manual", ...init, headers });
  } catch (error) {
    const message = `No answer from ${access.url} (${networkReason(error)}).`;
    throw new ArtifactFailure(message, EXIT_UNAVAILABLE, { mayPass: true, cause: error });
  }
  if (response.ok) return response;
  throw await refusal(access, response);
}

/** The answer's JSON; one that is cut off may come whole the next time. */
export async function jsonOf(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch (error) {
    throw new ArtifactFailure("The answer was cut off.", EXIT_UNAVAILABLE, { mayPass: true, cause: error });
  }
}

async function refusal({ url }: Access, response: Response): Promise<ArtifactFailure> {
  const { status } = response;
  const text = await response.text().catch(() => "");
  const said = /"message":"((?:[^"\\]|\\.)*)"/.exec(text)?.[1];
  const message = said === undefined ? `${url} answered with status ${status}.` : `${said} (${status})`;
  if (PASSING.has(status)) return new ArtifactFailure(message, EXIT_UNAVAILABLE, { mayPass: true, status });
  if (status === 404) return new ArtifactFailure(message, EXIT_NOT_FOUND, { status });
  return new ArtifactFailure(message, status === 401 || status === 403 ? EXIT_REFUSED : 1, { status });
}

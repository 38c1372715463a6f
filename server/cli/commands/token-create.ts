import { z } from "zod";
import { type AdminApi, AdminApiError } from "../admin-api.ts";
import { type ServerOptions, withAdminApi } from "../connect.ts";
import type { CommandLineDeps } from "../deps.ts";
import { CommandFailure, UsageError } from "../failure.ts";

export interface CreateTokenOptions extends ServerOptions {
  readonly user?: string;
  readonly createUser: boolean;
  readonly machine: boolean;
  readonly org?: string;
  readonly role?: string;
  readonly stack?: string;
  readonly name?: string;
  /** Seconds. */
  readonly expires?: number;
  readonly json: boolean;
}

const DEFAULT_ROLE = "member";
const Created = z.looseObject({ token: z.string(), id: z.string(), name: z.string() });

/** Makes a token; the token to stdout, everything about it to stderr. */
export async function createToken(deps: CommandLineDeps, options: CreateTokenOptions): Promise<void> {
  requireOneOwner(options);
  await withAdminApi(deps, options, async (api, config) => {
    const organization = options.org ?? config.defaultOrg;
    if (options.user !== undefined && options.createUser) {
      await ensureUser(deps, api, options, { login: options.user, organization });
    }
    const answer = await send(api, options, organization);
    const created = Created.parse(answer);
    deps.stdout.write(options.json ? `${JSON.stringify(answer, null, 2)}\n` : `${created.token}\n`);
    deps.stderr.write(explanation(created, options, { organization, url: api.shownUrl }));
  });
}

function requireOneOwner({ user, machine, createUser, role, org, stack }: CreateTokenOptions): void {
  if (user !== undefined && machine) throw new UsageError("Give either --user or --machine, not both.");
  if (user === undefined && !machine) {
    throw new UsageError("Say whose token it is: --user <login>, or --machine for a CI job.");
  }
  if (!machine && stack !== undefined) throw new UsageError("--stack goes with --machine.");
  if (machine && createUser) throw new UsageError("--create-user goes with --user, not with --machine.");
  if (!machine && !createUser && (role ?? org) !== undefined) {
    throw new UsageError(
      "--role and --org go with --machine or --create-user; " +
        "to change a user's role: statehouse org member set <organization> <user> --role <role>",
    );
  }
}

/**
 * Makes the user if there is none. Someone who was there keeps the role they have, unless a role is asked
 * for: the default must not take an administrator's rights away.
 */
async function ensureUser(
  deps: CommandLineDeps,
  api: AdminApi,
  options: CreateTokenOptions,
  { login, organization }: { login: string; organization: string },
): Promise<void> {
  const isNew = await createUser(api, login);
  if (isNew) deps.stderr.write(`Made user ${login}.\n`);
  if (!isNew && options.role === undefined && (await isMember(api, organization, login))) return;
  const role = options.role ?? DEFAULT_ROLE;
  await api.send("PUT", ["organizations", organization, "members", login], { body: { role } });
  deps.stderr.write(`${login} is ${role} of ${organization}.\n`);
}

async function createUser(api: AdminApi, login: string): Promise<boolean> {
  try {
    await api.send("POST", ["users"], { body: { login } });
    return true;
  } catch (error) {
    if (error instanceof AdminApiError && error.status === 409) return false;
    throw error;
  }
}

async function isMember(api: AdminApi, organization: string, login: string): Promise<boolean> {
  const { items } = await api.list(["organizations", organization, "members"]);
  return items.some((member) => member.login === login);
}

async function send(api: AdminApi, options: CreateTokenOptions, organization: string) {
  const { user, expires } = options;
  const name = options.name ?? `made on ${new Date().toISOString().slice(0, 10)}`;
  const limit = options.stack === undefined ? {} : { stack: options.stack };
  const owner =
    user === undefined ? { organization, role: options.role ?? DEFAULT_ROLE, ...limit } : { user };
  const body = { name, ...owner, ...(expires === undefined ? {} : { expiresInSeconds: expires }) };
  try {
    return await api.send("POST", ["tokens"], { body });
  } catch (error) {
    if (user === undefined || !(error instanceof AdminApiError) || error.status !== 404) throw error;
    throw new CommandFailure(`There is no user ${user}. Add --create-user to make one.`, { cause: error });
  }
}

function explanation(
  created: z.output<typeof Created>,
  { user, expires }: CreateTokenOptions,
  { organization, url }: { organization: string; url: string },
): string {
  const whose = user ?? `machines of ${organization}`;
  const end = expires === undefined ? "It does not expire." : `It ends at ${isoIn(expires)}.`;
  return [
    `Token "${created.name}" (id ${created.id}) for ${whose}. ${end} It is shown this once. To use it:`,
    "  export PULUMI_ACCESS_TOKEN=<the token>",
    `  pulumi login ${url}`,
    "",
  ].join("\n");
}

function isoIn(seconds: number): string {
  return new Date(Date.now() + seconds * 1000).toISOString().replace(/\.\d+Z$/, "Z");
}

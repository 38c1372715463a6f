/** What a start says on standard output. Never the token itself: the output may end in a log. */
import { relative } from "node:path";
import type { SecretSource } from "./first-run.ts";

export interface WelcomeFacts {
  /** As `shownUrl` gives it. */
  readonly url: string;
  readonly adminToken: SecretSource;
  readonly encryptionKey: SecretSource;
  /** The working directory, so that paths can be shown short. */
  readonly cwd: string;
  /** How a person starts this program's other commands. */
  readonly command?: string;
  /** Name or id of the container that the server runs in: its files are read from outside with `docker exec`. */
  readonly container?: string | null;
}

const COMMAND = "npm run -s statehouse --";

/** Text of the first start: where, the two lines to type, and what to do after that. */
export function firstRunText(facts: WelcomeFacts): string {
  const { url, container = null } = facts;
  const inside = container === null ? "" : `docker exec ${container} `;
  const command = facts.command ?? (container === null ? COMMAND : `${inside}statehouse`);
  const lines = [
    `Statehouse is ready at ${url}`,
    "",
    "Sign in from another terminal:",
    "",
    `  export PULUMI_ACCESS_TOKEN=${tokenForShell(facts, inside)}`,
    `  pulumi login ${url}`,
    "",
    "That is the administrator. A token of one's own for each person:",
    "",
    `  ${command} token create --user ada --create-user`,
    "",
  ];
  if (facts.encryptionKey.kind === "file") {
    const path = shownPath(facts.encryptionKey.path, facts.cwd);
    lines.push(`Keep a copy of ${path} in a safe place: without it the data can't be read.`, "");
  }
  return lines.join("\n");
}

/** The one line of a later start. */
export function laterRunText(facts: {
  readonly url: string;
  readonly dataDir: string;
  readonly cwd: string;
}): string {
  return `Statehouse is ready at ${facts.url} (data in ${shownPath(facts.dataDir, facts.cwd)})\n`;
}

function tokenForShell({ adminToken, cwd, container = null }: WelcomeFacts, inside: string): string {
  if (adminToken.kind === "setting") return `"$${adminToken.env}"`;
  const path = container === null ? shownPath(adminToken.path, cwd) : adminToken.path;
  return `"$(${inside}cat ${quoted(path)})"`;
}

/** Relative where that is shorter to read: inside the working directory. */
function shownPath(path: string, cwd: string): string {
  const short = relative(cwd, path);
  return short === "" || short.startsWith("..") ? path : short;
}

function quoted(path: string): string {
  return /^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

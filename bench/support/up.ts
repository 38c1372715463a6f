/** Plays an `up` the way the CLI does it (protocol reference 10.4, steps 15 to 25), and checks what it left. */
import { isDeepStrictEqual } from "node:util";
import { ADMIN_TOKEN } from "./child.ts";
import type { Answer, Connection, RequestBody } from "./connection.ts";
import { type ResourceState, resourcesAfterUp } from "./resources.ts";
import { stackBody, stackPathOf, type UpScript } from "./script.ts";

const TOKEN = `token ${ADMIN_TOKEN}`;

async function sent(
  connection: Connection,
  method: string,
  path: string,
  authorization: string,
  body: RequestBody | null = null,
): Promise<Answer> {
  const answer = await connection.send(method, path, authorization, body);
  if (answer.status < 200 || answer.status > 299) {
    throw new Error(`${method} ${path}: ${answer.status} ${answer.body.toString("utf8")}`);
  }
  return answer;
}

function textMember(answer: Answer, name: string): string {
  const value = (JSON.parse(answer.body.toString("utf8")) as Record<string, unknown>)[name];
  if (typeof value !== "string") throw new Error(`no ${name} in ${answer.body.toString("utf8")}`);
  return value;
}

export async function createStack(connection: Connection, stack: string): Promise<void> {
  await sent(connection, "POST", stackPathOf("").slice(0, -1), TOKEN, stackBody(stack));
}

export interface StartedUp {
  /** Of the update. */
  readonly path: string;
  /** The value of the Authorization header. */
  readonly lease: string;
}

export async function startUp(connection: Connection, script: UpScript): Promise<StartedUp> {
  const stackPath = stackPathOf(script.stack);
  const created = await sent(connection, "POST", `${stackPath}/update`, TOKEN, script.create);
  const path = `${stackPath}/update/${textMember(created, "updateID")}`;
  const started = await sent(connection, "POST", path, TOKEN, script.start);
  return { path, lease: `update-token ${textMember(started, "token")}` };
}

/** The whole update, each request after the answer to the one before; gives the number of requests. */
export async function playUp(connection: Connection, script: UpScript): Promise<number> {
  const stackPath = stackPathOf(script.stack);
  const { path, lease } = await startUp(connection, script);
  await sent(connection, "GET", `${stackPath}/export`, TOKEN);
  await sent(connection, "GET", stackPath, TOKEN);
  for (const save of script.saves) {
    await sent(connection, save.method, `${path}/${save.action}`, lease, save.body);
  }
  await sent(connection, "POST", `${path}/complete`, lease, script.complete);
  return 5 + script.saves.length;
}

interface Exported {
  readonly deployment?: {
    readonly resources?: ResourceState[];
    readonly pending_operations?: unknown[];
  };
}

async function exported(port: number, stack: string): Promise<Exported> {
  const url = `http://127.0.0.1:${port}${stackPathOf(stack)}/export`;
  const answer = await fetch(url, { headers: { authorization: TOKEN } });
  return (await answer.json()) as Exported;
}

export async function exportedResources(port: number, stack: string): Promise<readonly ResourceState[]> {
  return (await exported(port, stack)).deployment?.resources ?? [];
}

/** A bench that doesn't check is no bench: all resources are there, in order, as they were sent, and no more. */
export async function checkUp(port: number, stack: string, count: number): Promise<void> {
  const { resources = [], pending_operations: pending = [] } = (await exported(port, stack)).deployment ?? {};
  if (pending.length > 0) throw new Error(`${stack}: ${pending.length} operations are left pending`);
  const expected = resourcesAfterUp(stack, count);
  if (isDeepStrictEqual(resources, expected)) return;
  throw new Error(
    `${stack}: ${resources.length} resources, not the ${expected.length} that were sent as they were sent`,
  );
}

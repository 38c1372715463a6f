/** Stacks, resources and journal entries as the CLI's engine makes them, for tests. */
import { StackClient } from "./client.ts";
import type { TestServer } from "./server.ts";

export interface Resource {
  readonly urn: string;
  readonly custom: boolean;
  readonly type: string;
  readonly [member: string]: unknown;
}

let lastStack = 0;

/** A stack that no other test of this process uses. */
export function freshStack(
  server: Pick<TestServer, "url">,
  extra: Record<string, unknown> = {},
): Promise<StackClient> {
  lastStack += 1;
  return new StackClient(server, "shop", `s${lastStack}`).init(extra);
}

type Named = Pick<StackClient, "org" | "project" | "stack">;

export function urnOf({ project, stack }: Named, type: string, name: string): string {
  return `urn:pulumi:${stack}::${project}::${type}::${name}`;
}

const ROOT_TYPE = "pulumi:pulumi:Stack";

export function rootResource(stack: Named, more: Record<string, unknown> = {}): Resource {
  const urn = urnOf(stack, ROOT_TYPE, `${stack.project}-${stack.stack}`);
  return { urn, custom: false, type: ROOT_TYPE, ...more };
}

export function resource(stack: Named, name: string, more: Record<string, unknown> = {}): Resource {
  const type = "test:index:Thing";
  return { urn: urnOf(stack, type, name), custom: true, type, id: `id-${name}`, ...more };
}

export function serviceProvider({ org, project, stack }: Named): { type: string; state: unknown } {
  return { type: "service", state: { url: "http://127.0.0.1:4000", owner: org, project, stack } };
}

const MANIFEST = { time: "2026-01-02T03:04:05Z", magic: "", version: "" };

/** A sound document with these resources. */
export function documentOf(
  resources: readonly unknown[],
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  return { version: 3, deployment: { manifest: MANIFEST, resources, ...more } };
}

export const KIND = {
  begin: 0,
  success: 1,
  failure: 2,
  refreshSuccess: 3,
  outputs: 4,
  write: 5,
  secretsManager: 6,
  rebuiltBaseState: 7,
  extensionParameterize: 8,
  snippets: 9,
} as const;

export type Entry = Readonly<Record<string, unknown>> & { readonly sequenceID: number };

export function entry(sequenceID: number, kind: number, more: Record<string, unknown> = {}): Entry {
  return { version: 1, kind, sequenceID, operationID: 0, removeOld: null, removeNew: null, ...more };
}

/** Begin and end of a step that makes a resource. */
export function creation(firstSequence: number, operationID: number, state: Resource): readonly Entry[] {
  return [
    entry(firstSequence, KIND.begin, { operationID, operation: { resource: state, type: "creating" } }),
    entry(firstSequence + 1, KIND.success, { operationID, state }),
  ];
}

/** What a whole small `up` sends: the provider, the root resource, then `names`. */
export function upEntries(stack: Named, names: readonly string[] = []): readonly Entry[] {
  const states = [rootResource(stack), ...names.map((name) => resource(stack, name))];
  return [
    entry(1, KIND.secretsManager, { secretsProvider: serviceProvider(stack) }),
    ...states.flatMap((state, i) => creation(2 + 2 * i, 1 + i, state)),
  ];
}

/** Runs a whole update that creates `names`; throws unless all of it was taken. */
export async function up(stack: StackClient, names: readonly string[] = []): Promise<void> {
  const update = await stack.begin();
  for (const answer of [await update.journal(upEntries(stack, names)), await update.complete()]) {
    if (answer.status >= 300) throw new Error(`up: ${answer.status} ${answer.text}`);
  }
}

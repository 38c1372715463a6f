/** What a stack's state should be, as its client knows it: resources by name, and what hangs in the air. */
import { expect } from "vitest";

export interface State {
  /** Of the URNs: a rename rewrites it. */
  readonly stack: string;
  /** Name to a number that its outputs carry. */
  readonly resources: ReadonlyMap<string, number>;
  /** Names whose creation was begun and not finished. */
  readonly pending: ReadonlySet<string>;
  /** The bytes as sent, for what must come back byte for byte; else null. */
  readonly text: string | null;
}

export const PROJECT = "shop";
const TYPE = "test:index:Thing";

export function emptyState(stack: string): State {
  return { stack, resources: new Map(), pending: new Set(), text: null };
}

export function resourceOf(stack: string, name: string, value: number): Record<string, unknown> {
  const urn = `urn:pulumi:${stack}::${PROJECT}::${TYPE}::${name}`;
  return { urn, custom: false, type: TYPE, outputs: { value } };
}

export function deploymentOf(state: State): Record<string, unknown> {
  const resources = [...state.resources].map(([name, value]) => resourceOf(state.stack, name, value));
  const pending = [...state.pending].map((name) => ({
    resource: resourceOf(state.stack, name, 0),
    type: "creating",
  }));
  return {
    manifest: { time: "2026-01-01T00:00:00Z", magic: "", version: "" },
    resources,
    ...(pending.length === 0 ? {} : { pending_operations: pending }),
    metadata: {},
  };
}

interface Exported {
  readonly deployment: {
    readonly resources?: readonly { urn: string; outputs: { value: number } }[];
    readonly pending_operations?: readonly { resource: { urn: string }; type: string }[];
  };
}

function nameOf(urn: string, stack: string): string {
  const prefix = `urn:pulumi:${stack}::${PROJECT}::${TYPE}::`;
  if (!urn.startsWith(prefix)) throw new Error(`${urn} is not of the stack ${stack}`);
  return urn.slice(prefix.length);
}

/** A form that two states have in common only if they are the same. A resource twice is told apart, too. */
function shapeOf(exported: Exported, stack: string): Record<string, unknown> {
  const { resources = [], pending_operations: pending = [] } = exported.deployment;
  return {
    resources: resources.map((it) => `${nameOf(it.urn, stack)}=${it.outputs.value}`).sort(),
    pending: pending.map((it) => `${it.type} ${nameOf(it.resource.urn, stack)}`).sort(),
  };
}

/** Null when the text is that state; else what is different, for people. */
export function findDifference(text: string, state: State): string | null {
  if (state.text !== null) {
    if (text === state.text) return null;
    return `other bytes than were imported: ${text.slice(0, 300)} instead of ${state.text.slice(0, 300)}`;
  }
  try {
    const expected = shapeOf({ deployment: deploymentOf(state) } as unknown as Exported, state.stack);
    expect(shapeOf(JSON.parse(text) as Exported, state.stack)).toEqual(expected);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The one of `candidates` that the text is. */
export function whichOf(text: string, candidates: readonly State[], where: string): State {
  const differences: string[] = [];
  for (const state of candidates) {
    const difference = findDifference(text, state);
    if (difference === null) return state;
    differences.push(difference);
  }
  throw new Error(`${where} is none of what it may be:\n${differences.join("\n---\n")}`);
}

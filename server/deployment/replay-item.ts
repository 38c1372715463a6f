/** A resource during replay: its facts, where its bytes are, and which of its members differ from those bytes. */
import type { ResourceFacts } from "./facts.ts";
import { withMembers } from "./json-members.ts";
import { jsonBytes } from "./json-text.ts";

/** Members that replay may change, as bits. */
export const CHANGED = {
  urn: 1,
  parent: 2,
  provider: 4,
  dependencies: 8,
  propertyDependencies: 16,
  replaceWith: 32,
  deletedWith: 64,
  viewOf: 128,
  aliases: 256,
  delete: 512,
  pendingReplacement: 1024,
} as const;
type ChangedName = keyof typeof CHANGED;

export class ReplayItem {
  /** Owned by this item; lists in it are replaced, never altered. */
  readonly facts: ResourceFacts;
  /** The resource as an entry brought it; null: bytes `start` to `end` of the base document. */
  readonly raw: Uint8Array | null;
  readonly start: number;
  readonly end: number;
  changed = 0;

  constructor(facts: ResourceFacts, raw: Uint8Array | null, start = 0, end = 0) {
    this.facts = facts;
    this.raw = raw;
    this.start = start;
    this.end = end;
  }

  mark(name: "delete" | "pendingReplacement"): void {
    if (this.facts[name]) return;
    this.facts[name] = true;
    this.changed |= CHANGED[name];
  }
}

/** The resource's JSON, given the bytes it came with. Members that did not change keep theirs. */
export function patchedResource(item: ReplayItem, raw: Uint8Array): Uint8Array {
  if (item.changed === 0) return raw;
  const changes = new Map<string, Uint8Array | null>();
  for (const name of Object.keys(CHANGED) as ChangedName[]) {
    if ((item.changed & CHANGED[name]) !== 0) changes.set(name, valueFor(item.facts, name));
  }
  return withMembers(raw, changes);
}

/** The raw value of a changed member; null leaves the member out, as the engine does with empty ones. */
function valueFor(facts: ResourceFacts, name: ChangedName): Uint8Array | null {
  if (name === "propertyDependencies") {
    const filled = facts.propertyDependencies;
    return filled.length === 0 ? null : jsonBytes(Object.fromEntries(filled));
  }
  const value = facts[name];
  if (value === false || (value !== true && value.length === 0)) return name === "urn" ? jsonBytes("") : null;
  return jsonBytes(value);
}

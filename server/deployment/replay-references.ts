/**
 * The two passes over all references that end a replay (section 4.8.6, steps 3 and 6).
 * Source: pkg/backend/journal.go (rebuildDependencies), sdk/go/common/apitype/core.go (NormalizeURNReferences).
 */
import type { PropertyDependency } from "./facts.ts";
import type { Replacement } from "./json-members.ts";
import { elementsOf, membersOf, withSpans } from "./json-members.ts";
import { jsonBytes, stringOf } from "./json-text.ts";
import type { ReplayItem } from "./replay-item.ts";
import { CHANGED } from "./replay-item.ts";
import {
  formatProviderReference,
  formatUrn,
  parseUrn,
  ROOT_STACK_TYPE,
  splitProviderReference,
  typeOf,
  UNKNOWN_ID,
} from "./urn.ts";

/** Drops references to resources that a refresh removed. Afterwards each reference names an earlier resource. */
export function repairReferences(items: readonly ReplayItem[]): void {
  const seen = new Set<string>();
  for (const item of items) {
    const { facts } = item;
    if (facts.dependencies.some((urn) => !seen.has(urn))) {
      facts.dependencies = facts.dependencies.filter((urn) => seen.has(urn));
      item.changed |= CHANGED.dependencies;
    }
    if (facts.replaceWith.some((urn) => !seen.has(urn))) {
      facts.replaceWith = facts.replaceWith.filter((urn) => seen.has(urn));
      item.changed |= CHANGED.replaceWith;
    }
    if (
      facts.propertyDependencies.some(([, urns]) => urns.length === 0 || urns.some((urn) => !seen.has(urn)))
    ) {
      facts.propertyDependencies = keptProperties(facts.propertyDependencies, seen);
      item.changed |= CHANGED.propertyDependencies;
    }
    if (facts.deletedWith !== "" && !seen.has(facts.deletedWith)) {
      facts.deletedWith = "";
      item.changed |= CHANGED.deletedWith;
    }
    seen.add(facts.urn);
  }
  for (const item of items) {
    const { facts } = item;
    if (facts.parent === "" || seen.has(facts.parent)) continue;
    facts.parent = "";
    item.changed |= CHANGED.parent;
  }
}

/** A property whose list is or becomes empty disappears. */
function keptProperties(all: readonly PropertyDependency[], seen: ReadonlySet<string>): PropertyDependency[] {
  const kept: PropertyDependency[] = [];
  for (const [property, urns] of all) {
    const left = urns.filter((urn) => seen.has(urn));
    if (left.length > 0) kept.push([property, left]);
  }
  return kept;
}

export type UrnMap = ReadonlyMap<string, string>;

/** Two resources claim one alias. */
export class AliasConflict extends Error {
  override readonly name = "AliasConflict";
}

/**
 * Old URN to new URN, from the resources' aliases. A child whose parent is renamed follows it, unless the new parent
 * is the root stack, which is no part of a child's type.
 * @throws AliasConflict
 */
export function aliasMap(items: readonly ReplayItem[]): UrnMap {
  const map = new Map<string, string>();
  for (const { facts } of items) {
    for (const alias of facts.aliases) {
      if (alias === "") continue;
      const other = map.get(alias);
      if (other !== undefined && other !== facts.urn) {
        throw new AliasConflict(`Two resources, ${other} and ${facts.urn}, have the alias ${alias}`);
      }
      map.set(alias, facts.urn);
    }
    if (map.size === 0) continue;
    const parent = parseUrn(map.get(facts.parent) ?? "");
    const own = parseUrn(facts.urn);
    if (parent === null || own === null || parent.qualifiedType === ROOT_STACK_TYPE) continue;
    const qualifiedType = `${parent.qualifiedType}$${typeOf(own)}`;
    map.set(facts.urn, formatUrn({ ...own, qualifiedType }));
  }
  return map;
}

/** Applies the map once to every reference but `replaceWith`, and drops the aliases. */
export function renameReferences(items: readonly ReplayItem[], map: UrnMap): void {
  for (const item of items) {
    const { facts } = item;
    if (facts.aliases.length > 0) {
      facts.aliases = [];
      item.changed |= CHANGED.aliases;
    }
    if (map.size === 0) continue;
    for (const name of ["urn", "parent", "deletedWith", "viewOf"] as const) {
      const renamed = map.get(facts[name]);
      if (renamed === undefined || renamed === facts[name]) continue;
      facts[name] = renamed;
      item.changed |= CHANGED[name];
    }
    renameProvider(item, map);
    if (facts.dependencies.some((urn) => map.has(urn))) {
      facts.dependencies = facts.dependencies.map((urn) => map.get(urn) ?? urn);
      item.changed |= CHANGED.dependencies;
    }
    if (facts.propertyDependencies.some(([, urns]) => urns.some((urn) => map.has(urn)))) {
      facts.propertyDependencies = facts.propertyDependencies.map(
        ([property, urns]): PropertyDependency => [property, urns.map((urn) => map.get(urn) ?? urn)],
      );
      item.changed |= CHANGED.propertyDependencies;
    }
  }
}

function renameProvider(item: ReplayItem, map: UrnMap): void {
  const reference = splitProviderReference(item.facts.provider);
  const urn = reference === null ? undefined : map.get(reference.urn);
  if (reference === null || urn === undefined || urn === reference.urn) return;
  item.facts.provider = formatProviderReference({ urn, id: reference.id === "" ? UNKNOWN_ID : reference.id });
  item.changed |= CHANGED.provider;
}

/** The raw list of snippets with the values of their `references` renamed; the same bytes if none is. */
export function renameSnippets(snippets: Uint8Array, map: UrnMap): Uint8Array {
  if (map.size === 0) return snippets;
  const replacements: Replacement[] = [];
  for (const snippet of elementsOf(snippets)) {
    if (snippets[snippet.start] !== 0x7b) continue;
    const references = membersOf(snippets.subarray(snippet.start, snippet.end)).get("references");
    if (references === undefined) continue;
    const offset = snippet.start + references.start;
    if (snippets[offset] !== 0x7b) continue;
    for (const span of membersOf(snippets.subarray(offset, snippet.start + references.end)).values()) {
      const [start, end] = [offset + span.start, offset + span.end];
      const renamed = map.get(stringOf(snippets.subarray(start, end)) ?? "");
      if (renamed !== undefined) replacements.push({ start, end, bytes: jsonBytes(renamed) });
    }
  }
  return replacements.length === 0 ? snippets : withSpans(snippets, replacements);
}

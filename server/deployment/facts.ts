/** The small members of a resource that replay and verification look at; inputs and outputs are never among them. */
import { isNull, parsedJson, stringOf } from "./json-text.ts";

/** Features a resource asks of its deployment, as bits. Source: pkg/resource/stack/deployment.go, ApplyFeatures. */
export const FEATURE_BITS = {
  refreshBeforeUpdate: 1,
  views: 2,
  hooks: 4,
  taint: 8,
  replaceWith: 16,
  extensionParameterization: 32,
  "snippets-prototype": 64,
  byteString: 128,
} as const;

/** Absent text is "", an absent list is empty, an absent flag is false. */
export class ResourceFacts {
  urn = "";
  type = "";
  id = "";
  custom = false;
  delete = false;
  pendingReplacement = false;
  parent = "";
  provider = "";
  deletedWith = "";
  viewOf = "";
  dependencies: readonly string[] = NONE;
  replaceWith: readonly string[] = NONE;
  aliases: readonly string[] = NONE;
  propertyDependencies: readonly PropertyDependency[] = NONE;
  /** FEATURE_BITS that come from members not kept here. */
  featureBits = 0;
  /** Members whose JSON type is not the one the engine reads; they count as absent. */
  mistyped: readonly string[] = NONE;
}

export type PropertyDependency = readonly [property: string, urns: readonly string[]];

const NONE: readonly never[] = [];

type FactSetter = (facts: ResourceFacts, raw: Uint8Array) => boolean;

type TextFact = "urn" | "type" | "id" | "parent" | "provider" | "deletedWith" | "viewOf";
type FlagFact = "custom" | "delete" | "pendingReplacement";
type ListFact = "dependencies" | "replaceWith" | "aliases";

function text(name: TextFact): FactSetter {
  return (facts, raw) => {
    const value = stringOf(raw);
    if (value !== null) facts[name] = value;
    return value !== null;
  };
}

/** Text that tends to be that of the resource before: then it is not decoded again, and both share one string. */
function repeatedText(name: TextFact): FactSetter {
  let lastRaw = Buffer.alloc(0);
  let lastText = "";
  return (facts, raw) => {
    if (lastRaw.equals(raw)) {
      facts[name] = lastText;
      return true;
    }
    const value = stringOf(raw);
    if (value === null) return false;
    lastRaw = Buffer.from(raw);
    lastText = value;
    facts[name] = value;
    return true;
  };
}

function flag(name: FlagFact): FactSetter {
  return (facts, raw) => {
    facts[name] = isTrue(raw);
    return facts[name] || raw[0] === 0x66;
  };
}

function list(name: ListFact): FactSetter {
  return (facts, raw) => {
    if (raw.length === 2) return raw[0] === 0x5b; // "[]"
    const value = parsedJson(raw);
    if (!isTextList(value)) return false;
    facts[name] = value;
    return true;
  };
}

function feature(bit: number, isSet: (raw: Uint8Array) => boolean): FactSetter {
  return (facts, raw) => {
    if (isSet(raw)) facts.featureBits |= bit;
    return true;
  };
}

function setPropertyDependencies(facts: ResourceFacts, raw: Uint8Array): boolean {
  if (raw[0] !== 0x7b) return false;
  const found: PropertyDependency[] = [];
  for (const [property, urns] of Object.entries(parsedJson(raw) as object)) {
    if (urns !== null && !isTextList(urns)) return false;
    found.push([property, urns ?? NONE]);
  }
  facts.propertyDependencies = found;
  return true;
}

const isTrue = (raw: Uint8Array): boolean => raw[0] === 0x74;
const isText = (raw: Uint8Array): boolean => raw[0] === 0x22 && raw.length > 2;
const isFilledObject = (raw: Uint8Array): boolean =>
  raw[0] === 0x7b && Object.keys(parsedJson(raw) as object).length > 0;

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

const SETTERS: ReadonlyMap<string, FactSetter> = new Map<string, FactSetter>([
  ["urn", text("urn")],
  ["type", repeatedText("type")],
  ["id", text("id")],
  ["parent", repeatedText("parent")],
  ["provider", repeatedText("provider")],
  ["deletedWith", text("deletedWith")],
  ["viewOf", text("viewOf")],
  ["custom", flag("custom")],
  ["delete", flag("delete")],
  ["pendingReplacement", flag("pendingReplacement")],
  ["dependencies", list("dependencies")],
  ["replaceWith", list("replaceWith")],
  ["aliases", list("aliases")],
  ["propertyDependencies", setPropertyDependencies],
  ["refreshBeforeUpdate", feature(FEATURE_BITS.refreshBeforeUpdate, isTrue)],
  ["taint", feature(FEATURE_BITS.taint, isTrue)],
  ["resourceHooks", feature(FEATURE_BITS.hooks, isFilledObject)],
  ["extensionRef", feature(FEATURE_BITS.extensionParameterization, isText)],
  ["snippetID", feature(FEATURE_BITS["snippets-prototype"], isText)],
]);

export function isFact(member: string): boolean {
  return SETTERS.has(member);
}

/** Takes over one raw member of a resource. `null` means absent, as it does to the engine. */
export function setFact(facts: ResourceFacts, member: string, raw: Uint8Array): void {
  const setter = SETTERS.get(member);
  if (setter === undefined || isNull(raw)) return;
  if (setter(facts, raw) || facts.mistyped.includes(member)) return;
  facts.mistyped = [...facts.mistyped, member];
}

/** All FEATURE_BITS of a resource. */
export function featureBitsOf(facts: ResourceFacts): number {
  return (
    facts.featureBits |
    (facts.viewOf === "" ? 0 : FEATURE_BITS.views) |
    (facts.replaceWith.length === 0 ? 0 : FEATURE_BITS.replaceWith)
  );
}

/** The names behind FEATURE_BITS, sorted. */
export function featureNames(bits: number): string[] {
  return Object.entries(FEATURE_BITS)
    .filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name)
    .sort();
}

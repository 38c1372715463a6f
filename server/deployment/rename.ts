/**
 * Rewrites a state for a stack's new name (section 6.4), resource by resource; what does not change keeps its bytes.
 * Source: pkg/resource/edit/operations.go (RenameStack), which leaves snippets alone, and so do we.
 */
import { ByteGate } from "./byte-gate.ts";
import type { Replacement, Span } from "./json-members.ts";
import { elementsOf, membersOf, withSpans } from "./json-members.ts";
import type { ScanAction, ScanHandler } from "./json-scanner.ts";
import { CAPTURE, ENTER, JsonScanner, OPEN_BRACE, OPEN_BRACKET, SKIP } from "./json-scanner.ts";
import { jsonBytes, stringOf } from "./json-text.ts";
import { propertyReplacements } from "./rename-properties.ts";
import {
  formatProviderReference,
  formatUrn,
  parseUrn,
  ROOT_STACK_TYPE,
  splitProviderReference,
} from "./urn.ts";

export interface StackName {
  readonly org: string;
  readonly project: string;
  readonly stack: string;
}

export interface NewStackName {
  /** Absent: the organization stays. */
  readonly org?: string;
  readonly project: string;
  readonly stack: string;
}

/**
 * Streams an UntypedDeployment with every URN of stack `from` renamed. Holds one resource at a time.
 * @throws JsonScanError out of the iteration, when the document is not JSON
 */
export async function* renameDocument(
  doc: AsyncIterable<Uint8Array>,
  from: StackName,
  to: NewStackName,
): AsyncGenerator<Uint8Array> {
  const renamer = new DocumentRenamer(from, to);
  const scanner = new JsonScanner(renamer, DEPTH_MAX);
  for await (const chunk of doc) {
    renamer.gate.begin(chunk);
    scanner.write(chunk);
    yield* renamer.gate.take();
  }
  scanner.end();
}

/** Stored states were checked for depth when they came in. */
const DEPTH_MAX = 1_000_000;

/** The URN under the new name; the same text when it is another stack's or no URN. */
export function renamedUrn(text: string, from: StackName, to: NewStackName): string {
  const urn = parseUrn(text);
  if (urn === null || urn.stack !== from.stack || urn.project !== from.project) return text;
  const { stack, project } = to;
  const name = urn.qualifiedType === ROOT_STACK_TYPE ? `${project}-${stack}` : urn.name;
  return formatUrn({ ...urn, stack, project, name });
}

/** Top-level document, deployment, list, element. */
class DocumentRenamer implements ScanHandler {
  readonly gate = new ByteGate();
  private readonly from: StackName;
  private readonly to: NewStackName;
  private documentMember = "";
  private member = "";

  constructor(from: StackName, to: NewStackName) {
    this.from = from;
    this.to = to;
    this.gate.open(0);
  }

  begin(depth: number, offset: number, firstByte: number): ScanAction {
    switch (depth) {
      case 0:
        return firstByte === OPEN_BRACE ? ENTER : SKIP;
      case 1:
        return this.documentMember === "deployment" && firstByte === OPEN_BRACE ? ENTER : SKIP;
      case 2:
        if (this.member === "secrets_providers") return this.capture(offset, firstByte);
        return LISTS.has(this.member) && firstByte === OPEN_BRACKET ? ENTER : SKIP;
      default:
        return this.capture(offset, firstByte);
    }
  }

  private capture(offset: number, firstByte: number): ScanAction {
    if (firstByte !== OPEN_BRACE) return SKIP;
    this.gate.close(offset);
    return CAPTURE;
  }

  key(depth: number, name: string): void {
    if (depth === 1) this.documentMember = name;
    else this.member = name;
  }

  end(_depth: number, offset: number, raw: Uint8Array | null): void {
    if (raw === null) return;
    this.gate.insert(withSpans(raw, this.replacements(raw)));
    this.gate.open(offset);
  }

  private replacements(raw: Uint8Array): readonly Replacement[] {
    if (this.member === "secrets_providers") return this.secretsProvider(raw);
    if (this.member === "resources") return this.resource(raw, { start: 0, end: raw.length });
    const span = membersOf(raw).get("resource");
    return span === undefined || raw[span.start] !== OPEN_BRACE ? [] : this.resource(raw, span);
  }

  private resource(bytes: Uint8Array, resource: Span): Replacement[] {
    const found: Replacement[] = [];
    for (const [name, member] of membersOf(bytes.subarray(resource.start, resource.end))) {
      const span = { start: resource.start + member.start, end: resource.start + member.end };
      if (SINGLE.has(name)) this.text(bytes, span, found, this.urn);
      else if (name === "provider") this.text(bytes, span, found, this.provider);
      else if (LISTED.has(name)) this.list(bytes, span, found);
      else if (name === "propertyDependencies" && bytes[span.start] === OPEN_BRACE) {
        for (const list of membersOf(bytes.subarray(span.start, span.end)).values()) {
          this.list(bytes, { start: span.start + list.start, end: span.start + list.end }, found);
        }
      } else if (PROPERTIES.has(name)) {
        const inside = propertyReplacements(bytes.subarray(span.start, span.end), this.urn);
        for (const { start, end, bytes: text } of inside) {
          found.push({ start: span.start + start, end: span.start + end, bytes: text });
        }
      }
    }
    return found;
  }

  private list(bytes: Uint8Array, list: Span, found: Replacement[]): void {
    if (bytes[list.start] !== OPEN_BRACKET) return;
    for (const element of elementsOf(bytes.subarray(list.start, list.end))) {
      this.text(bytes, { start: list.start + element.start, end: list.start + element.end }, found, this.urn);
    }
  }

  private text(bytes: Uint8Array, span: Span, found: Replacement[], rename: (text: string) => string): void {
    const text = stringOf(bytes.subarray(span.start, span.end));
    if (text === null) return;
    const renamed = rename(text);
    if (renamed !== text) found.push({ ...span, bytes: jsonBytes(renamed) });
  }

  private readonly urn = (text: string): string => renamedUrn(text, this.from, this.to);

  private readonly provider = (text: string): string => {
    const reference = splitProviderReference(text);
    return reference === null
      ? text
      : formatProviderReference({ ...reference, urn: this.urn(reference.urn) });
  };

  /** Only a service provider that names this very stack: another one's keys stay where they are. */
  private secretsProvider(raw: Uint8Array): Replacement[] {
    const members = membersOf(raw);
    const type = members.get("type");
    const state = members.get("state");
    if (type === undefined || stringOf(raw.subarray(type.start, type.end)) !== "service") return [];
    if (state === undefined || raw[state.start] !== OPEN_BRACE) return [];
    const found: Replacement[] = [];
    const names = membersOf(raw.subarray(state.start, state.end));
    for (const [name, was, becomes] of this.providerNames()) {
      const span = names.get(name);
      if (span === undefined) {
        if (name === "owner") continue;
        return [];
      }
      const [start, end] = [state.start + span.start, state.start + span.end];
      if (stringOf(raw.subarray(start, end)) !== was) return [];
      if (becomes !== was) found.push({ start, end, bytes: jsonBytes(becomes) });
    }
    return found;
  }

  private providerNames(): readonly (readonly [name: string, was: string, becomes: string])[] {
    const { from, to } = this;
    return [
      ["owner", from.org, to.org ?? from.org],
      ["project", from.project, to.project],
      ["stack", from.stack, to.stack],
    ];
  }
}

const LISTS: ReadonlySet<string> = new Set(["resources", "pending_operations"]);
const SINGLE: ReadonlySet<string> = new Set(["urn", "parent", "deletedWith", "viewOf"]);
const LISTED: ReadonlySet<string> = new Set(["dependencies", "replaceWith", "aliases"]);
const PROPERTIES: ReadonlySet<string> = new Set(["inputs", "outputs", "replacementTrigger"]);

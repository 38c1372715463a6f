/** What replay keeps of the state that an update started from. */

import type { DeploymentVisitor, MemberMode } from "./deployment-walk.ts";
import { DeploymentWalk } from "./deployment-walk.ts";
import { ResourceFacts, setFact } from "./facts.ts";
import type { PendingOperation } from "./journal-entry.ts";
import { membersOf } from "./json-members.ts";
import type { ScanAction, ScanHandler } from "./json-scanner.ts";
import { CAPTURE, ENTER, JsonScanner, OPEN_BRACE, SKIP } from "./json-scanner.ts";
import { copyOf, isNull, parsedJson, stringOf } from "./json-text.ts";
import { ReplayItem } from "./replay-item.ts";

export interface ReplayBase {
  items: ReplayItem[];
  pendingOperations: readonly PendingOperation[];
  /** Raw values of the deployment's other members, but for the manifest; none of them is null. */
  members: Map<string, Uint8Array>;
  /** Raw values of the document's unknown members. */
  documentMembers: Map<string, Uint8Array>;
  /** The document said it holds strings that are not UTF-8. */
  hasByteString: boolean;
}

/** Reads whole states: their depth was checked when they came in. */
const DEPTH_MAX = 1_000_000;

export function emptyBase(): ReplayBase {
  return {
    items: [],
    pendingOperations: [],
    members: new Map(),
    documentMembers: new Map(),
    hasByteString: false,
  };
}

/** Reads an UntypedDeployment once. @throws JsonScanError */
export async function readBase(document: AsyncIterable<Uint8Array>): Promise<ReplayBase> {
  const reader = new BaseReader();
  const scanner = new JsonScanner(reader, DEPTH_MAX);
  for await (const chunk of document) scanner.write(chunk);
  scanner.end();
  return reader.parts.base();
}

/** The base that a deployment in memory makes; its resources keep their bytes. @throws JsonScanError */
export function baseOfSnapshot(deployment: Uint8Array): ReplayBase {
  const parts = new Parts((start, end) => deployment.subarray(start, end));
  const scanner = new JsonScanner(new DeploymentWalk(parts, 0), DEPTH_MAX);
  scanner.write(deployment);
  scanner.end();
  return parts.base();
}

class Parts implements DeploymentVisitor {
  readonly documentMembers = new Map<string, Uint8Array>();
  hasByteString = false;
  private readonly items: ReplayItem[] = [];
  private readonly pendingOperations: PendingOperation[] = [];
  private readonly members = new Map<string, Uint8Array>();
  private readonly rawOf: (start: number, end: number) => Uint8Array | null;

  constructor(rawOf: (start: number, end: number) => Uint8Array | null) {
    this.rawOf = rawOf;
  }

  base(): ReplayBase {
    const { items, pendingOperations, members, documentMembers, hasByteString } = this;
    return { items, pendingOperations, members, documentMembers, hasByteString };
  }

  mode(member: string): MemberMode {
    if (member === "manifest") return "skip";
    return member === "pending_operations" ? "elements" : "whole";
  }

  member(name: string, raw: Uint8Array): void {
    if (isNull(raw)) this.members.delete(name);
    else this.members.set(name, copyOf(raw));
  }

  element(_member: string, raw: Uint8Array | null): void {
    if (raw !== null && raw[0] === OPEN_BRACE) this.pendingOperations.push(operationOf(copyOf(raw)));
  }

  resource(facts: ResourceFacts, start: number, end: number): void {
    this.items.push(new ReplayItem(facts, this.rawOf(start, end), start, end));
  }
}

function operationOf(raw: Uint8Array): PendingOperation {
  const facts = new ResourceFacts();
  const members = membersOf(raw);
  const resource = members.get("resource");
  if (resource !== undefined && raw[resource.start] === OPEN_BRACE) {
    const bytes = raw.subarray(resource.start, resource.end);
    for (const [name, span] of membersOf(bytes)) setFact(facts, name, bytes.subarray(span.start, span.end));
  }
  const type = members.get("type");
  return { raw, facts, type: type === undefined ? "" : (stringOf(raw.subarray(type.start, type.end)) ?? "") };
}

class BaseReader implements ScanHandler {
  readonly parts = new Parts(() => null);
  private readonly walk = new DeploymentWalk(this.parts, 1);
  private name = "";

  begin(depth: number, offset: number, firstByte: number): ScanAction {
    if (depth === 0) return firstByte === OPEN_BRACE ? ENTER : SKIP;
    if (this.name === "deployment") return this.walk.begin(depth, offset, firstByte);
    return this.name === "version" ? SKIP : CAPTURE;
  }

  key(depth: number, name: string): void {
    if (depth === 1) this.name = name;
    else this.walk.key(depth, name);
  }

  end(depth: number, offset: number, raw: Uint8Array | null): void {
    if (depth === 0) return;
    if (this.name === "deployment") this.walk.end(depth, offset, raw);
    else if (raw === null) return;
    else if (this.name === "features") this.parts.hasByteString = hasByteString(parsedJson(raw));
    else this.parts.documentMembers.set(this.name, copyOf(raw));
  }
}

function hasByteString(features: unknown): boolean {
  return Array.isArray(features) && features.includes("byteString");
}

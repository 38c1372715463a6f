/** Reads a DeploymentV3 (section 11.1) as it streams by: facts of each resource, and the other members as asked. */

import { isFact, ResourceFacts, setFact } from "./facts.ts";
import type { ScanAction, ScanHandler } from "./json-scanner.ts";
import { CAPTURE, ENTER, OPEN_BRACE, OPEN_BRACKET, SKIP } from "./json-scanner.ts";

/** How a member of the deployment is read: not, whole, or element by element (without their bytes: "count"). */
export type MemberMode = "skip" | "whole" | "elements" | "count";

export interface DeploymentVisitor {
  /** For every member but `resources`. */
  mode(member: string): MemberMode;
  /** A member that was read whole, or one that should have been a list and is `null` or something else. */
  member(name: string, raw: Uint8Array): void;
  /** An element of a member; `raw` is null when it is only counted. */
  element(member: string, raw: Uint8Array | null): void;
  /** A resource and its byte range in the scanned input, end exclusive. An element that is no object has no facts. */
  resource(facts: ResourceFacts, start: number, end: number): void;
}

/** A ScanHandler for one deployment whose value stands at `depth`; it is given only what belongs to it. */
export class DeploymentWalk implements ScanHandler {
  private readonly visitor: DeploymentVisitor;
  private readonly depth: number;
  private memberName = "";
  private memberMode: MemberMode = "skip";
  private factName = "";
  private start = 0;
  private facts = new ResourceFacts();

  constructor(visitor: DeploymentVisitor, depth: number) {
    this.visitor = visitor;
    this.depth = depth;
  }

  begin(depth: number, offset: number, firstByte: number): ScanAction {
    switch (depth - this.depth) {
      case 0:
        return firstByte === OPEN_BRACE ? ENTER : SKIP;
      case 1:
        return this.beginMember(firstByte);
      case 2:
        if (this.memberName !== "resources") return this.memberMode === "elements" ? CAPTURE : SKIP;
        this.start = offset;
        this.facts = new ResourceFacts();
        return firstByte === OPEN_BRACE ? ENTER : SKIP;
      default:
        return isFact(this.factName) ? CAPTURE : SKIP;
    }
  }

  private beginMember(firstByte: number): ScanAction {
    if (this.memberName === "resources") return firstByte === OPEN_BRACKET ? ENTER : CAPTURE;
    this.memberMode = this.visitor.mode(this.memberName);
    if (this.memberMode === "skip") return SKIP;
    if (this.memberMode === "whole" || firstByte !== OPEN_BRACKET) return CAPTURE;
    return ENTER;
  }

  key(depth: number, name: string): void {
    if (depth - this.depth === 1) this.memberName = name;
    else this.factName = name;
  }

  end(depth: number, offset: number, raw: Uint8Array | null): void {
    switch (depth - this.depth) {
      case 0:
        return;
      case 1:
        if (raw !== null) this.visitor.member(this.memberName, raw);
        return;
      case 2:
        if (this.memberName === "resources") this.visitor.resource(this.facts, this.start, offset);
        else this.visitor.element(this.memberName, raw);
        return;
      default:
        if (raw !== null) setFact(this.facts, this.factName, raw);
    }
  }
}

/**
 * What the CLI verifies whenever it reads a state, one resource at a time.
 * Source: pkg/resource/deploy/snapshot.go (VerifyIntegrity), pkg/resource/state.go (GetAllDependencies).
 */
import { createHash } from "node:crypto";
import type { ResourceFacts } from "./facts.ts";
import { memberOf, membersOf } from "./json-members.ts";
import { isNull, stringOf } from "./json-text.ts";
import {
  formatProviderReference,
  isProviderType,
  isProviderUrn,
  splitProviderReference,
  UNKNOWN_ID,
} from "./urn.ts";

export interface Problem {
  readonly code: ProblemCode;
  /** May name URNs, never property values. */
  readonly message: string;
}

export type ProblemCode =
  | "manifest_magic"
  | "wrong_type"
  | "missing_urn"
  | "missing_type"
  | "id_without_custom"
  | "provider_not_referenceable"
  | "provider_malformed"
  | "provider_unknown"
  | "parent_missing"
  | "dependency_missing"
  | "property_dependency_missing"
  | "deleted_with_missing"
  | "replace_with_missing"
  | "duplicate_urn"
  | "snippet_uuid";

export const PROBLEMS_KEPT_MAX = 20;
const MESSAGE_CHARACTERS_MAX = 600;

interface Draft {
  readonly code: ProblemCode;
  readonly message: string;
  /** The URN that was not there yet: it may still turn up later in the list. */
  readonly missing: string | null;
}

/** `magic` for a manifest that names `version`: both are empty, or it is the version's SHA-256 in hex. */
export function manifestMagic(version: string): string {
  return version === "" ? "" : createHash("sha256").update(version, "utf8").digest("hex");
}

/** Memory: one map entry per URN and one set entry per provider. */
export class IntegrityCheck {
  problemCount = 0;
  resourceTotal = 0;
  resourceCount = 0;
  private readonly drafts: Draft[] = [];
  /** How many resources without `delete` each URN seen so far has. */
  private readonly liveByUrn = new Map<string, number>();
  private readonly providers = new Set<string>();
  private readonly snippetUuids = new Set<string>();
  private snippetCount = 0;

  manifest(raw: Uint8Array): void {
    let version: string | null = "";
    let magic: string | null = "";
    if (raw[0] === 0x7b) {
      const versionRaw = memberOf(raw, "version");
      const magicRaw = memberOf(raw, "magic");
      version = versionRaw === null || isNull(versionRaw) ? "" : stringOf(versionRaw);
      magic = magicRaw === null || isNull(magicRaw) ? "" : stringOf(magicRaw);
    } else if (!isNull(raw)) this.report("wrong_type", "The manifest is not an object.");
    if (version === null || magic === null) {
      this.report("wrong_type", "The manifest's version or magic is not a string.");
    } else if (manifestMagic(version) !== magic) {
      this.report("manifest_magic", "The manifest's magic does not match its version.");
    }
  }

  /** A member of the deployment that should be a list and is not. */
  notAList(member: string): void {
    this.report("wrong_type", `The deployment's '${member}' is not a list.`);
  }

  snippet(raw: Uint8Array): void {
    const index = this.snippetCount;
    this.snippetCount += 1;
    const span = raw[0] === 0x7b ? membersOf(raw).get("uuid") : undefined;
    const uuid = span === undefined ? null : stringOf(raw.subarray(span.start, span.end));
    if (uuid === null || uuid === "")
      this.report("snippet_uuid", `The snippet at index ${index} has no uuid.`);
    else if (this.snippetUuids.has(uuid)) {
      this.report("snippet_uuid", `The snippet at index ${index} has the uuid of an earlier one.`);
    } else this.snippetUuids.add(uuid);
  }

  resource(facts: ResourceFacts): void {
    const index = this.resourceTotal;
    this.resourceTotal += 1;
    if (!facts.delete) this.resourceCount += 1;
    const { urn } = facts;
    for (const member of facts.mistyped) {
      this.report("wrong_type", `The '${member}' of the resource at index ${index} has the wrong JSON type.`);
    }
    if (urn === "") this.report("missing_urn", `The resource at index ${index} has no urn.`);
    if (facts.type === "")
      this.report("missing_type", `The resource at index ${index} (${urn}) has no type.`);
    if (!facts.custom && facts.id !== "") {
      this.report("id_without_custom", `The resource ${urn} is not custom but has an id.`);
    }
    this.provider(facts);
    this.references(facts);
    this.remember(facts);
  }

  private provider(facts: ResourceFacts): void {
    const { urn } = facts;
    if (isProviderType(facts.type)) {
      const reference = formatProviderReference({ urn, id: facts.id === "" ? UNKNOWN_ID : facts.id });
      if (isProviderUrn(urn)) this.providers.add(reference);
      else this.report("provider_not_referenceable", `The provider ${urn} does not have a provider's URN.`);
    }
    if (facts.provider === "" || this.providers.has(facts.provider)) return;
    const reference = splitProviderReference(facts.provider);
    if (reference === null || !isProviderUrn(reference.urn)) {
      this.report("provider_malformed", `The resource ${urn} has a malformed provider reference.`);
    } else if (!facts.pendingReplacement) {
      this.report(
        "provider_unknown",
        `The resource ${urn} names the provider ${facts.provider}, which`,
        facts.provider,
      );
    }
  }

  private references(facts: ResourceFacts): void {
    const { urn } = facts;
    this.reference("parent_missing", urn, "parent", facts.parent);
    for (const dependency of facts.dependencies)
      this.reference("dependency_missing", urn, "dependency", dependency);
    for (const [, urns] of facts.propertyDependencies) {
      for (const other of urns)
        this.reference("property_dependency_missing", urn, "property dependency", other);
    }
    this.reference("deleted_with_missing", urn, "deletedWith", facts.deletedWith);
    for (const other of facts.replaceWith) this.reference("replace_with_missing", urn, "replaceWith", other);
  }

  private reference(code: ProblemCode, urn: string, role: string, other: string): void {
    if (other === "" || this.liveByUrn.has(other)) return;
    this.report(code, `The resource ${urn} names as ${role} ${other}, which`, other);
  }

  private remember(facts: ResourceFacts): void {
    const live = (this.liveByUrn.get(facts.urn) ?? 0) + (facts.delete ? 0 : 1);
    this.liveByUrn.set(facts.urn, live);
    if (live === 2 && !facts.delete) {
      this.report(
        "duplicate_urn",
        `More than one resource that is not being deleted has the URN ${facts.urn}.`,
      );
    }
  }

  private report(code: ProblemCode, message: string, missing: string | null = null): void {
    this.problemCount += 1;
    if (this.drafts.length < PROBLEMS_KEPT_MAX) this.drafts.push({ code, message, missing });
  }

  /** The first PROBLEMS_KEPT_MAX problems; to be asked for after the last resource. */
  problems(): readonly Problem[] {
    return this.drafts.map(({ code, message, missing }) => {
      const comesLater = missing !== null && (this.liveByUrn.has(missing) || this.providers.has(missing));
      const ending =
        missing === null ? "" : comesLater ? " comes later in the list." : " is not in the list.";
      return { code, message: message.slice(0, MESSAGE_CHARACTERS_MAX) + ending };
    });
  }
}

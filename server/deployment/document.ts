/**
 * Request bodies that carry a whole state (sections 4.5, 4.6, 6.1, 6.2), streamed: what is to be stored comes out
 * byte for byte while it is checked. Memory grows with the number of resources, not with their properties.
 */
import { ByteGate } from "./byte-gate.ts";
import type { DeploymentVisitor, MemberMode } from "./deployment-walk.ts";
import { DeploymentWalk } from "./deployment-walk.ts";
import type { ResourceFacts } from "./facts.ts";
import type { Problem } from "./integrity.ts";
import { IntegrityCheck } from "./integrity.ts";
import { memberOf } from "./json-members.ts";
import type { ScanAction, ScanHandler } from "./json-scanner.ts";
import { CAPTURE, ENTER, JsonScanError, JsonScanner, OPEN_BRACE, SKIP } from "./json-scanner.ts";
import { copyOf, isNull, parsedJson, safeIntegerOf, stringOf } from "./json-text.ts";

export type { Problem } from "./integrity.ts";

/** Of a member that is read whole, such as the manifest or the secrets provider; properties stream past. */
const MEMBER_BYTES_MAX = 16 * 1024 * 1024;

/**
 * - `untyped`: an UntypedDeployment, as `stack import` sends it and as states are stored
 * - `checkpoint`: `{isInvalid, version, features?, deployment?}`
 * - `verbatim`: `{version, untypedDeployment, sequenceNumber}`
 */
export type BodyShape = "untyped" | "checkpoint" | "verbatim";

export type DocumentFailure =
  | "malformed_json"
  | "too_deep"
  | "wrong_shape"
  | "unsupported_version"
  | "missing_deployment";

/** A body that cannot be a state. The message is a sentence for the client. */
export class DocumentError extends Error {
  override readonly name = "DocumentError";
  readonly reason: DocumentFailure;
  constructor(reason: DocumentFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

export interface DocumentSummary {
  readonly version: number;
  readonly features: readonly string[];
  /** Resources that are not marked `delete`. */
  readonly resourceCount: number;
  readonly resourceTotal: number;
  readonly pendingOperationCount: number;
  readonly secretsProviderType: string | null;
  /** What the CLI's integrity check would find; at most 20 of `problemCount`. */
  readonly problems: readonly Problem[];
  readonly problemCount: number;
}

export interface DocumentBody {
  readonly isInvalid: boolean;
  /** `version` of the body itself; for `verbatim` that is not the document's. */
  readonly version: number | null;
  readonly sequenceNumber: number | null;
  /** False only for an invalidated checkpoint: then no bytes came out. */
  readonly hasDeployment: boolean;
  readonly summary: DocumentSummary;
}

export interface DocumentStream {
  /** The bytes to store. Throws DocumentError, possibly late: store nothing unless it ends well. */
  readonly document: AsyncIterable<Uint8Array>;
  /** To be called once `document` was read to its end. */
  result(): DocumentBody;
}

const EMPTY_DEPLOYMENT = '{"manifest":{"time":"0001-01-01T00:00:00Z","magic":"","version":""}}';
/** The state of a stack that was never updated (section 6.1). */
export const EMPTY_DOCUMENT: Uint8Array = Buffer.from(`{"version":3,"deployment":${EMPTY_DEPLOYMENT}}`);

const VERSION_MIN = 1;
const VERSION_MAX = 4;
/** How much may come before `deployment`, whose first byte decides whether the body is stored as it is. */
const BYTES_BEFORE_DEPLOYMENT_MAX = 1024 * 1024;

/** Members that must not come twice: what streamed through first could not be taken back for the second. */
const READ_ONCE: ReadonlySet<string> = new Set([
  ...["version", "untypedDeployment", "sequenceNumber", "deployment.resources"],
  ...["document.version", "document.features", "document.deployment", "document.isInvalid"],
]);

/** Streams a request body; see DocumentStream. Reads `body` once. */
export function readDocument(
  shape: BodyShape,
  body: AsyncIterable<Uint8Array>,
  limits: { depthMax?: number } = {},
): DocumentStream {
  const reader = new BodyReader(shape);
  let result: DocumentBody | null = null;
  async function* document(): AsyncGenerator<Uint8Array> {
    const scanner = new JsonScanner(reader, limits.depthMax, MEMBER_BYTES_MAX);
    let held: Uint8Array[] = [];
    let heldBytes = 0;
    for await (const chunk of body) {
      const pieces = reader.scan(scanner, chunk);
      if (!reader.deploymentBegan) {
        for (const piece of pieces) held.push(piece);
        heldBytes += chunk.length;
        if (heldBytes > BYTES_BEFORE_DEPLOYMENT_MAX)
          throw wrongShape("'deployment' comes too late in the body");
        continue;
      }
      yield* held;
      held = [];
      yield* pieces;
    }
    yield* reader.scan(scanner, null);
    result = reader.finish();
    if (reader.isEmptyState) yield EMPTY_DOCUMENT;
  }
  return {
    document: document(),
    result() {
      if (result === null) throw new Error("the document was not read to its end");
      return result;
    },
  };
}

/** `readDocument` for bytes in memory. @throws DocumentError */
export async function readDocumentBytes(
  shape: BodyShape,
  body: Uint8Array,
  limits: { depthMax?: number } = {},
): Promise<{ document: Uint8Array; result: DocumentBody }> {
  async function* once(): AsyncGenerator<Uint8Array> {
    yield body;
  }
  const stream = readDocument(shape, once(), limits);
  const pieces: Uint8Array[] = [];
  for await (const piece of stream.document) pieces.push(piece);
  return { document: Buffer.concat(pieces), result: stream.result() };
}

function wrongShape(what: string): DocumentError {
  return new DocumentError("wrong_shape", `The body does not have the expected shape: ${what}.`);
}

/** Collects what the summary needs from the deployment. */
class SummaryVisitor implements DeploymentVisitor {
  readonly check = new IntegrityCheck();
  pendingOperationCount = 0;
  secretsProviderType: string | null = null;

  mode(member: string): MemberMode {
    switch (member) {
      case "manifest":
      case "secrets_providers":
        return "whole";
      case "pending_operations":
        return "count";
      case "snippets":
        return "elements";
      default:
        return "skip";
    }
  }

  member(name: string, raw: Uint8Array): void {
    if (name === "manifest") {
      this.check.manifest(raw);
    } else if (name === "secrets_providers") {
      const type = raw[0] === OPEN_BRACE ? memberOf(raw, "type") : null;
      this.secretsProviderType = type === null ? null : stringOf(type);
    } else if (!isNull(raw)) this.check.notAList(name);
  }

  element(member: string, raw: Uint8Array | null): void {
    if (member === "pending_operations") this.pendingOperationCount += 1;
    else if (raw !== null) this.check.snippet(raw);
  }

  resource(facts: ResourceFacts): void {
    this.check.resource(facts);
  }

  summary(version: number, features: readonly string[]): DocumentSummary {
    const { check } = this;
    return {
      version,
      features,
      resourceCount: check.resourceCount,
      resourceTotal: check.resourceTotal,
      pendingOperationCount: this.pendingOperationCount,
      secretsProviderType: this.secretsProviderType,
      problems: check.problems(),
      problemCount: check.problemCount,
    };
  }
}

class BodyReader implements ScanHandler {
  /** The deployment, not `null`, was met: from here on bytes may go out. */
  deploymentBegan = false;
  /** The body stands for a state without resources and is replaced by EMPTY_DOCUMENT. */
  isEmptyState = false;
  private readonly shape: BodyShape;
  /** How many containers are around the document: 1 for `verbatim`, otherwise 0. */
  private readonly documentDepth: number;
  private readonly gate = new ByteGate();
  private readonly visitor = new SummaryVisitor();
  private readonly walk: DeploymentWalk;
  private inDeployment = false;
  private name = "";
  private readonly seen = new Set<string>();
  private bodyMembers = new Map<string, Uint8Array>();
  private documentMembers = new Map<string, Uint8Array>();
  private keptMembers = 0;
  private deploymentIsNull = false;

  constructor(shape: BodyShape) {
    this.shape = shape;
    this.documentDepth = shape === "verbatim" ? 1 : 0;
    this.walk = new DeploymentWalk(this.visitor, this.documentDepth + 1);
    if (shape === "untyped") this.gate.open(0);
  }

  /** Scans a chunk, or the end of input (null), and returns what is to be stored of it. */
  scan(scanner: JsonScanner, chunk: Uint8Array | null): readonly Uint8Array[] {
    try {
      if (chunk === null) {
        scanner.end();
        return [];
      }
      this.gate.begin(chunk);
      scanner.write(chunk);
      return this.gate.take();
    } catch (error) {
      if (!(error instanceof JsonScanError)) throw error;
      const cause = { cause: error };
      if (error.reason === "too_deep") throw new DocumentError("too_deep", `${error.message}.`, cause);
      if (error.reason === "value_too_large")
        throw new DocumentError("wrong_shape", `${error.message}.`, cause);
      throw new DocumentError("malformed_json", `The body is not valid JSON: ${error.message}.`, cause);
    }
  }

  begin(depth: number, offset: number, firstByte: number): ScanAction {
    if (this.inDeployment) return this.walk.begin(depth, offset, firstByte);
    if (depth > this.documentDepth) return this.beginDocumentMember(depth, offset, firstByte);
    if (depth === this.documentDepth && (depth === 0 || this.name === "untypedDeployment")) {
      if (this.shape === "untyped" && firstByte === 0x6e) {
        this.isEmptyState = true;
        return SKIP;
      }
      if (firstByte !== OPEN_BRACE)
        throw wrongShape(depth === 0 ? "not an object" : `'${this.name}' is not an object`);
      if (this.shape === "verbatim") this.gate.open(offset);
      return ENTER;
    }
    if (depth === 0) {
      if (firstByte !== OPEN_BRACE) throw wrongShape("not an object");
      return ENTER;
    }
    return this.name === "version" || this.name === "sequenceNumber" ? CAPTURE : SKIP;
  }

  private beginDocumentMember(depth: number, offset: number, firstByte: number): ScanAction {
    const { name } = this;
    if (this.shape === "checkpoint" && name !== "isInvalid") {
      this.gate.insert(Buffer.from(`${this.keptMembers === 0 ? "{" : ","}${JSON.stringify(name)}:`));
      this.gate.open(offset);
      this.keptMembers += 1;
    }
    if (name !== "deployment")
      return name === "version" || name === "features" || name === "isInvalid" ? CAPTURE : SKIP;
    if (firstByte === 0x6e) {
      this.deploymentIsNull = true;
      return SKIP;
    }
    if (firstByte !== OPEN_BRACE) throw wrongShape("'deployment' is not an object");
    this.deploymentBegan = true;
    this.inDeployment = true;
    return this.walk.begin(depth, offset, firstByte);
  }

  key(depth: number, name: string): void {
    if (this.inDeployment) {
      if (name === "resources" && depth === this.documentDepth + 2) this.once("deployment.resources");
      this.walk.key(depth, name);
      return;
    }
    this.once(depth > this.documentDepth ? `document.${name}` : name);
    this.name = name;
  }

  private once(path: string): void {
    if (!READ_ONCE.has(path)) return;
    if (this.seen.has(path)) throw wrongShape(`'${path}' is given twice`);
    this.seen.add(path);
  }

  end(depth: number, offset: number, raw: Uint8Array | null): void {
    if (this.inDeployment) {
      if (depth > this.documentDepth + 1) {
        this.walk.end(depth, offset, raw);
        return;
      }
      this.inDeployment = false;
    }
    if (depth > this.documentDepth) {
      if (this.shape === "checkpoint") this.gate.close(offset);
      if (raw !== null) this.documentMembers.set(this.name, copyOf(raw));
    } else if (raw !== null) this.bodyMembers.set(this.name, copyOf(raw));
    else if (depth === this.documentDepth && this.shape !== "untyped") this.endDocument(depth, offset);
  }

  private endDocument(depth: number, offset: number): void {
    if (this.shape === "checkpoint") this.gate.insert(Buffer.from(this.keptMembers === 0 ? "{}" : "}"));
    else if (depth === 1) this.gate.close(offset);
  }

  /** @throws DocumentError when what was read does not make a state */
  finish(): DocumentBody {
    const isInvalid = this.shape === "checkpoint" && this.isTrue(this.documentMembers.get("isInvalid"));
    if (this.shape === "untyped" && this.deploymentIsNull) this.isEmptyState = true;
    const hasDeployment = this.deploymentBegan || this.isEmptyState;
    if (!hasDeployment && !isInvalid) {
      throw new DocumentError("missing_deployment", "The body has no 'deployment'.");
    }
    const documentVersion = this.version(this.documentMembers.get("version"), !this.deploymentBegan);
    const bodyVersion =
      this.shape === "verbatim" ? this.version(this.bodyMembers.get("version"), true) : documentVersion;
    return {
      isInvalid,
      version: bodyVersion,
      sequenceNumber: this.sequenceNumber(),
      hasDeployment,
      summary: this.visitor.summary(documentVersion ?? 3, this.features()),
    };
  }

  private isTrue(raw: Uint8Array | undefined): boolean {
    if (raw === undefined || isNull(raw)) return false;
    const value = parsedJson(raw);
    if (typeof value !== "boolean") throw wrongShape("'isInvalid' is not a boolean");
    return value;
  }

  private version(raw: Uint8Array | undefined, mayLack: boolean): number | null {
    if (raw === undefined || isNull(raw)) {
      if (mayLack) return null;
      throw new DocumentError("unsupported_version", "The deployment does not say its 'version'.");
    }
    const version = safeIntegerOf(raw);
    if (version === null) throw wrongShape("'version' is not a whole number");
    if (version < VERSION_MIN || version > VERSION_MAX) {
      const supported = `versions ${VERSION_MIN} to ${VERSION_MAX} are supported`;
      throw new DocumentError(
        "unsupported_version",
        `Deployment version ${version} is not supported: ${supported}.`,
      );
    }
    return version;
  }

  private sequenceNumber(): number | null {
    const raw = this.bodyMembers.get("sequenceNumber");
    if (raw === undefined || isNull(raw)) return null;
    const value = safeIntegerOf(raw);
    if (value === null || value < 0) throw wrongShape("'sequenceNumber' is not a whole number");
    return value;
  }

  private features(): readonly string[] {
    const raw = this.documentMembers.get("features");
    if (raw === undefined || isNull(raw)) return [];
    const value = parsedJson(raw);
    if (!Array.isArray(value) || !value.every((name) => typeof name === "string")) {
      throw wrongShape("'features' is not a list of strings");
    }
    return value;
  }
}

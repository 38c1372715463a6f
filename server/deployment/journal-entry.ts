/** The body of PATCH journalentries, `{entries: [...]}` (section 4.8.2), with states and operations kept as raw bytes. */
import { isFact, ResourceFacts, setFact } from "./facts.ts";
import type { ScanAction, ScanHandler } from "./json-scanner.ts";
import {
  CAPTURE,
  ENTER,
  JsonScanError,
  JsonScanner,
  OPEN_BRACE,
  OPEN_BRACKET,
  SKIP,
} from "./json-scanner.ts";
import { isNull, safeIntegerOf, stringOf } from "./json-text.ts";

/** Section 4.8.3. */
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
const KIND_MAX = 9;
const ENTRY_VERSION = 1;

export type JournalFailure =
  | "malformed_json"
  | "too_deep"
  | "wrong_shape"
  | "unsupported_kind"
  | "unsupported_version";

/** A batch that could not be replayed. The message is for the client and names the entry. */
export class JournalError extends Error {
  override readonly name = "JournalError";
  readonly reason: JournalFailure;
  constructor(reason: JournalFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

export interface RawResource {
  readonly raw: Uint8Array;
  readonly facts: ResourceFacts;
}

export interface PendingOperation {
  readonly raw: Uint8Array;
  /** `creating`, `updating`, ... */
  readonly type: string;
  /** Facts of the resource under way. */
  readonly facts: ResourceFacts;
}

type ReferenceName = (typeof REFERENCES)[number];
const REFERENCES = [
  "removeOld",
  "removeNew",
  "deleteOld",
  "deleteNew",
  "pendingReplacementOld",
  "pendingReplacementNew",
] as const;

/** `...Old` is an index into the base's resources, `...New` an operation id; 0 is a legitimate value of both. */
export class JournalEntry {
  kind: number | null = null;
  version = 0;
  sequenceId: number | null = null;
  operationId = 0;
  removeOld: number | null = null;
  removeNew: number | null = null;
  deleteOld: number | null = null;
  deleteNew: number | null = null;
  pendingReplacementOld: number | null = null;
  pendingReplacementNew: number | null = null;
  isRefresh = false;
  requiresByteString = false;
  state: RawResource | null = null;
  operation: PendingOperation | null = null;
  secretsProvider: Uint8Array | null = null;
  newSnapshot: Uint8Array | null = null;
  snippets: Uint8Array | null = null;
  extensionRef: string | null = null;
  extension: Uint8Array | null = null;
}

/**
 * Reads every entry of a batch in its order. With `facts` off, states and operations are only checked for syntax.
 * @throws JournalError
 */
export function readJournalBatch(
  body: Uint8Array,
  options: { facts: boolean; depthMax?: number },
): readonly JournalEntry[] {
  const reader = new BatchReader(body, options.facts);
  const scanner = new JsonScanner(reader, options.depthMax);
  try {
    scanner.write(body);
    scanner.end();
  } catch (error) {
    if (!(error instanceof JsonScanError)) throw error;
    const where = `The journal batch cannot be read at its entry ${reader.entries.length}`;
    throw new JournalError(
      error.reason === "too_deep" ? "too_deep" : "malformed_json",
      `${where}: ${error.message}.`,
      { cause: error },
    );
  }
  if (!reader.sawEntries) throw new JournalError("wrong_shape", "The journal batch has no 'entries'.");
  return reader.entries;
}

class BatchReader implements ScanHandler {
  readonly entries: JournalEntry[] = [];
  sawEntries = false;
  private readonly body: Uint8Array;
  private readonly readFacts: boolean;
  private entry = new JournalEntry();
  /** Name of the batch's, the entry's and the operation's member that is being read. */
  private batchMember = "";
  private member = "";
  private operationMember = "";
  private factName = "";
  private memberStart = 0;
  private memberIsNull = false;
  private operationType = "";
  private facts = new ResourceFacts();

  constructor(body: Uint8Array, readFacts: boolean) {
    this.body = body;
    this.readFacts = readFacts;
  }

  begin(depth: number, offset: number, firstByte: number): ScanAction {
    switch (depth) {
      case 0:
        if (firstByte !== OPEN_BRACE)
          throw new JournalError("wrong_shape", "The journal batch is not an object.");
        return ENTER;
      case 1:
        return this.beginEntries(firstByte);
      case 2:
        this.entry = new JournalEntry();
        if (firstByte !== OPEN_BRACE) this.fail("wrong_shape", "is not an object");
        return ENTER;
      case 3:
        this.memberStart = offset;
        this.memberIsNull = firstByte === 0x6e;
        return this.beginMember(firstByte);
      case 4:
        if (this.member === "operation") return this.beginOperationMember(firstByte);
        return isFact(this.factName) ? CAPTURE : SKIP;
      default:
        return isFact(this.factName) ? CAPTURE : SKIP;
    }
  }

  private beginEntries(firstByte: number): ScanAction {
    if (this.batchMember !== "entries") return SKIP;
    if (this.sawEntries) throw new JournalError("wrong_shape", "The journal batch has 'entries' twice.");
    this.sawEntries = true;
    if (firstByte === OPEN_BRACKET) return ENTER;
    if (firstByte !== 0x6e)
      throw new JournalError("wrong_shape", "The journal batch's 'entries' is not a list.");
    return SKIP;
  }

  private beginMember(firstByte: number): ScanAction {
    switch (this.member) {
      case "state":
      case "operation":
        this.expect(firstByte, OPEN_BRACE, "an object");
        this.facts = new ResourceFacts();
        this.operationType = "";
        return this.readFacts && !this.memberIsNull ? ENTER : SKIP;
      case "secretsProvider":
      case "newSnapshot":
      case "extension":
        this.expect(firstByte, OPEN_BRACE, "an object");
        return SKIP;
      case "snippets":
        this.expect(firstByte, OPEN_BRACKET, "a list");
        return SKIP;
      default:
        return SCALARS.has(this.member) ? CAPTURE : SKIP;
    }
  }

  private beginOperationMember(firstByte: number): ScanAction {
    if (this.operationMember === "type") return CAPTURE;
    return this.operationMember === "resource" && firstByte === OPEN_BRACE ? ENTER : SKIP;
  }

  private expect(firstByte: number, opener: number, what: string): void {
    if (firstByte !== opener && !this.memberIsNull)
      this.fail("wrong_shape", `has a '${this.member}' that is not ${what}`);
  }

  key(depth: number, name: string): void {
    if (depth === 1) this.batchMember = name;
    else if (depth === 3) this.member = name;
    else if (depth === 4 && this.member === "operation") this.operationMember = name;
    else this.factName = name;
  }

  end(depth: number, offset: number, raw: Uint8Array | null): void {
    switch (depth) {
      case 0:
      case 1:
        return;
      case 2:
        this.checkEntry();
        this.entries.push(this.entry);
        return;
      case 3:
        this.endMember(raw, this.memberIsNull ? null : this.body.subarray(this.memberStart, offset));
        return;
      case 4:
        if (raw === null) return;
        if (this.member === "operation") this.operationType = stringOf(raw) ?? "";
        else setFact(this.facts, this.factName, raw);
        return;
      default:
        if (raw !== null) setFact(this.facts, this.factName, raw);
    }
  }

  private endMember(scalar: Uint8Array | null, raw: Uint8Array | null): void {
    if (raw === null) return;
    const { entry, facts } = this;
    switch (this.member) {
      case "state":
        entry.state = { raw, facts };
        return;
      case "operation":
        entry.operation = { raw, facts, type: this.operationType };
        return;
      case "secretsProvider":
      case "newSnapshot":
      case "snippets":
      case "extension":
        entry[this.member] = raw;
        return;
      default:
        if (scalar !== null) this.endScalar(scalar);
    }
  }

  private endScalar(raw: Uint8Array): void {
    const { entry, member } = this;
    switch (member) {
      case "isRefresh":
      case "requiresByteString":
        if (raw[0] !== 0x74 && raw[0] !== 0x66)
          this.fail("wrong_shape", `has a '${member}' that is not a boolean`);
        entry[member] = raw[0] === 0x74;
        return;
      case "extensionRef":
        entry.extensionRef = stringOf(raw);
        if (entry.extensionRef === null)
          this.fail("wrong_shape", "has an 'extensionRef' that is not a string");
        return;
      case "version":
      case "kind":
        entry[member] = this.integer(raw);
        return;
      case "sequenceID":
        entry.sequenceId = this.integer(raw);
        return;
      case "operationID":
        entry.operationId = this.integer(raw);
        return;
      default:
        entry[member as ReferenceName] = this.integer(raw);
    }
  }

  private integer(raw: Uint8Array): number {
    const value = isNull(raw) ? null : safeIntegerOf(raw);
    if (value === null || value < 0)
      return this.fail("wrong_shape", `has a '${this.member}' that is not a whole number`);
    return value;
  }

  private checkEntry(): void {
    const { entry } = this;
    if (entry.version !== ENTRY_VERSION) {
      this.fail(
        "unsupported_version",
        `is of version ${entry.version}; only version ${ENTRY_VERSION} is supported`,
      );
    }
    if (entry.kind === null) this.fail("wrong_shape", "has no 'kind'");
    else if (entry.kind > KIND_MAX) {
      this.fail("unsupported_kind", `is of kind ${entry.kind}; only kinds 0 to ${KIND_MAX} are supported`);
    }
    if (entry.sequenceId === null || entry.sequenceId < 1)
      this.fail("wrong_shape", "has no positive 'sequenceID'");
    if (entry.kind === KIND.write && entry.newSnapshot === null)
      this.fail("wrong_shape", "has no 'newSnapshot'");
    const lacksExtension = entry.extensionRef === null || entry.extension === null;
    if (entry.kind === KIND.extensionParameterize && lacksExtension) {
      this.fail("wrong_shape", "has no 'extensionRef' or no 'extension'");
    }
  }

  private fail(reason: JournalFailure, what: string): never {
    const { sequenceId } = this.entry;
    const name = sequenceId === null ? "" : ` (sequenceID ${sequenceId})`;
    throw new JournalError(reason, `Journal entry ${this.entries.length}${name} ${what}.`);
  }
}

const SCALARS: ReadonlySet<string> = new Set([
  ...["version", "kind", "sequenceID", "operationID", "isRefresh", "requiresByteString", "extensionRef"],
  ...REFERENCES,
]);

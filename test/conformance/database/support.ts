/** What the suite's files share: a fixture with an organization and a stack, and short words for common steps. */
import type {
  Checkpoint,
  Database,
  StackName,
  StateDocument,
  UpdateKind,
  UpdateRef,
} from "../../../db-adapters/contract.ts";

/** A database over the real engine, empty and new for each test; closed when the test ends. */
export interface TestDatabase {
  readonly db: Database;
  /** Closes the database and opens the same data again. */
  reopen(): Promise<Database>;
}

export type MakeDatabase = () => Promise<TestDatabase>;

export const NOW_MS = 1_700_000_000_000;
export const LEASE_MS = 300_000;
export const ORG = "acme";

export function page(limit: number, after: string | null = null) {
  return { after, limit };
}

export function document(blobKey: string, changes: Partial<StateDocument> = {}): StateDocument {
  const sizes = { sizeBytes: 100, resourceCount: 2, resourceTotal: 2 };
  return { blobKey, sha256: `sha of ${blobKey}`, ...sizes, problems: null, sealed: null, ...changes };
}

export function checkpoint(blobKey: string, sequence: number | null, changes: Partial<Checkpoint> = {}) {
  return { ...document(blobKey), sequence, ...changes };
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function text(body: Uint8Array): string {
  return new TextDecoder().decode(body);
}

/** One organization, and stacks and updates in it; every id is the name with a letter before it. */
export class Fixture {
  readonly db: Database;
  readonly reopen: () => Promise<Database>;

  constructor({ db, reopen }: TestDatabase) {
    this.db = db;
    this.reopen = reopen;
  }

  static async make(make: MakeDatabase): Promise<Fixture> {
    const fixture = new Fixture(await make());
    await fixture.db.createOrganization({ id: "o-acme", name: ORG, nowMs: NOW_MS });
    return fixture;
  }

  /** With one stack, `acme/web/dev`, whose id is `s-dev`. */
  static async withStack(make: MakeDatabase, state: StateDocument | null = null): Promise<Fixture> {
    const fixture = await Fixture.make(make);
    await fixture.createStack("dev", { state });
    return fixture;
  }

  async createStack(
    stack: string,
    input: { state?: StateDocument | null; tags?: Record<string, string>; project?: string } = {},
  ): Promise<string> {
    const { state = null, tags = {}, project = "web" } = input;
    const id = `s-${stack}`;
    await this.db.createStack({ id, name: nameOf(stack, project), tags, state, nowMs: NOW_MS });
    return id;
  }

  async createUpdate(
    id: string,
    input: { stack?: string; kind?: UpdateKind; dryRun?: boolean; nowMs?: number } = {},
  ): Promise<UpdateRef> {
    const { stack = "dev", kind = "update", dryRun = false, nowMs = NOW_MS } = input;
    await this.db.createUpdate({
      id,
      stackId: `s-${stack}`,
      kind,
      dryRun,
      actor: "alice",
      config: bytes(`config of ${id}`),
      metadata: `{"message":"${id}","environment":{}}`,
      nowMs,
    });
    return refOf(id, stack);
  }

  start(ref: UpdateRef, input: { nowMs?: number; tags?: Record<string, string>; token?: string } = {}) {
    const { nowMs = NOW_MS, tags = null, token = tokenOf(ref.updateId) } = input;
    const lease = { leaseTokenHash: token, leaseExpiresMs: nowMs + LEASE_MS };
    return this.db.startUpdate({ ref, ...lease, journalVersion: 1, cliVersion: "v3.200.0", tags, nowMs });
  }

  /** Creates and starts; its token is `tokenOf(id)`. */
  async begin(id: string, input: Parameters<Fixture["createUpdate"]>[1] = {}): Promise<UpdateRef> {
    const ref = await this.createUpdate(id, input);
    await this.start(ref, input.nowMs === undefined ? {} : { nowMs: input.nowMs });
    return ref;
  }

  append(ref: UpdateRef, digest: string, changes: { body?: string; journalBytesMax?: number } = {}) {
    const body = bytes(changes.body ?? `entries ${digest}`);
    return this.db.appendJournal({
      ref,
      tokenHash: tokenOf(ref.updateId),
      digest,
      entryCount: 3,
      sizeBytes: body.byteLength,
      body,
      journalBytesMax: changes.journalBytesMax ?? 1_000_000,
      nowMs: NOW_MS,
    });
  }

  save(ref: UpdateRef, saved: Checkpoint) {
    return this.db.saveCheckpoint({
      ref,
      tokenHash: tokenOf(ref.updateId),
      checkpoint: saved,
      nowMs: NOW_MS,
    });
  }

  events(ref: UpdateRef, digest: string, sequences: [number, number], resourceChanges: string | null = null) {
    return this.db.appendEvents({
      ref,
      tokenHash: tokenOf(ref.updateId),
      digest,
      firstSequence: sequences[0],
      lastSequence: sequences[1],
      body: bytes(`events ${digest}`),
      resourceChanges,
      nowMs: NOW_MS,
    });
  }

  /** What `readFold` gives a caller without a lease. */
  async fold(updateId: string) {
    const fold = await this.db.readFold(updateId, null);
    if (fold.kind !== "fold") throw new Error(`no fold: ${fold.kind}`);
    return fold.input;
  }

  /** Ends a running update with `state`, or with the base's when there is none. */
  async finish(
    updateId: string,
    state: StateDocument | null,
    changes: Partial<Parameters<Database["finishUpdate"]>[0]> = {},
  ) {
    return this.db.finishUpdate({
      updateId,
      tokenHash: tokenOf(updateId),
      status: "succeeded",
      ending: null,
      state: state === null ? { kind: "unchanged" } : { kind: "document", document: state },
      keepJournal: false,
      revision: (await this.fold(updateId)).revision,
      nowMs: NOW_MS,
      ...changes,
    });
  }

  /** A whole real update: created, started, ended with a document under `blobKey`. */
  async run(id: string, blobKey: string, input: { stack?: string; nowMs?: number } = {}): Promise<UpdateRef> {
    const ref = await this.begin(id, input);
    await this.finish(id, document(blobKey), { nowMs: input.nowMs ?? NOW_MS });
    return ref;
  }

  async stack(stack = "dev") {
    const found = await this.db.findStack(nameOf(stack));
    if (found === null) throw new Error(`no stack ${stack}`);
    return found;
  }
}

export function nameOf(stack: string, project = "web"): StackName {
  return { organization: ORG, project, stack };
}

export function refOf(updateId: string, stack = "dev"): UpdateRef {
  return { ...nameOf(stack), updateId };
}

export function tokenOf(updateId: string): string {
  return `token of ${updateId}`;
}

/** How often each outcome came, by its `kind` or itself. */
export function tally(outcomes: readonly (string | { readonly kind: string })[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) {
    const kind = typeof outcome === "string" ? outcome : outcome.kind;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

export function times<Result>(count: number, make: (index: number) => Promise<Result>): Promise<Result[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => make(index)));
}

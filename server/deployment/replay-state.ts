/**
 * The journal's state machine (sections 4.8.4 to 4.8.6): entries in, ordered by sequenceID; a list of resources out.
 * Source: pkg/backend/journal.go (JournalReplayer).
 */
import { FEATURE_BITS, featureBitsOf } from "./facts.ts";
import type { JournalEntry, PendingOperation, RawResource } from "./journal-entry.ts";
import { KIND } from "./journal-entry.ts";
import { elementsOf, memberOf, membersOf, withMembers } from "./json-members.ts";
import { compactJson } from "./json-text.ts";
import type { ReplayBase } from "./replay-base.ts";
import { baseOfSnapshot } from "./replay-base.ts";
import { ReplayItem } from "./replay-item.ts";
import {
  AliasConflict,
  aliasMap,
  renameReferences,
  renameSnippets,
  repairReferences,
} from "./replay-references.ts";

export type ReplayFailure =
  | "malformed_base"
  | "malformed_batch"
  | "malformed_entry"
  | "base_index_out_of_range"
  | "alias_conflict"
  | "too_many_rebuilds"
  | "base_changed";

/** A journal that does not fit its base, or either of them damaged. Nothing was produced. */
export class ReplayError extends Error {
  override readonly name = "ReplayError";
  readonly reason: ReplayFailure;
  /** The entry that shows it, where one does. */
  readonly sequenceId: number | null;
  constructor(reason: ReplayFailure, sequenceId: number | null, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.sequenceId = sequenceId;
  }
}

/** A state as replay leaves it, not yet written out. */
export interface Generated {
  readonly base: ReplayBase;
  readonly featureBits: number;
}

const WARNINGS_MAX = 50;
/** The engine rebuilds its base about once an update; past the first few, rebuilding may cost so much in all. */
const FREE_REBUILDS = 8;
const REBUILD_WORK_MAX = 5_000_000;
const BYTES_PER_WORK = 64;

export class ReplayState {
  /** Something other than an unchanged secrets provider was applied. */
  touched = false;
  readonly warnings: string[] = [];
  private base: ReplayBase;
  private added: ReplayItem[] = [];
  private indexByOperation = new Map<number, number>();
  /** Operation ids, and the entries that removed what they added. */
  private removedOperations = new Map<number, number>();
  private baseRemoved = new Set<number>();
  private baseDelete = new Set<number>();
  private basePending = new Set<number>();
  private baseReplaced = new Map<number, ReplayItem>();
  /** The largest base index that was named, and by which entry. */
  private largestBaseIndex = -1;
  private largestBaseIndexAt: number | null = null;
  private incomplete = new Map<number, PendingOperation | null>();
  private extensions = new Map<string, Uint8Array>();
  private sawRefresh = false;
  private needsByteString = false;
  private rebuilds = 0;
  private rebuildWork = 0;
  /** The base is what `generate` made and would make again. */
  private isSettled = false;

  constructor(base: ReplayBase) {
    this.base = base;
  }

  /** @throws ReplayError */
  apply(entry: JournalEntry, isLast: boolean): void {
    if (entry.requiresByteString) this.needsByteString = true;
    if (entry.kind === KIND.secretsManager) {
      this.setSecretsProvider(entry.secretsProvider);
      return;
    }
    this.touched = true;
    if (entry.kind === KIND.rebuiltBaseState) {
      this.rebuild(entry, isLast);
      return;
    }
    this.isSettled = false;
    switch (entry.kind) {
      case KIND.begin:
        this.incomplete.set(entry.operationId, entry.operation);
        return;
      case KIND.success:
        this.incomplete.delete(entry.operationId);
        this.succeed(entry);
        return;
      case KIND.failure:
        this.incomplete.delete(entry.operationId);
        return;
      case KIND.refreshSuccess:
        this.incomplete.delete(entry.operationId);
        this.sawRefresh = true;
        this.replace(entry, true);
        return;
      case KIND.outputs:
        this.replace(entry, false);
        return;
      case KIND.write:
        this.write(entry);
        return;
      case KIND.extensionParameterize:
        if (entry.extensionRef !== null && entry.extension !== null) {
          this.extensions.set(entry.extensionRef, entry.extension);
        }
        return;
      case KIND.snippets:
        if (entry.snippets === null) this.base.members.delete("snippets");
        else this.base.members.set("snippets", entry.snippets);
    }
  }

  private succeed(entry: JournalEntry): void {
    if (entry.state !== null) {
      this.indexByOperation.set(entry.operationId, this.added.length);
      this.added.push(itemOf(entry.state));
    }
    if (entry.removeOld !== null) this.baseRemoved.add(this.baseIndex(entry.removeOld, entry));
    if (entry.removeNew !== null) this.removedOperations.set(entry.removeNew, sequenceOf(entry));
    if (entry.deleteOld !== null) this.baseDelete.add(this.baseIndex(entry.deleteOld, entry));
    if (entry.deleteNew !== null) this.addedBy(entry.deleteNew, entry)?.mark("delete");
    if (entry.pendingReplacementOld !== null) {
      this.basePending.add(this.baseIndex(entry.pendingReplacementOld, entry));
    }
    if (entry.pendingReplacementNew !== null) {
      this.addedBy(entry.pendingReplacementNew, entry)?.mark("pendingReplacement");
    }
    if (entry.isRefresh) this.sawRefresh = true;
  }

  /** New state in place of a known resource; without a state it goes, if `mayRemove`. */
  private replace(entry: JournalEntry, mayRemove: boolean): void {
    const { state } = entry;
    if (state === null && !mayRemove) return;
    if (entry.removeOld !== null) {
      const index = this.baseIndex(entry.removeOld, entry);
      if (state === null) this.baseRemoved.add(index);
      else this.baseReplaced.set(index, itemOf(state));
    }
    if (entry.removeNew === null) return;
    if (state === null) {
      this.removedOperations.set(entry.removeNew, sequenceOf(entry));
      return;
    }
    const position = this.positionOf(entry.removeNew, sequenceOf(entry));
    if (position === null) return;
    // Both references in one entry: each item owns its facts.
    const own = entry.removeOld === null ? state : { ...state, facts: { ...state.facts } };
    this.added[position] = itemOf(own);
  }

  private write(entry: JournalEntry): void {
    if (entry.newSnapshot === null) return;
    const { documentMembers } = this.base;
    try {
      this.base = { ...baseOfSnapshot(entry.newSnapshot), documentMembers };
    } catch (error) {
      throw new ReplayError("malformed_entry", entry.sequenceId, "The new snapshot cannot be read", {
        cause: error,
      });
    }
  }

  private setSecretsProvider(provider: Uint8Array | null): void {
    const current = this.base.members.get("secrets_providers") ?? null;
    if (provider === null || (current !== null && sameProvider(current, provider))) return;
    this.touched = true;
    this.isSettled = false;
    this.base.members.set("secrets_providers", provider);
  }

  private baseIndex(index: number, entry: JournalEntry): number {
    if (index > this.largestBaseIndex) {
      this.largestBaseIndex = index;
      this.largestBaseIndexAt = entry.sequenceId;
    }
    return index;
  }

  private addedBy(operationId: number, entry: JournalEntry): ReplayItem | null {
    const position = this.positionOf(operationId, sequenceOf(entry));
    return position === null ? null : (this.added[position] ?? null);
  }

  private positionOf(operationId: number, sequenceId: number): number | null {
    const position = this.indexByOperation.get(operationId);
    if (position !== undefined) return position;
    this.warn(`Entry ${sequenceId} refers to operation ${operationId}, which added no resource: ignored.`);
    return null;
  }

  private warn(message: string): void {
    if (this.warnings.length < WARNINGS_MAX) this.warnings.push(message);
  }

  private rebuild(entry: JournalEntry, isLast: boolean): void {
    if (this.added.length > 0 && !isLast) {
      this.warn(
        `Entry ${sequenceOf(entry)} rebuilds the base although resources were added: indices may be off.`,
      );
    }
    if (this.isSettled) return;
    this.rebuilds += 1;
    const before = this.base;
    const { base } = this.generate();
    const isAsBefore =
      this.added.length === 0 &&
      base.items.length === before.items.length &&
      base.pendingOperations.length === before.pendingOperations.length &&
      this.incomplete.size === 0 &&
      this.extensions.size === 0 &&
      !this.renamedLast;
    this.base = base;
    this.added = [];
    this.indexByOperation = new Map();
    this.removedOperations = new Map();
    this.baseRemoved = new Set();
    this.baseReplaced = new Map();
    this.baseDelete = new Set();
    this.basePending = new Set();
    this.largestBaseIndex = -1;
    this.largestBaseIndexAt = null;
    this.incomplete = new Map();
    this.extensions = new Map();
    this.isSettled = isAsBefore;
    if (this.rebuilds > FREE_REBUILDS && this.rebuildWork > REBUILD_WORK_MAX) {
      throw new ReplayError("too_many_rebuilds", entry.sequenceId, "The journal rebuilds its base too often");
    }
  }

  /** Whether the last `generate` renamed anything, so that another one might do more. */
  private renamedLast = false;

  /** The state after the entries so far. Alters items in place: to be followed by nothing, or by a new base. */
  generate(): Generated {
    if (this.largestBaseIndex >= this.base.items.length) {
      const range = `${this.base.items.length} resources`;
      const message = `Index ${this.largestBaseIndex} is outside the base, which has ${range}`;
      throw new ReplayError("base_index_out_of_range", this.largestBaseIndexAt, message);
    }
    const items = this.resources();
    const pendingOperations = this.pendingOperations();
    const members = new Map(this.base.members);
    if (this.extensions.size > 0) members.set("extensions", this.mergedExtensions(members.get("extensions")));
    const featureBits = this.featureBits(items, pendingOperations);
    if (this.sawRefresh) repairReferences(items);
    this.normalise(items, members);
    this.countWork(items, members);
    return { base: { ...this.base, items, pendingOperations, members }, featureBits };
  }

  /** What this update added, then what is left of the base: new before old keeps dependencies in order. */
  private resources(): ReplayItem[] {
    const removed = new Set<number>();
    for (const [operationId, sequenceId] of this.removedOperations) {
      const position = this.positionOf(operationId, sequenceId);
      if (position !== null) removed.add(position);
    }
    const items =
      removed.size === 0 ? [...this.added] : this.added.filter((_, position) => !removed.has(position));
    for (const [index, old] of this.base.items.entries()) {
      if (this.baseRemoved.has(index)) continue;
      const replacement = this.baseReplaced.get(index);
      if (replacement === undefined) {
        if (this.basePending.has(index)) old.mark("pendingReplacement");
        if (this.baseDelete.has(index)) old.mark("delete");
      }
      items.push(replacement ?? old);
    }
    return items;
  }

  /** Of the base's own, only `creating` survives: it waits for the user's decision. */
  private pendingOperations(): PendingOperation[] {
    const operations: PendingOperation[] = [];
    for (const operation of this.incomplete.values()) if (operation !== null) operations.push(operation);
    for (const operation of this.base.pendingOperations) {
      if (operation.type === "creating") operations.push(operation);
    }
    return operations;
  }

  /** The base's extensions win over produced ones. */
  private mergedExtensions(own: Uint8Array | undefined): Uint8Array {
    const object = own ?? Buffer.from("{}");
    const known = membersOf(object);
    const produced = [...this.extensions].filter(([reference]) => !known.has(reference));
    return withMembers(object, new Map(produced));
  }

  /** To be collected before references are repaired: the engine announces even what a repair then drops. */
  private featureBits(items: readonly ReplayItem[], operations: readonly PendingOperation[]): number {
    let bits = this.base.hasByteString ? FEATURE_BITS.byteString : 0;
    for (const item of items) bits |= featureBitsOf(item.facts);
    for (const operation of operations) bits |= featureBitsOf(operation.facts);
    if (this.needsByteString && items.length + operations.length > 0) bits |= FEATURE_BITS.byteString;
    const snippets = this.base.members.get("snippets");
    if (snippets !== undefined && isFilledList(snippets)) bits |= FEATURE_BITS["snippets-prototype"];
    return bits;
  }

  private normalise(items: readonly ReplayItem[], members: Map<string, Uint8Array>): void {
    this.renamedLast = items.some((item) => item.facts.aliases.length > 0);
    if (!this.renamedLast) return;
    try {
      const map = aliasMap(items);
      renameReferences(items, map);
      const snippets = members.get("snippets");
      if (snippets !== undefined && isFilledList(snippets))
        members.set("snippets", renameSnippets(snippets, map));
    } catch (error) {
      if (!(error instanceof AliasConflict)) throw error;
      throw new ReplayError("alias_conflict", null, error.message, { cause: error });
    }
  }

  private countWork(items: readonly ReplayItem[], members: ReadonlyMap<string, Uint8Array>): void {
    if (this.rebuilds <= FREE_REBUILDS) return;
    for (const { facts } of items) {
      this.rebuildWork +=
        1 + facts.dependencies.length + facts.propertyDependencies.length + facts.replaceWith.length;
      for (const [, urns] of facts.propertyDependencies) this.rebuildWork += urns.length;
    }
    for (const raw of members.values()) this.rebuildWork += raw.length / BYTES_PER_WORK;
  }
}

function itemOf(state: RawResource): ReplayItem {
  return new ReplayItem(state.facts, state.raw);
}

function sequenceOf(entry: JournalEntry): number {
  return entry.sequenceId ?? 0;
}

function isFilledList(raw: Uint8Array): boolean {
  return raw[0] === 0x5b && elementsOf(raw).length > 0;
}

/** Type and state are the same JSON, white space aside. */
function sameProvider(current: Uint8Array, announced: Uint8Array): boolean {
  if (current[0] !== 0x7b) return false;
  return ["type", "state"].every((member) => {
    const [a, b] = [memberOf(current, member), memberOf(announced, member)];
    if (a === null || b === null) return a === b;
    return Buffer.compare(compactJson(a), compactJson(b)) === 0;
  });
}

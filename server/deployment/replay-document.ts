/** Writes out the state that a replay made: resources of the base stream through, those of entries are at hand. */
import { featureNames } from "./facts.ts";
import { manifestMagic } from "./integrity.ts";
import type { ReplayItem } from "./replay-item.ts";
import { patchedResource } from "./replay-item.ts";
import type { Generated } from "./replay-state.ts";
import { ReplayError } from "./replay-state.ts";

/** Size of the chunks that come out, the last one aside. */
const CHUNK_BYTES = 64 * 1024;
const DEPLOYMENT_VERSION = 3;
/** The version of a deployment that lists features. */
const DEPLOYMENT_VERSION_FEATURES = 4;

export interface WriteOptions {
  readonly openBase: (() => AsyncIterable<Uint8Array>) | null;
  /** As the CLI names itself, `v3.260.0`; null leaves version and magic empty. */
  readonly cliVersion: string | null;
  readonly now: Date;
}

export async function* writeDocument(
  generated: Generated,
  options: WriteOptions,
): AsyncGenerator<Uint8Array> {
  const { base, featureBits } = generated;
  const out = new ChunkWriter();
  out.text(head(featureBits, options));
  const { secrets_providers: secretsProviders, ...others } = Object.fromEntries(base.members);
  if (secretsProviders !== undefined) out.member("secrets_providers", secretsProviders);
  if (base.items.length > 0) {
    out.text(',"resources":[');
    yield* writeItems(base.items, out, options.openBase);
    out.text("]");
  }
  for (const [index, operation] of base.pendingOperations.entries()) {
    out.text(index === 0 ? ',"pending_operations":[' : ",");
    out.bytes(operation.raw);
  }
  if (base.pendingOperations.length > 0) out.text("]");
  out.member("metadata", others.metadata ?? Buffer.from("{}"));
  for (const [name, raw] of Object.entries(others)) {
    if (name !== "metadata" && !(OPTIONAL.has(name) && isEmpty(raw))) out.member(name, raw);
  }
  out.text("}");
  for (const [name, raw] of base.documentMembers) out.member(name, raw);
  out.text("}");
  yield* out.takeFull();
  yield out.takeRest();
}

/** Left out when empty, as the engine does. */
const OPTIONAL: ReadonlySet<string> = new Set(["snippets", "extensions"]);

function isEmpty(raw: Uint8Array): boolean {
  return /^[[{]\s*[\]}]$/.test(Buffer.from(raw.subarray(0, 100)).toString("latin1"));
}

function head(featureBits: number, { cliVersion, now }: WriteOptions): string {
  const features = featureNames(featureBits);
  const version = features.length === 0 ? DEPLOYMENT_VERSION : DEPLOYMENT_VERSION_FEATURES;
  const list = features.length === 0 ? "" : `,"features":${JSON.stringify(features)}`;
  // As Go writes it, without trailing zeros: else the CLI would rewrite it on `stack import`.
  const time = now.toISOString().replace(/\.?0+Z$/, "Z");
  const manifest = JSON.stringify({
    time,
    magic: manifestMagic(cliVersion ?? ""),
    version: cliVersion ?? "",
  });
  return `{"version":${version}${list},"deployment":{"manifest":${manifest}`;
}

async function* writeItems(
  items: readonly ReplayItem[],
  out: ChunkWriter,
  openBase: WriteOptions["openBase"],
): AsyncGenerator<Uint8Array> {
  const needsBase = items.some((item) => item.raw === null);
  const base = needsBase && openBase !== null ? new BaseCursor(openBase()) : null;
  try {
    let separator = "";
    for (const item of items) {
      out.text(separator);
      separator = ",";
      if (item.raw !== null) {
        out.bytes(patchedResource(item, item.raw));
        if (out.hasFull) yield* out.takeFull();
        continue;
      }
      const held: Uint8Array[] = [];
      for (let at = item.start; at < item.end; ) {
        const piece = base?.piece(at, item.end) ?? null;
        if (piece === null) {
          await base?.advance();
          if (base === null || base.isDone)
            throw new ReplayError("base_changed", null, "The base became shorter");
          continue;
        }
        if (item.changed === 0) out.bytes(piece);
        else held.push(piece);
        at += piece.length;
        if (out.hasFull) yield* out.takeFull();
      }
      if (item.changed !== 0) out.bytes(patchedResource(item, Buffer.concat(held)));
    }
  } finally {
    await base?.close();
  }
}

/** Walks forward through the base's bytes. */
class BaseCursor {
  isDone = false;
  private readonly iterator: AsyncIterator<Uint8Array>;
  private chunk: Uint8Array = new Uint8Array(0);
  /** Offset of the chunk's first byte. */
  private base = 0;

  constructor(document: AsyncIterable<Uint8Array>) {
    this.iterator = document[Symbol.asyncIterator]();
  }

  /** What the current chunk has of the range, from its first byte on; null when it does not reach there. */
  piece(start: number, end: number): Uint8Array | null {
    const chunkEnd = this.base + this.chunk.length;
    if (start >= chunkEnd || start < this.base) return null;
    return this.chunk.subarray(start - this.base, Math.min(end, chunkEnd) - this.base);
  }

  async advance(): Promise<void> {
    const next = await this.iterator.next();
    this.base += this.chunk.length;
    this.chunk = next.done === true ? new Uint8Array(0) : next.value;
    this.isDone = next.done === true;
  }

  async close(): Promise<void> {
    await this.iterator.return?.();
  }
}

/** Gathers small pieces into chunks of CHUNK_BYTES. */
class ChunkWriter {
  private chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  private length = 0;
  private full: Buffer[] = [];

  get hasFull(): boolean {
    return this.full.length > 0;
  }

  text(text: string): void {
    if (text.length * 3 > CHUNK_BYTES - this.length) this.bytes(Buffer.from(text));
    else this.length += this.chunk.write(text, this.length);
  }

  member(name: string, raw: Uint8Array): void {
    this.text(`,${JSON.stringify(name)}:`);
    this.bytes(raw);
  }

  bytes(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const count = Math.min(bytes.length - at, CHUNK_BYTES - this.length);
      this.chunk.set(count === bytes.length ? bytes : bytes.subarray(at, at + count), this.length);
      at += count;
      this.length += count;
      if (this.length < CHUNK_BYTES) continue;
      this.full.push(this.chunk);
      this.chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      this.length = 0;
    }
  }

  takeFull(): readonly Uint8Array[] {
    const full = this.full;
    this.full = [];
    return full;
  }

  takeRest(): Uint8Array {
    return this.chunk.subarray(0, this.length);
  }
}

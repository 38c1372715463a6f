import type { ReplayInput } from "../../server/deployment/journal.ts";
import { replayJournal } from "../../server/deployment/journal.ts";

export const NOW = new Date("2026-01-02T03:04:05.678Z");

export function bytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
}

/** `sizeBytes` null: one chunk. */
export async function* chunks(body: Uint8Array, sizeBytes: number | null = null): AsyncGenerator<Uint8Array> {
  const step = sizeBytes ?? Math.max(1, body.length);
  for (let at = 0; at < body.length; at += step) yield body.slice(at, at + step);
}

export async function collect(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}

export function batch(entries: readonly unknown[]): Uint8Array {
  return bytes({ entries });
}

/** The document as text, or null when it stays unchanged. */
export async function replayText(input: Partial<ReplayInput>): Promise<string | null> {
  const replayed = await replayJournal({
    openBase: null,
    batches: [],
    cliVersion: "v3.260.0",
    now: NOW,
    ...input,
  });
  return replayed.kind === "unchanged" ? null : collect(replayed.document());
}

export function opener(
  document: Uint8Array,
  chunkBytes: number | null = null,
): () => AsyncIterable<Uint8Array> {
  return () => chunks(document, chunkBytes);
}

let nextSequence = 0;

/** A journal entry with the members every entry has. */
export function entry(members: Record<string, unknown>): Record<string, unknown> {
  nextSequence += 1;
  const common = { version: 1, sequenceID: nextSequence, operationID: 0, removeOld: null, removeNew: null };
  return { ...common, ...members };
}

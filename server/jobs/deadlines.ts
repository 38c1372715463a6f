const LOOK_AFTER_REQUEST_MS = 60_000;

/**
 * The earliest moment at which a sweep may have something to do. Services note what they start; between
 * deadlines the sweeps leave the database alone, so that one which may pause does pause.
 */
export class Deadlines {
  readonly #isShared: boolean;
  #nextMs: number | null = 0; // unknown at start: the first tick looks

  /** `isShared`: other replicas write to the same database, and one that died can't tell what it knew. */
  constructor({ isShared }: { readonly isShared: boolean } = { isShared: false }) {
    this.#isShared = isShared;
  }

  /** Among replicas, whoever is in use also looks after what others may have left behind. */
  noteRequest(nowMs: number): void {
    if (this.#isShared) this.note(nowMs + LOOK_AFTER_REQUEST_MS);
  }

  note(atMs: number): void {
    if (this.#nextMs === null || atMs < this.#nextMs) this.#nextMs = atMs;
  }

  isDue(nowMs: number): boolean {
    return this.#nextMs !== null && this.#nextMs <= nowMs;
  }

  /** After a sweep: what the database says is next, unless something earlier was noted meanwhile. */
  reset(nextMs: number | null): void {
    this.#nextMs = nextMs;
  }

  get nextMs(): number | null {
    return this.#nextMs;
  }
}

/**
 * The earliest moment at which a sweep may have something to do. Services note what they start; between
 * deadlines the sweeps leave the database alone, so that one which may pause does pause.
 */
export class Deadlines {
  #nextMs: number | null = 0; // unknown at start: the first tick looks

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

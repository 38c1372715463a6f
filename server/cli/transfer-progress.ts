/** How far a transfer is: one line that changes on a terminal, plain lines now and then elsewhere. */
import type { Progress } from "../transfer/run.ts";
import type { Output } from "./deps.ts";

const TERMINAL_EVERY_MS = 100;
const LINE_EVERY_MS = 5_000;
const BAR_CHARS = 24;
/** Before that a rate says nothing. */
const RATE_AFTER_MS = 500;

export class TransferProgress {
  readonly #output: Output;
  readonly #nowMs: () => number;
  #phase = "";
  #phaseMs = 0;
  #shownMs = Number.NEGATIVE_INFINITY;
  #isLineOpen = false;

  constructor(output: Output, nowMs: () => number = () => performance.now()) {
    this.#output = output;
    this.#nowMs = nowMs;
  }

  show(progress: Progress): void {
    const nowMs = this.#nowMs();
    const isTerminal = this.#output.isTTY === true;
    const isNew = progress.phase !== this.#phase;
    if (!isNew && nowMs - this.#shownMs < (isTerminal ? TERMINAL_EVERY_MS : LINE_EVERY_MS)) return;
    if (isNew) {
      this.end();
      this.#phase = progress.phase;
      this.#phaseMs = nowMs;
    }
    if (progress.phase === "done") return;
    this.#shownMs = nowMs;
    const text = progressText(progress, nowMs - this.#phaseMs);
    this.#output.write(isTerminal ? `\r\u001b[2K${text}` : `${text}\n`);
    this.#isLineOpen = isTerminal;
  }

  end(): void {
    if (this.#isLineOpen) this.#output.write("\n");
    this.#isLineOpen = false;
  }
}

export function progressText({ phase, done, total, doneBytes }: Progress, elapsedMs: number): string {
  if (phase === "waiting") return `waiting     for ${total} running update${total === 1 ? "" : "s"}`;
  const part = total === 0 ? 1 : done / total;
  const filled = Math.floor(part * BAR_CHARS);
  const bar = `${"#".repeat(filled)}${".".repeat(BAR_CHARS - filled)}`;
  const words = [`${phase.padEnd(11)} [${bar}] ${Math.floor(part * 100)} %`, `${done}/${total}`];
  if (doneBytes !== null) words.push(`${(doneBytes / 1_000_000).toFixed(1)} MB`);
  if (elapsedMs >= RATE_AFTER_MS && done > 0) {
    const perSecond = (done * 1000) / elapsedMs;
    words.push(`${Math.round(perSecond)}/s`);
    if (done < total) words.push(`${Math.ceil((total - done) / perSecond)} s left`);
  }
  return words.join("  ");
}

/** How far a long command is: one line that changes on a terminal, plain lines now and then elsewhere. */
import type { Progress } from "../transfer/run.ts";
import type { Output } from "./deps.ts";

const TERMINAL_EVERY_MS = 100;
const LINE_EVERY_MS = 5_000;
const BAR_CHARS = 24;

export class ProgressDisplay {
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
    const isNew = progress.phase !== this.#phase;
    const everyMs = this.#output.isTTY === true ? TERMINAL_EVERY_MS : LINE_EVERY_MS;
    if (!isNew && nowMs - this.#shownMs < everyMs) return;
    if (isNew) {
      this.end();
      this.#phase = progress.phase;
      this.#phaseMs = nowMs;
    }
    if (progress.phase === "done") return;
    this.#shownMs = nowMs;
    const text = progressText(progress, nowMs - this.#phaseMs);
    if (this.#output.isTTY !== true) this.#output.write(`${text}\n`);
    else this.#output.write(`\r\u001b[2K${text}`);
    this.#isLineOpen = this.#output.isTTY === true;
  }

  end(): void {
    if (this.#isLineOpen) this.#output.write("\n");
    this.#isLineOpen = false;
  }
}

export function progressText({ phase, done, total, doneBytes }: Progress, elapsedMs: number): string {
  if (phase === "waiting") return `waiting for ${total} running update${total === 1 ? "" : "s"}`;
  const part = total === 0 ? 1 : done / total;
  const filled = Math.round(part * BAR_CHARS);
  const bar = `${"#".repeat(filled)}${".".repeat(BAR_CHARS - filled)}`;
  const perSecond = elapsedMs < 500 ? null : (done * 1000) / elapsedMs;
  const rate = perSecond === null ? "" : `  ${Math.round(perSecond)}/s`;
  const bytes = doneBytes === null ? "" : `  ${(doneBytes / 1_000_000).toFixed(1)} MB`;
  const left =
    perSecond === null || perSecond === 0 || done >= total
      ? ""
      : `  ${Math.ceil((total - done) / perSecond)} s left`;
  return `${phase.padEnd(11)} [${bar}] ${String(Math.floor(part * 100)).padStart(3)} %  ${done}/${total}${bytes}${rate}${left}`;
}

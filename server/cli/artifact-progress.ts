/** A bar on a terminal, plain lines in a log. */
import type { Output } from "./deps.ts";
import { plainText } from "./table.ts";

const BAR_CHARS = 30;
const REDRAW_MS = 100;

export interface Progress {
  start(name: string, sizeBytes: number, doneBytes?: number): void;
  advance(bytes: number): void;
  end(): void;
  readonly retry: (error: Error, waitMs: number) => void;
}

export function createProgress(out: Output): Progress {
  let [name, sizeBytes, doneBytes, drawnMs] = ["", 0, 0, 0];
  const draw = () => {
    const share = sizeBytes === 0 ? 1 : Math.min(doneBytes / sizeBytes, 1);
    const bar = "#".repeat(Math.round(share * BAR_CHARS)).padEnd(BAR_CHARS, ".");
    out.write(`\r[${bar}] ${String(Math.round(share * 100)).padStart(3)} % ${plainText(name)}`);
    drawnMs = performance.now();
  };
  const isTerminal = out.isTTY === true;
  return {
    start(nextName, nextSize, already = 0) {
      [name, sizeBytes, doneBytes] = [nextName, nextSize, already];
      if (isTerminal) draw();
    },
    advance(bytes) {
      doneBytes += bytes;
      if (isTerminal && performance.now() - drawnMs >= REDRAW_MS) draw();
    },
    end() {
      if (!isTerminal) return;
      doneBytes = sizeBytes;
      draw();
      out.write("\n");
    },
    retry(error, waitMs) {
      out.write(
        `${isTerminal ? "\n" : ""}${error.message} Trying again in ${(waitMs / 1000).toFixed(1)} s.\n`,
      );
    },
  };
}

/** An answer to a request whose body was refused before it had arrived. */
import type { Request, Response } from "express";

/**
 * A connection that is closed while its client still writes is reset, and the client never sees the answer. So
 * what it goes on sending is read and dropped, until it stops, but not for ever.
 */
export interface DiscardBounds {
  readonly bytesMax: number;
  readonly timeMs: number;
  /** Without a byte: it has seen the answer, or waits for the connection's end. */
  readonly silenceMs: number;
}

const BOUNDS: DiscardBounds = { bytesMax: 1024 ** 3, timeMs: 30_000, silenceMs: 1_000 };

/** The answer goes out at once; the connection ends when nothing more comes, or a bound is reached. */
export function answerUnread(
  req: Request,
  res: Response,
  status: number,
  answer: unknown,
  bounds: DiscardBounds = BOUNDS,
): void {
  const body = Buffer.from(JSON.stringify(answer));
  const length = { "content-type": "application/json", "content-length": body.byteLength };
  res.writeHead(status, { ...length, connection: "close" });
  res.write(body);
  res.locals.isAnswered = true;

  let leftBytes = bounds.bytesMax;
  const end = () => {
    clearTimeout(deadline);
    clearTimeout(silence);
    req.off("data", drop);
    res.end();
  };
  const drop = (chunk: Buffer) => {
    silence.refresh();
    leftBytes -= chunk.byteLength;
    if (leftBytes < 0) end();
  };
  const deadline = setTimeout(end, bounds.timeMs);
  const silence = setTimeout(end, bounds.silenceMs);
  req.once("end", end);
  req.once("close", end);
  req.on("data", drop);
  req.resume();
}

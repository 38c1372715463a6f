import type { Response } from "express";
import { freeBytes } from "../crypto/memory.ts";

/**
 * Sends a body that begins with `first`, and frees each chunk once it was sent: they are nobody else's. The next
 * one is made while the one before is on its way. A client that has gone ends it without a word.
 */
export async function sendChunks(
  res: Response,
  first: IteratorResult<Uint8Array>,
  rest: AsyncIterator<Uint8Array>,
): Promise<void> {
  try {
    let sending: Promise<void> = Promise.resolve();
    for (let next = first; next.done !== true; next = await rest.next()) {
      await sending;
      if (res.destroyed) return;
      sending = sendChunk(res, next.value);
    }
    await sending;
    res.end();
  } finally {
    await rest.return?.();
  }
}

/** Until it was handed to the network, or nobody is there to take it. */
function sendChunk(res: Response, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const gone = () => resolve();
    res.once("close", gone);
    res.write(chunk, (error) => {
      res.off("close", gone);
      if (!error) freeBytes(chunk);
      resolve();
    });
  });
}

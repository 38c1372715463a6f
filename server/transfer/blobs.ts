/** Blobs never change under their key: what is there with the same size is there. */
import type { Source } from "./source.ts";
import type { Target } from "./target.ts";

const AT_ONCE = 8;

export interface BlobTally {
  blobs: number;
  bytes: number;
}

/** What the target has, by key. A killed transfer goes on from here. */
export async function presentBlobs(target: Target): Promise<Map<string, number>> {
  const present = new Map<string, number>();
  for await (const { key, sizeBytes } of target.blobs.list("")) present.set(key, sizeBytes);
  return present;
}

export async function countBlobs(source: Source): Promise<BlobTally> {
  const tally = { blobs: 0, bytes: 0 };
  for await (const { sizeBytes } of source.blobs()) {
    tally.blobs += 1;
    tally.bytes += sizeBytes;
  }
  return tally;
}

/** Copies what is missing, a few at once. What the source deletes meanwhile is left out. */
export async function copyBlobs(
  source: Source,
  target: Target,
  present: Map<string, number>,
  onBlob: (sizeBytes: number, isCopied: boolean) => void,
): Promise<BlobTally> {
  const copied = { blobs: 0, bytes: 0 };
  const listed = source.blobs();
  const worker = async () => {
    for (;;) {
      const next = await listed.next();
      if (next.done === true) return;
      const { key, sizeBytes } = next.value;
      const isThere = present.get(key) === sizeBytes;
      if (!isThere && (await copyBlob(source, target, key, sizeBytes))) {
        present.set(key, sizeBytes);
        copied.blobs += 1;
        copied.bytes += sizeBytes;
      }
      onBlob(sizeBytes, !isThere);
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  } finally {
    await listed.return(undefined);
  }
  return copied;
}

export async function copyBlob(
  source: Source,
  target: Target,
  key: string,
  sizeBytes: number,
): Promise<boolean> {
  const body = await source.openBlob(key);
  if (body === null) return false;
  await target.blobs.put(key, body, { maxBytes: sizeBytes });
  return true;
}

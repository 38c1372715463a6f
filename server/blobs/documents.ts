/**
 * Deployment documents: plain bytes in, plain bytes out, sealed in between. The blob store never sees a
 * plain byte. A document is never changed; a new one gets a new key. A small one is no blob at all: its sealed
 * bytes go into the row that names it, so that one commit stores both.
 */
import { createHash } from "node:crypto";
import type { BlobKey, BlobStore } from "../../storage-adapters/contract.ts";
import type { Keyring } from "../crypto/keyring.ts";
import { sealStream, unsealStream } from "../crypto/seal-stream.ts";
import { sealedDocumentBytesMax } from "../crypto/segments.ts";
import { newDocumentKey } from "./keys.ts";

type Body = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Sealed bytes up to this may stay in a row: storing them there costs less than a file of their own. */
const IN_ROW_BYTES_MAX = 32 * 1024;

/** Where a document is. */
export interface DocumentPlace {
  /** What the bytes are bound to, whether there is such a blob or not. */
  readonly blobKey: BlobKey;
  /** The bytes themselves; null when they are in the blob. */
  readonly sealed: Uint8Array | null;
}

export interface StoredDocument extends DocumentPlace {
  /** SHA-256 of the plain bytes, hex. */
  readonly sha256: string;
  /** Plain bytes. */
  readonly sizeBytes: number;
}

export class DocumentTooLargeError extends Error {
  override readonly name = "DocumentTooLargeError";
  /** Plain bytes. */
  readonly maxBytes: number;
  constructor(maxBytes: number) {
    super(`The document is larger than ${maxBytes} bytes`);
    this.maxBytes = maxBytes;
  }
}

export interface DocumentStore {
  /**
   * Seals and stores `body` whole or not at all, durable on return. `maxBytes` counts plain bytes. With
   * `inRow`, small sealed bytes are only given back: they are stored by the step that stores the row.
   * @throws DocumentTooLargeError; BlobStoreUnavailableError; what `body` throws, as it is
   */
  put(
    stackId: string,
    body: Body,
    options: { readonly maxBytes: number; readonly inRow?: boolean },
  ): Promise<StoredDocument>;
  /**
   * The plain bytes. Damage within the first 256 KiB is told at once, later damage when the iteration comes
   * to it. Iterate to the end or `break`: a large document never iterated keeps its file open.
   * @throws BlobNotFoundError; SealError, also for a blob of another stack
   */
  open(stackId: string, place: DocumentPlace): Promise<AsyncIterable<Uint8Array>>;
  /** Idempotent. */
  delete(place: DocumentPlace): Promise<void>;
}

export function createDocumentStore(blobs: BlobStore, keyring: Keyring): DocumentStore {
  return {
    async put(stackId, body, { maxBytes, inRow = false }) {
      const blobKey = newDocumentKey(stackId);
      const tally = new Tally(maxBytes);
      const chunks = sealStream(keyring, stackId, blobKey, tally.of(body));
      const first = inRow ? await takeUpTo(chunks, IN_ROW_BYTES_MAX) : { taken: [], isAll: false };
      if (first.isAll) return { blobKey, sealed: Buffer.concat(first.taken), ...tally.result() };
      const sealed = followedBy(first.taken, chunks);
      await blobs.put(blobKey, sealed, { maxBytes: sealedDocumentBytesMax(maxBytes) });
      return { blobKey, sealed: null, ...tally.result() };
    },
    async open(stackId, { blobKey, sealed }) {
      const stored = sealed === null ? await blobs.open(blobKey) : [sealed];
      const chunks = unsealStream(keyring, stackId, blobKey, stored);
      return resume(await chunks.next(), chunks);
    },
    async delete({ blobKey, sealed }) {
      if (sealed === null) await blobs.delete(blobKey);
    },
  };
}

/** Chunks until they have more than `maxBytes` together, or all there are. */
async function takeUpTo(
  chunks: AsyncGenerator<Uint8Array, void, undefined>,
  maxBytes: number,
): Promise<{ taken: Uint8Array[]; isAll: boolean }> {
  const taken: Uint8Array[] = [];
  let sizeBytes = 0;
  while (sizeBytes <= maxBytes) {
    const next = await chunks.next();
    if (next.done === true) return { taken, isAll: true };
    taken.push(next.value);
    sizeBytes += next.value.length;
  }
  return { taken, isAll: false };
}

async function* followedBy(
  first: readonly Uint8Array[],
  rest: AsyncGenerator<Uint8Array, void, undefined>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* first;
    yield* rest;
  } finally {
    await rest.return();
  }
}

/** Counts and hashes plain bytes as they pass. */
class Tally {
  readonly #maxBytes: number;
  readonly #hash = createHash("sha256");
  #sizeBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  async *of(body: Body): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of body) {
      this.#sizeBytes += chunk.length;
      if (this.#sizeBytes > this.#maxBytes) throw new DocumentTooLargeError(this.#maxBytes);
      this.#hash.update(chunk);
      yield chunk;
    }
  }

  /** Once, when all has passed. */
  result(): { sha256: string; sizeBytes: number } {
    return { sha256: this.#hash.digest("hex"), sizeBytes: this.#sizeBytes };
  }
}

/** `rest` again, whose first result was taken already. */
async function* resume(
  first: IteratorResult<Uint8Array, void>,
  rest: AsyncGenerator<Uint8Array, void, undefined>,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (first.done === true) return;
  try {
    yield first.value;
    yield* rest;
  } finally {
    await rest.return();
  }
}

/**
 * Deployment documents: plain bytes in, plain bytes out, sealed in between. The blob store never sees a
 * plain byte. A document is never changed; a new one gets a new key.
 */
import { createHash } from "node:crypto";
import type { BlobKey, BlobStore } from "../../storage-adapters/contract.ts";
import type { Keyring } from "../crypto/keyring.ts";
import { sealStream, unsealStream } from "../crypto/seal-stream.ts";
import { sealedDocumentBytesMax } from "../crypto/segments.ts";
import { newDocumentKey } from "./keys.ts";

type Body = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface StoredDocument {
  readonly blobKey: BlobKey;
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
   * Seals and stores `body` whole or not at all, durable on return. `maxBytes` counts plain bytes.
   * @throws DocumentTooLargeError; BlobStoreUnavailableError; what `body` throws, as it is
   */
  put(stackId: string, body: Body, limit: { readonly maxBytes: number }): Promise<StoredDocument>;
  /**
   * The plain bytes. Damage within the first 256 KiB is told at once, later damage when the iteration comes
   * to it. Iterate to the end or `break`: a large document never iterated keeps its file open.
   * @throws BlobNotFoundError; SealError, also for a blob of another stack
   */
  open(stackId: string, blobKey: BlobKey): Promise<AsyncIterable<Uint8Array>>;
  /** Idempotent. */
  delete(blobKey: BlobKey): Promise<void>;
}

export function createDocumentStore(blobs: BlobStore, keyring: Keyring): DocumentStore {
  return {
    async put(stackId, body, { maxBytes }) {
      const blobKey = newDocumentKey(stackId);
      const tally = new Tally(maxBytes);
      const sealed = sealStream(keyring, stackId, blobKey, tally.of(body));
      await blobs.put(blobKey, sealed, { maxBytes: sealedDocumentBytesMax(maxBytes) });
      return { blobKey, ...tally.result() };
    },
    async open(stackId, blobKey) {
      const chunks = unsealStream(keyring, stackId, blobKey, await blobs.open(blobKey));
      return resume(await chunks.next(), chunks);
    },
    delete: (blobKey) => blobs.delete(blobKey),
  };
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

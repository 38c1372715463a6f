/**
 * Deployment documents: plain bytes in, plain bytes out, sealed in between. The blob store never sees a
 * plain byte. A document is never changed; a new one gets a new key. A small one is no blob at all: its sealed
 * bytes go into the row that names it, so that one commit stores both.
 */
import { createHash } from "node:crypto";
import type { BlobKey, BlobStore } from "../../storage-adapters/contract.ts";
import { ByteReader } from "../crypto/byte-reader.ts";
import type { Keyring } from "../crypto/keyring.ts";
import { isSealedRow, seal, unseal } from "../crypto/seal.ts";
import { sealStream, unsealStream } from "../crypto/seal-stream.ts";
import { sealedDocumentBytesMax } from "../crypto/segments.ts";
import { newDocumentKey } from "./keys.ts";

type Body = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Sealed bytes up to this may stay in a row: storing them there costs less than a file of their own. */
const IN_ROW_BYTES_MAX = 32 * 1024;
/** Plain bytes up to this are tried: zstd makes a quarter to a tenth of a deployment. */
const IN_ROW_PLAIN_BYTES_MAX = 256 * 1024;
/** Below this a row takes the bytes as they are: zstd would take longer than all else that is done with them. */
const COMPRESS_FROM_BYTES = 8 * 1024;

const PART_BYTES = 64 * 1024;

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
      const putBlob = async (plain: Body) => {
        const sealed = sealStream(keyring, stackId, blobKey, plain);
        await blobs.put(blobKey, sealed, { maxBytes: sealedDocumentBytesMax(maxBytes) });
        return { blobKey, sealed: null, ...tally.result() };
      };
      if (!inRow) return putBlob(tally.of(body));
      const reader = new ByteReader(tally.of(body));
      const first = await reader.take(IN_ROW_PLAIN_BYTES_MAX);
      if (!(await reader.isAtEnd())) return putBlob(followedBy(first, reader));
      const compress = first.length >= COMPRESS_FROM_BYTES;
      const sealed = seal(keyring, stackId, purposeOf(blobKey), first, { compress });
      if (sealed.length > IN_ROW_BYTES_MAX) return putBlob([first]);
      return { blobKey, sealed, ...tally.result() };
    },
    async open(stackId, { blobKey, sealed }) {
      if (sealed !== null && isSealedRow(sealed))
        return once(unseal(keyring, stackId, purposeOf(blobKey), sealed));
      const stored = sealed === null ? await blobs.open(blobKey) : [sealed];
      const chunks = unsealStream(keyring, stackId, blobKey, stored);
      return resume(await chunks.next(), chunks);
    },
    async delete({ blobKey, sealed }) {
      if (sealed === null) await blobs.delete(blobKey);
    },
  };
}

function purposeOf(blobKey: BlobKey): string {
  return `document:${blobKey}`;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  if (bytes.length > 0) yield bytes;
}

async function* followedBy(first: Uint8Array, rest: ByteReader): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    if (first.length > 0) yield first;
    for (let parts = await rest.takeParts(PART_BYTES); parts.length > 0; ) {
      yield* parts;
      parts = await rest.takeParts(PART_BYTES);
    }
  } finally {
    await rest.close();
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

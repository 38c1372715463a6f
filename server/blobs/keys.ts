/** Where things lie in the blob store. Everything of a stack has one prefix, so that a sweep can find it. */

import { type BlobKey, InvalidBlobKeyError } from "../../storage-adapters/contract.ts";
import { randomBytesPooled } from "../crypto/random.ts";

/** The prefix of every stack. */
export const STACKS_PREFIX = "stacks/";

const STACK_ID = /^[A-Za-z0-9_-]{2,100}$/;
const DOCUMENT_KEY = /^stacks\/[A-Za-z0-9_-]{2}\/([A-Za-z0-9_-]{2,100})\/[^/]+$/;

/**
 * The prefix of all blobs of a stack. Two characters of the id come first: folders stay small.
 * @throws InvalidBlobKeyError for what is no stack id
 */
export function stackPrefix(stackId: string): string {
  if (!STACK_ID.test(stackId)) throw new InvalidBlobKeyError("Not a stack id");
  return `${STACKS_PREFIX}${stackId.slice(0, 2)}/${stackId}/`;
}

/** A key no blob has yet: every put makes a new blob, and the row that names it is the commit point. */
export function newDocumentKey(stackId: string): BlobKey {
  return stackPrefix(stackId) + randomBytesPooled(16).toString("hex");
}

/** Whose blob this is; null for keys that `newDocumentKey` does not make. */
export function stackIdOfKey(key: BlobKey): string | null {
  return DOCUMENT_KEY.exec(key)?.[1] ?? null;
}

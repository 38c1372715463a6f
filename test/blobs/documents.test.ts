import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import {
  createDocumentStore,
  type DocumentStore,
  DocumentTooLargeError,
} from "../../server/blobs/documents.ts";
import { newDocumentKey, stackIdOfKey, stackPrefix } from "../../server/blobs/keys.ts";
import { SealError } from "../../server/crypto/errors.ts";
import { createKeyring } from "../../server/crypto/keyring.ts";
import { sealStream } from "../../server/crypto/seal-stream.ts";
import { BlobNotFoundError, type BlobStore, InvalidBlobKeyError } from "../../storage-adapters/contract.ts";
import { openLocalDisk } from "../../storage-adapters/local-disk.ts";
import {
  collect,
  deploymentLike,
  inChunks,
  newKeyring,
  newMaster,
  withBitFlipped,
} from "../crypto/support.ts";
import { makeTempDir } from "../storage-adapters/temp-dir.ts";

const STACK = "0190f3c2-stack";
const MIB = 1024 * 1024;
const ROOMY = { maxBytes: 400 * MIB };

async function newStores(ring = newKeyring()): Promise<{ blobs: BlobStore; documents: DocumentStore }> {
  const blobs = await openLocalDisk({ root: await makeTempDir() });
  return { blobs, documents: createDocumentStore(blobs, ring) };
}

async function keysOf(blobs: BlobStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of blobs.list("")) keys.push(key);
  return keys;
}

describe("document store", () => {
  it("gives back documents of any size and says what they are", async () => {
    const { blobs, documents } = await newStores();
    const sizes = fc.oneof(fc.nat(700_000), fc.constantFrom(0, 1, 256 * 1024, 256 * 1024 + 1));
    const chunkings = fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(sizes, chunkings, async (size, chunking) => {
        const plain = deploymentLike(size);
        const stored = await documents.put(STACK, inChunks(plain, chunking), { maxBytes: size });
        const sha256 = createHash("sha256").update(plain).digest("hex");
        expect(stored).toEqual({ blobKey: expect.any(String), sealed: null, sha256, sizeBytes: size });
        expect(stored.blobKey.startsWith(stackPrefix(STACK))).toBe(true);
        expect((await collect(await documents.open(STACK, stored))).equals(plain)).toBe(true);
      }),
      { numRuns: 30 },
    );
    expect((await keysOf(blobs)).length).toBe(30); // each under a key of its own
  });

  it("gives small ones back to be kept in a row, and reads them from there", async () => {
    const { blobs, documents } = await newStores();
    for (const size of [0, 1, 5_000, 20_000, 100_000]) {
      const plain = deploymentLike(size);
      const stored = await documents.put(STACK, inChunks(plain, [700]), { ...ROOMY, inRow: true });
      expect(stored.sealed?.length).toBeGreaterThan(0);
      expect(await keysOf(blobs)).toEqual([]);
      expect((await collect(await documents.open(STACK, stored))).equals(plain)).toBe(true);
      const elsewhere = { ...stored, blobKey: newDocumentKey(STACK) };
      await expect(documents.open(STACK, elsewhere)).rejects.toMatchObject({ code: "damaged" });
      await expect(documents.open("another-stack", stored)).rejects.toMatchObject({ code: "damaged" });
      await documents.delete(stored); // nothing to delete
    }
  });

  it("reads from a row what was sealed in segments, as earlier releases did", async () => {
    const ring = newKeyring();
    const { documents } = await newStores(ring);
    const plain = deploymentLike(20_000);
    const blobKey = newDocumentKey(STACK);
    const sealed = await collect(sealStream(ring, STACK, blobKey, [plain]));
    expect((await collect(await documents.open(STACK, { blobKey, sealed }))).equals(plain)).toBe(true);
  });

  it("stores what is too large for a row as a blob, whatever was asked", async () => {
    const { blobs, documents } = await newStores();
    const plain = randomBytes(40 * 1024);
    const stored = await documents.put(STACK, inChunks(plain, [1000]), { ...ROOMY, inRow: true });
    expect(stored.sealed).toBeNull();
    expect(await keysOf(blobs)).toEqual([stored.blobKey]);
    expect((await collect(await documents.open(STACK, stored))).equals(plain)).toBe(true);
  });

  it("stores noise as large as the limit allows", async () => {
    const { documents } = await newStores();
    const plain = randomBytes(3 * MIB);
    const { blobKey } = await documents.put(STACK, [plain], { maxBytes: plain.length });
    expect((await collect(await documents.open(STACK, { blobKey, sealed: null }))).equals(plain)).toBe(true);
  });

  it.each([0, 10, 256 * 1024, MIB])(
    "refuses one plain byte more than %i and leaves nothing",
    async (maxBytes) => {
      const { blobs, documents } = await newStores();
      const body = inChunks(deploymentLike(maxBytes + 1), [60_000]); // packs to far less than maxBytes
      await expect(documents.put(STACK, body, { maxBytes })).rejects.toThrow(DocumentTooLargeError);
      expect(await keysOf(blobs)).toEqual([]);
      expect(await blobs.sweepPartial(Date.now() + 60_000)).toBe(0);
    },
  );

  it.each([10, 6 * MIB])("leaves nothing of a body that is cut off after %i bytes", async (bytes) => {
    const { blobs, documents } = await newStores();
    const error = new Error("client went away");
    async function* cutOff(): AsyncGenerator<Uint8Array> {
      yield* inChunks(randomBytes(bytes), [65_536]);
      throw error;
    }
    await expect(documents.put(STACK, cutOff(), ROOMY)).rejects.toBe(error);
    expect(await keysOf(blobs)).toEqual([]);
    expect(await blobs.sweepPartial(Date.now() + 60_000)).toBe(0);
  });

  it("tells at once what it cannot open", async () => {
    const master = newMaster();
    const { blobs, documents } = await newStores(createKeyring([master]));
    const { blobKey } = await documents.put(STACK, [randomBytes(MIB)], ROOMY);
    const moved = newDocumentKey(STACK);
    await blobs.put(moved, await blobs.open(blobKey), ROOMY);
    await expect(documents.open("another-stack", { blobKey, sealed: null })).rejects.toMatchObject({
      code: "wrong_key",
    });
    await expect(documents.open(STACK, { blobKey: moved, sealed: null })).rejects.toMatchObject({
      code: "wrong_key",
    });
    await expect(documents.open(STACK, { blobKey: newDocumentKey(STACK), sealed: null })).rejects.toThrow(
      BlobNotFoundError,
    );
    const stranger = createDocumentStore(blobs, newKeyring());
    await expect(stranger.open(STACK, { blobKey, sealed: null })).rejects.toMatchObject({
      code: "unknown_key",
    });
    const heir = createDocumentStore(blobs, createKeyring([newMaster(), master]));
    expect((await collect(await heir.open(STACK, { blobKey, sealed: null }))).length).toBe(MIB);
  });

  it("throws midway, after whole segments, when a later part is damaged or missing", async () => {
    const { blobs, documents } = await newStores();
    const plain = randomBytes(MIB);
    const { blobKey } = await documents.put(STACK, [plain], ROOMY);
    const good = await collect(await blobs.open(blobKey));
    for (const bad of [withBitFlipped(good, good.length * 8 - 1), good.subarray(0, -1)]) {
      await blobs.put(blobKey, [bad], ROOMY);
      await expect(collect(await documents.open(STACK, { blobKey, sealed: null }))).rejects.toThrow(
        SealError,
      );
    }
  });

  it("deletes, twice too", async () => {
    const { documents } = await newStores();
    const { blobKey } = await documents.put(STACK, [Buffer.from("x")], ROOMY);
    await documents.delete({ blobKey, sealed: null });
    await documents.delete({ blobKey, sealed: null });
    await expect(documents.open(STACK, { blobKey, sealed: null })).rejects.toThrow(BlobNotFoundError);
  });

  it("streams 300 MB both ways in bounded memory", { timeout: 120_000 }, async () => {
    const script = join(import.meta.dirname, "stream-large.ts");
    const { stdout } = await promisify(execFile)(process.execPath, [script, await makeTempDir()]);
    const result = z.object({ isSame: z.literal(true), sizeBytes: z.number(), grownBytes: z.number() });
    const { sizeBytes, grownBytes } = result.parse(JSON.parse(stdout));
    expect(sizeBytes).toBe(300_000_000);
    // Less than half the document; most of it is garbage that was not collected yet.
    expect(grownBytes).toBeLessThan(140_000_000);
  });
});

describe("blob keys", () => {
  it("lie below their stack", () => {
    const key = newDocumentKey(STACK);
    expect(key).toMatch(/^stacks\/01\/0190f3c2-stack\/[0-9a-f]{32}$/);
    expect(stackIdOfKey(key)).toBe(STACK);
    expect(stackIdOfKey("stacks/01")).toBeNull();
    expect(newDocumentKey(STACK)).not.toBe(key);
  });

  it.each(["", "a", "../../x", "a/b", "a.b", "ä1", "x".repeat(101)])("refuse the stack id %j", (stackId) => {
    expect(() => stackPrefix(stackId)).toThrow(InvalidBlobKeyError);
  });
});

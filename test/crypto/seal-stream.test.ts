import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SealError } from "../../server/crypto/errors.ts";
import { createKeyring, type Keyring } from "../../server/crypto/keyring.ts";
import { sealStream, unsealStream } from "../../server/crypto/seal-stream.ts";
import {
  HEADER_BYTES,
  SEGMENT_PLAIN_BYTES,
  SEGMENT_PREFIX_BYTES,
  sealedDocumentBytesMax,
} from "../../server/crypto/segments.ts";
import { collect, deploymentLike, inChunks, newKeyring, newMaster, withBitFlipped } from "./support.ts";

const RING = newKeyring();
const SEG = SEGMENT_PLAIN_BYTES;

const sealed = (plain: Uint8Array, compress = true): Promise<Buffer> =>
  collect(sealStream(RING, "s", "k", [plain], { compress }));
const opened = (bytes: Uint8Array, ring: Keyring = RING, scope = "s", key = "k"): Promise<Buffer> =>
  collect(unsealStream(ring, scope, key, [bytes]));

/** The header, then each segment with its prefix. */
function partsOf(document: Buffer): Buffer[] {
  const parts = [document.subarray(0, HEADER_BYTES)];
  for (let at = HEADER_BYTES; at < document.length; ) {
    const end = at + SEGMENT_PREFIX_BYTES + (document.readUInt32BE(at) & 0x7fff_ffff);
    parts.push(document.subarray(at, end));
    at = end;
  }
  return parts;
}

describe("sealStream and unsealStream", () => {
  it("give back any bytes, however they are cut into chunks", async () => {
    const chunkings = fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 5 });
    const sizes = fc.oneof(
      fc.nat(3 * SEG),
      fc.constantFrom(0, 1, SEG - 1, SEG, SEG + 1, 2 * SEG - 1, 2 * SEG, 2 * SEG + 1),
    );
    await fc.assert(
      fc.asyncProperty(
        sizes,
        fc.boolean(),
        fc.boolean(),
        chunkings,
        chunkings,
        async (size, noise, zip, a, b) => {
          const plain = noise ? randomBytes(size) : deploymentLike(size);
          const document = await collect(sealStream(RING, "s", "k", inChunks(plain, a), { compress: zip }));
          expect(document.length).toBeLessThanOrEqual(sealedDocumentBytesMax(size));
          const again = await collect(unsealStream(RING, "s", "k", inChunks(document, b)));
          expect(again.equals(plain)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("take one byte at a time, and empty chunks", async () => {
    const plain = deploymentLike(3000);
    const bytewise = await collect(sealStream(RING, "s", "k", inChunks(plain, [1])));
    const withGaps = [
      new Uint8Array(0),
      ...Array.from(bytewise, (byte) => Uint8Array.of(byte)),
      new Uint8Array(0),
    ];
    expect((await collect(unsealStream(RING, "s", "k", withGaps))).equals(plain)).toBe(true);
  });

  it("make as many segments as the body needs, and no empty last one", async () => {
    for (const [size, segments] of [
      [0, 1],
      [1, 1],
      [SEG, 1],
      [SEG + 1, 2],
      [3 * SEG, 3],
    ] as const) {
      expect(partsOf(await sealed(randomBytes(size))).length).toBe(1 + segments);
    }
  });

  it("pack JSON and show none of it", async () => {
    const plain = deploymentLike(1_000_000);
    const document = await sealed(plain);
    expect(document.length).toBeLessThan(plain.length / 4);
    expect((await sealed(plain, false)).includes(plain.subarray(500, 532))).toBe(false);
  });

  it.each([true, false])("refuse every turned bit (compress: %s)", async (compress) => {
    const document = await sealed(deploymentLike(300), compress);
    for (let bit = 0; bit < document.length * 8; bit++) {
      await expect(opened(withBitFlipped(document, bit))).rejects.toThrow(SealError);
    }
  });

  it("refuse a turned bit anywhere in a large document, and yield no byte of its segment", async () => {
    const plain = randomBytes(3 * SEG + 1000);
    const document = await sealed(plain);
    const ends = endsOf(document);
    await fc.assert(
      fc.asyncProperty(fc.nat(document.length * 8 - 1), async (bit) => {
        const { got, error } = await openedUntilError(withBitFlipped(document, bit));
        expect(error).toBeInstanceOf(SealError);
        const whole = ends.filter((end) => end <= bit >> 3).length;
        expect(got.length).toBeLessThanOrEqual(Math.max(0, whole - 1) * SEG);
        expect(got.equals(plain.subarray(0, got.length))).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it("refuse every truncation", async () => {
    const small = await sealed(deploymentLike(300));
    for (let length = 0; length < small.length; length++) {
      await expect(opened(small.subarray(0, length))).rejects.toMatchObject({ code: "truncated" });
    }
    const large = await sealed(randomBytes(2 * SEG + 10));
    for (const end of endsOf(large).slice(0, -1)) {
      for (const length of [end - 1, end, end + 1, end + SEGMENT_PREFIX_BYTES]) {
        await expect(opened(large.subarray(0, length))).rejects.toMatchObject({ code: "truncated" });
      }
    }
  });

  it("refuse segments that are swapped, doubled, left out, appended, or of another document", async () => {
    const plain = randomBytes(3 * SEG);
    const [header, one, two, three] = partsOf(await sealed(plain, false));
    const [, otherOne] = partsOf(await sealed(plain, false));
    if (!header || !one || !two || !three || !otherOne) throw new Error("Fewer segments than expected");
    const lastAsMiddle = Buffer.from(two);
    lastAsMiddle.writeUInt32BE((two.readUInt32BE(0) | 0x8000_0000) >>> 0, 0); // claims to be the last
    const forged = [
      [header, two, one, three],
      [header, one, one, three],
      [header, one, three],
      [header, one, two, two, three],
      [header, one, two, three, three],
      [header, one, two, three, Buffer.alloc(1)],
      [header, otherOne, two, three],
      [header, one, lastAsMiddle],
      [header, three],
    ];
    for (const parts of forged)
      await expect(opened(Buffer.concat(parts))).rejects.toMatchObject({ code: "damaged" });
    expect((await opened(Buffer.concat([header, one, two, three]))).equals(plain)).toBe(true);
  });

  it("open under their own scope, blob key and master key only", async () => {
    const master = newMaster();
    const ring = createKeyring([master]);
    const document = await collect(sealStream(ring, "s", "k", [Buffer.from("x")]));
    const sameId = createKeyring([{ id: master.id, key: randomBytes(32) }]);
    await expect(opened(document, ring, "s2")).rejects.toMatchObject({ code: "wrong_key" });
    await expect(opened(document, ring, "s", "k2")).rejects.toMatchObject({ code: "wrong_key" });
    await expect(opened(document, sameId)).rejects.toMatchObject({ code: "wrong_key" });
    await expect(opened(document, newKeyring())).rejects.toMatchObject({ code: "unknown_key" });
    expect((await opened(document, ring)).toString()).toBe("x");
  });

  it("read the old after a rotation and write under the new", async () => {
    const [old, current] = [newMaster(), newMaster()];
    const before = await collect(sealStream(createKeyring([old]), "s", "k", [Buffer.from("x")]));
    const rotated = createKeyring([current, old]);
    expect((await opened(before, rotated)).toString()).toBe("x");
    const after = await collect(sealStream(rotated, "s", "k", [Buffer.from("y")]));
    expect((await opened(after, createKeyring([current]))).toString()).toBe("y");
    await expect(opened(after, createKeyring([old]))).rejects.toMatchObject({ code: "unknown_key" });
  });

  it("hand on what the body throws, and let a body go that nobody reads on", async () => {
    const error = new Error("client went away");
    async function* cutOff(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
      yield bytes;
      throw error;
    }
    for (const bytes of [0, 10, 2 * SEG]) {
      const plain = randomBytes(bytes);
      await expect(collect(sealStream(RING, "s", "k", cutOff(plain)))).rejects.toBe(error);
      await expect(collect(unsealStream(RING, "s", "k", cutOff(await sealed(plain))))).rejects.toBe(error);
    }
    let released = 0;
    async function* endless(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield bytes;
      } finally {
        released++;
      }
    }
    for await (const _ of sealStream(RING, "s", "k", endless(randomBytes(SEG)))) break;
    for await (const _ of unsealStream(RING, "s", "k", endless(await sealed(randomBytes(2 * SEG))))) break;
    await expect(collect(unsealStream(RING, "s", "k", endless(Buffer.alloc(100))))).rejects.toThrow(
      SealError,
    );
    expect(released).toBe(3);
  });

  it("still read what the first release wrote", async () => {
    const ring = createKeyring([{ id: 7, key: Buffer.alloc(32, 1) }]);
    const stored = Buffer.from(
      "U0hTRAEBAAAAB2gDQNB5maXMKvbOn76ru2irgL6TjzVJNkgLSmgq2JQOcJhP0JmTDz794SAJLzoixYAAACMAAAGQ64Z0IxDA534+mI3rOnHoB2J+/CaFxsYPpKDgM/ieBbheIOY=",
      "base64",
    );
    expect((await opened(stored, ring, "stack", "stacks/st/stack/1")).toString()).toBe("ab".repeat(200));
  });
});

/** Where the header and each segment end. */
function endsOf(document: Buffer): number[] {
  let end = 0;
  return partsOf(document).map((part) => {
    end += part.length;
    return end;
  });
}

async function openedUntilError(bytes: Uint8Array): Promise<{ got: Buffer; error: unknown }> {
  const parts: Uint8Array[] = [];
  try {
    for await (const chunk of unsealStream(RING, "s", "k", [bytes])) parts.push(chunk);
    return { got: Buffer.concat(parts), error: null };
  } catch (error) {
    return { got: Buffer.concat(parts), error };
  }
}

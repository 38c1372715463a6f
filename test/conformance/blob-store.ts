import { createHash, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  type BlobEntry,
  BlobNotFoundError,
  type BlobStore,
  BlobTooLargeError,
  InvalidBlobKeyError,
} from "../../storage-adapters/contract.ts";

const MIB = 1024 * 1024;
const ROOMY = { maxBytes: 64 * MIB };
const OLD = Buffer.from("old bytes");
const NEW = Buffer.from("new bytes, and more of them");

/** What every BlobStore does. `make` gives an empty store over the real thing, new for each test. */
export function describeBlobStore(label: string, make: () => Promise<BlobStore>): void {
  describe(`BlobStore: ${label}`, { timeout: 60_000 }, () => {
    describePut(make);
    describeRaces(make);
    describeOpen(make);
    describeKeys(make);
    describeList(make);
    describeDelete(make);
  });
}

function describePut(make: () => Promise<BlobStore>): void {
  describe("put", () => {
    it.each([0, 1, 65_537, 5 * MIB])("gives back the %i bytes it was given", async (sizeBytes) => {
      const store = await make();
      const bytes = randomBytes(sizeBytes);
      const info = await store.put("a", chunks(bytes), { maxBytes: sizeBytes });
      expect(info).toEqual({ sizeBytes });
      expect((await bytesOf(store, "a")).equals(bytes)).toBe(true);
    });

    it("takes a plain list of chunks, empty ones among them", async () => {
      const store = await make();
      const info = await store.put("a", [Buffer.alloc(0), OLD, Buffer.alloc(0), NEW], ROOMY);
      const whole = Buffer.concat([OLD, NEW]);
      expect(info).toEqual({ sizeBytes: whole.length });
      expect(await bytesOf(store, "a")).toEqual(whole);
    });

    it("takes many small chunks in their order", async () => {
      const store = await make();
      const bytes = randomBytes(700_000);
      await store.put("a", chunks(bytes, 977), ROOMY);
      expect((await bytesOf(store, "a")).equals(bytes)).toBe(true);
    });

    it.each([700, 100_000, MIB])(
      "is done with a chunk of %i bytes before it asks for the next",
      async (size) => {
        const store = await make();
        const bytes = randomBytes(9 * MIB);
        const memory = Buffer.alloc(size);
        const refilled = function* () {
          for (let at = 0; at < bytes.length; at += size) {
            const chunk = memory.subarray(0, bytes.copy(memory, 0, at));
            yield chunk;
            chunk.fill(0);
          }
        };
        await store.put("a", refilled(), { maxBytes: bytes.length });
        expect((await bytesOf(store, "a")).equals(bytes)).toBe(true);
      },
    );

    it("replaces a blob, by a shorter one too", async () => {
      const store = await make();
      await store.put("a", [NEW], ROOMY);
      await store.put("a", [OLD], ROOMY);
      expect(await bytesOf(store, "a")).toEqual(OLD);
      expect(await keysOf(store, "")).toEqual(["a"]);
    });

    it.each([
      { when: "before its first byte", sentBytes: 0 },
      { when: "early", sentBytes: 5 },
      { when: "after 6 MiB", sentBytes: 6 * MIB },
    ])(
      "keeps the old blob when a put is cut off $when, and hands on the error itself",
      async ({ sentBytes }) => {
        const store = await make();
        await store.put("a", [OLD], ROOMY);
        const error = new Error("client went away");
        await expect(store.put("a", cutOff(sentBytes, error), ROOMY)).rejects.toBe(error);
        expect(await bytesOf(store, "a")).toEqual(OLD);
      },
    );

    it("leaves nothing of a first put that is cut off", async () => {
      const store = await make();
      const error = new Error("client went away");
      await expect(store.put("a/b", cutOff(MIB, error), ROOMY)).rejects.toBe(error);
      expect(await store.find("a/b")).toBeNull();
      expect(await keysOf(store, "")).toEqual([]);
      expect(await store.sweepPartial(Date.now() + 60_000)).toBe(0);
    });

    it.each([9, 6 * MIB])("refuses one byte more than %i and keeps the old blob", async (maxBytes) => {
      const store = await make();
      await store.put("a", [OLD], ROOMY);
      const body = new Endless();
      await expect(store.put("a", body.upTo(maxBytes + 1), { maxBytes })).rejects.toThrow(BlobTooLargeError);
      expect(body.isReleased).toBe(true);
      expect(await bytesOf(store, "a")).toEqual(OLD);
      expect(await store.sweepPartial(Date.now() + 60_000)).toBe(0);
    });

    it("stops reading a body that has no end", async () => {
      const store = await make();
      const body = new Endless();
      await expect(store.put("a", body.upTo(Number.POSITIVE_INFINITY), { maxBytes: MIB })).rejects.toThrow(
        BlobTooLargeError,
      );
      expect(body.sentBytes).toBeLessThan(2 * MIB);
      expect(body.isReleased).toBe(true);
      expect(await store.find("a")).toBeNull();
    });
  });
}

function describeRaces(make: () => Promise<BlobStore>): void {
  describe("races", () => {
    it("lets one of many concurrent puts win, whole", async () => {
      const store = await make();
      const bodies = Array.from({ length: 12 }, (_, i) => Buffer.alloc(300_000 + i, i));
      await Promise.all(bodies.map((body) => store.put("a/b", chunks(body, 50_000), ROOMY)));
      const winner = sha256(await bytesOf(store, "a/b"));
      expect(bodies.map(sha256)).toContain(winner);
      expect((await keysOf(store, "")).length).toBe(1);
      expect(await store.sweepPartial(Date.now() + 60_000)).toBe(0);
    });

    it("shows a reader the old blob or the new one, never a mix and never none", async () => {
      const store = await make();
      const bodies = [Buffer.alloc(700_000, 1), Buffer.alloc(500_000, 2)] as const;
      const known = new Set(bodies.map(sha256));
      await store.put("a", [bodies[0]], ROOMY);
      let done = false;
      const writing = (async () => {
        for (let i = 1; i <= 30; i++)
          await store.put("a", chunks(bodies[i % 2 === 0 ? 0 : 1], 99_999), ROOMY);
        done = true;
      })();
      const seen: string[] = [];
      while (!done) seen.push(sha256(await bytesOf(store, "a")));
      await writing;
      expect(seen.length).toBeGreaterThan(0);
      expect(seen.filter((hash) => !known.has(hash))).toEqual([]);
    });

    it("finishes a read that began before the blob was replaced", async () => {
      const store = await make();
      const old = randomBytes(3 * MIB);
      await store.put("a", [old], ROOMY);
      const reading = await store.open("a");
      await store.put("a", [NEW], ROOMY);
      expect(sha256(await collect(reading))).toBe(sha256(old));
      expect(await bytesOf(store, "a")).toEqual(NEW);
    });

    it("keeps puts and deletes of neighbours apart", async () => {
      const store = await make();
      const rounds = Array.from({ length: 40 }, (_, i) => i);
      // Each worker's blob is all there is below x/y now and then, so a delete may take the folder with it.
      const work = async (name: string) => {
        for (const i of rounds) {
          const key = `x/y/${name}`;
          await store.put(key, [Buffer.from(`${name}${i}`)], ROOMY);
          expect((await bytesOf(store, key)).toString()).toBe(`${name}${i}`);
          await store.delete(key);
          expect(await store.find(key)).toBeNull();
        }
        await store.put(`x/y/${name}`, [Buffer.from(name)], ROOMY);
      };
      await Promise.all(["a", "b", "c", "d"].map(work));
      expect(await keysOf(store, "x/")).toEqual(["x/y/a", "x/y/b", "x/y/c", "x/y/d"]);
    });
  });
}

function describeOpen(make: () => Promise<BlobStore>): void {
  describe("open and find", () => {
    const bytes = randomBytes(600_000);

    it.each([
      { startByte: 0, endByte: 600_000, what: "all" },
      { startByte: 0, endByte: 1, what: "the first byte" },
      { startByte: 599_999, endByte: 600_000, what: "the last byte" },
      { startByte: 262_143, endByte: 524_289, what: "the middle" },
      { startByte: 10, endByte: 10, what: "nothing, for an empty range" },
      { startByte: 0, endByte: 0, what: "nothing, for an empty range at the start" },
      { startByte: 599_990, endByte: 700_000, what: "what there is, for a range past the end" },
      { startByte: 600_000, endByte: 600_001, what: "nothing, for a range behind the end" },
      { startByte: 900_000, endByte: 900_001, what: "nothing, for a range far behind the end" },
    ])("gives $what: [$startByte, $endByte)", async ({ startByte, endByte }) => {
      const store = await make();
      await store.put("a", [bytes], ROOMY);
      const got = await collect(await store.open("a", { startByte, endByte }));
      expect(got.equals(bytes.subarray(startByte, endByte))).toBe(true);
    });

    it("gives nothing for a range of an empty blob", async () => {
      const store = await make();
      await store.put("a", [], ROOMY);
      expect(await collect(await store.open("a", { startByte: 0, endByte: 10 }))).toEqual(Buffer.alloc(0));
    });

    it.each([
      { startByte: -1, endByte: 1 },
      { startByte: 2, endByte: 1 },
      { startByte: 0.5, endByte: 1 },
      { startByte: 0, endByte: Number.NaN },
    ])("refuses [$startByte, $endByte)", async (range) => {
      const store = await make();
      await store.put("a", [OLD], ROOMY);
      await expect(store.open("a", range)).rejects.toThrow(RangeError);
    });

    it("says that there is no such blob before the first byte, for an empty range too", async () => {
      const store = await make();
      await store.put("a/b", [OLD], ROOMY);
      for (const key of ["b", "a", "a/b/c", "a/bb"]) {
        await expect(store.open(key)).rejects.toThrow(BlobNotFoundError);
        await expect(store.open(key, { startByte: 0, endByte: 0 })).rejects.toThrow(BlobNotFoundError);
        expect(await store.find(key)).toBeNull();
      }
    });

    it("lets a reader leave early", async () => {
      const store = await make();
      await store.put("a", [randomBytes(5 * MIB)], ROOMY);
      for (let i = 0; i < 20; i++) {
        for await (const chunk of await store.open("a")) {
          expect(chunk.length).toBeGreaterThan(0);
          break;
        }
      }
    });

    it("finds size and time", async () => {
      const store = await make();
      const before = Date.now();
      await store.put("a/b.c", [NEW], ROOMY);
      const found = await store.find("a/b.c");
      expect(found).toMatchObject({ key: "a/b.c", sizeBytes: NEW.length });
      // Some stores keep whole seconds.
      expect(found?.modifiedMs).toBeGreaterThan(before - 2000);
      expect(found?.modifiedMs).toBeLessThan(Date.now() + 2000);
    });
  });
}

function describeKeys(make: () => Promise<BlobStore>): void {
  const longest = [..."abc"].map((letter) => letter.repeat(170)).join("/");

  describe("keys", () => {
    it.each([
      "a",
      "A.b_c-9",
      ".a",
      "..a",
      "a..",
      "...",
      "a/.b/c",
      "tmp/a",
      "blobs",
      longest,
      "s".repeat(200),
    ])("takes %s", async (key) => {
      const store = await make();
      await store.put(key, [OLD], ROOMY);
      expect(await bytesOf(store, key)).toEqual(OLD);
      expect(await keysOf(store, "")).toEqual([key]);
      await store.delete(key);
      expect(await store.find(key)).toBeNull();
    });

    it("keeps a key apart from keys below it and beside it", async () => {
      const store = await make();
      const keys = ["a", "a.b", "a/b", "a/b/c", "ab"];
      await Promise.all(keys.map((key) => store.put(key, [Buffer.from(key)], ROOMY)));
      for (const key of keys) expect((await bytesOf(store, key)).toString()).toBe(key);
      expect(await keysOf(store, "")).toEqual(keys);
      await store.delete("a/b");
      expect(await keysOf(store, "")).toEqual(keys.filter((key) => key !== "a/b"));
    });

    it.each([
      ["", "empty"],
      ["/a", "a leading slash"],
      ["a/", "a trailing slash"],
      ["a//b", "an empty segment"],
      [".", "a dot"],
      ["..", "two dots"],
      ["a/../b", "two dots inside"],
      ["../a", "two dots in front"],
      ["a/.", "a dot behind"],
      ["a\0b", "NUL"],
      ["a b", "a space"],
      ["a\n", "a line break"],
      ["a\\b", "a backslash"],
      ["a+", "a plus"],
      ["ä", "a letter beyond ASCII"],
      ["a%2e", "a percent sign"],
      [`${longest}/${"d".repeat(10)}`, "more than 512 characters"],
      ["s".repeat(201), "a segment of more than 200"],
    ])("refuses %j: %s", async (key) => {
      const store = await make();
      await expect(store.put(key, [OLD], ROOMY)).rejects.toThrow(InvalidBlobKeyError);
      await expect(store.open(key)).rejects.toThrow(InvalidBlobKeyError);
      await expect(store.find(key)).rejects.toThrow(InvalidBlobKeyError);
      await expect(store.delete(key)).rejects.toThrow(InvalidBlobKeyError);
    });
  });
}

function describeList(make: () => Promise<BlobStore>): void {
  describe("list", () => {
    it("is empty at first", async () => {
      expect(await keysOf(await make(), "")).toEqual([]);
    });

    it.each([
      ["", ["a/b", "a/bc/d", "a/bc/e", "ab", "b"]],
      ["a", ["a/b", "a/bc/d", "a/bc/e", "ab"]],
      ["a/", ["a/b", "a/bc/d", "a/bc/e"]],
      ["a/b", ["a/b", "a/bc/d", "a/bc/e"]],
      ["a/bc", ["a/bc/d", "a/bc/e"]],
      ["a/bc/", ["a/bc/d", "a/bc/e"]],
      ["a/bc/e", ["a/bc/e"]],
      ["c", []],
      ["c/d/", []],
      ["a/b/c", []],
      ["a/.", []],
    ])("finds what starts with %j", async (prefix, expected) => {
      const store = await make();
      for (const key of ["a/b", "a/bc/d", "a/bc/e", "ab", "b"]) await store.put(key, [OLD], ROOMY);
      expect(await keysOf(store, prefix)).toEqual(expected);
    });

    it("tells size and time as find does", async () => {
      const store = await make();
      await store.put("a/b", [NEW], ROOMY);
      expect(await entriesOf(store, "a/")).toEqual([await store.find("a/b")]);
    });

    // More than one page of any store: S3 gives 1,000 at a time.
    it("finds 1,234 blobs, each once", async () => {
      const store = await make();
      const keys = Array.from({ length: 1234 }, (_, i) => `many/${i % 7}/${i}`);
      for (let at = 0; at < keys.length; at += 50) {
        await Promise.all(keys.slice(at, at + 50).map((key) => store.put(key, [Buffer.from(key)], ROOMY)));
      }
      expect(await keysOf(store, "many/")).toEqual(keys.sort());
      expect((await keysOf(store, "many/3/")).length).toBe(
        keys.filter((key) => key.startsWith("many/3/")).length,
      );
    });

    it("lets a reader delete as it goes, and leave early", async () => {
      const store = await make();
      for (let i = 0; i < 20; i++) await store.put(`a/${i % 4}/${i}`, [OLD], ROOMY);
      for await (const _ of store.list("a/")) break;
      for await (const { key } of store.list("a/")) await store.delete(key);
      expect(await keysOf(store, "")).toEqual([]);
    });

    it.each(["/", "a//", "../", "a/../", "ä", "a\0", "x".repeat(513)])(
      "refuses the prefix %j",
      async (prefix) => {
        const store = await make();
        await expect(keysOf(store, prefix)).rejects.toThrow(InvalidBlobKeyError);
      },
    );
  });
}

function describeDelete(make: () => Promise<BlobStore>): void {
  describe("delete and sweepPartial", () => {
    it("deletes a blob, and a second time, and one that never was", async () => {
      const store = await make();
      await store.put("a/b/c", [OLD], ROOMY);
      await store.put("a/d", [OLD], ROOMY);
      await store.delete("a/b/c");
      await store.delete("a/b/c");
      await store.delete("never/was");
      await expect(store.open("a/b/c")).rejects.toThrow(BlobNotFoundError);
      expect(await keysOf(store, "")).toEqual(["a/d"]);
    });

    it("stores a blob again where one was deleted", async () => {
      const store = await make();
      for (const body of [OLD, NEW]) {
        await store.put("a/b/c", [body], ROOMY);
        expect(await bytesOf(store, "a/b/c")).toEqual(body);
        await store.delete("a/b/c");
      }
    });

    it("sweeps no whole blob, and nothing when no put was interrupted", async () => {
      const store = await make();
      await store.put("a", [OLD], ROOMY);
      expect(await store.sweepPartial(Date.now() + 60_000)).toBe(0);
      expect(await bytesOf(store, "a")).toEqual(OLD);
    });

    it("sweeps nothing that a put is still writing", async () => {
      const store = await make();
      const gate = Promise.withResolvers<void>();
      const started = Promise.withResolvers<void>();
      const first = randomBytes(6 * MIB);
      async function* slow(): AsyncGenerator<Uint8Array> {
        yield first;
        started.resolve();
        await gate.promise;
        yield NEW;
      }
      const putting = store.put("a", slow(), ROOMY);
      await started.promise;
      await store.sweepPartial(Date.now() - 60_000);
      gate.resolve();
      await putting;
      expect((await bytesOf(store, "a")).equals(Buffer.concat([first, NEW]))).toBe(true);
    });

    it("describes itself", async () => {
      const store = await make();
      expect(await store.describe()).toMatchObject({ kind: expect.any(String) });
      await store.close();
    });
  });
}

/** A body that notices when its reader is done with it. */
class Endless {
  sentBytes = 0;
  isReleased = false;

  async *upTo(endBytes: number): AsyncGenerator<Uint8Array> {
    try {
      while (this.sentBytes < endBytes) {
        const chunk = Buffer.alloc(Math.min(50_000, endBytes - this.sentBytes), 3);
        this.sentBytes += chunk.length;
        yield chunk;
      }
    } finally {
      this.isReleased = true;
    }
  }
}

async function* chunks(bytes: Uint8Array, chunkBytes = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

async function* cutOff(sentBytes: number, error: Error): AsyncGenerator<Uint8Array> {
  yield* chunks(Buffer.alloc(sentBytes, 4));
  throw error;
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of body) parts.push(chunk);
  return Buffer.concat(parts);
}

async function bytesOf(store: BlobStore, key: string): Promise<Buffer> {
  return collect(await store.open(key));
}

async function entriesOf(store: BlobStore, prefix: string): Promise<BlobEntry[]> {
  const entries: BlobEntry[] = [];
  for await (const entry of store.list(prefix)) entries.push(entry);
  return entries;
}

/** Sorted. */
async function keysOf(store: BlobStore, prefix: string): Promise<string[]> {
  return (await entriesOf(store, prefix)).map((entry) => entry.key).sort();
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import { type BlobStore, BlobStoreUnavailableError } from "../../storage-adapters/contract.ts";
import { openLocalDisk } from "../../storage-adapters/local-disk.ts";
import { openBlobStore } from "../../storage-adapters/open.ts";
import { describeBlobStore } from "../conformance/blob-store.ts";
import { makeTempDir } from "./temp-dir.ts";

describeBlobStore("local-disk", async () => openLocalDisk({ root: await makeTempDir() }));

const ROOMY = { maxBytes: 10_000_000 };

describe("local-disk", () => {
  it("keeps its files and folders to its user", async () => {
    const root = join(await makeTempDir(), "new", "root");
    const store = await openBlobStore({ kind: "local-disk", root });
    await store.put("a/b/c", [Buffer.from("x")], ROOMY);
    const modes = new Map<string, string>();
    for (const path of [
      root,
      ...(await readdir(root, { recursive: true })).map((name) => join(root, name)),
    ]) {
      modes.set(path.slice(root.length), ((await stat(path)).mode & 0o777).toString(8));
    }
    expect(Object.fromEntries(modes)).toEqual({
      "": "700",
      "/blobs": "700",
      "/blobs/a": "700",
      "/blobs/a/b": "700",
      "/blobs/a/b/c+": "600",
      "/tmp": "700",
    });
  });

  it("finds its blobs again after a restart", async () => {
    const root = await makeTempDir();
    await (await openLocalDisk({ root })).put("a/b", [Buffer.from("kept")], ROOMY);
    const again = await openLocalDisk({ root });
    expect(await again.find("a/b")).toMatchObject({ sizeBytes: 4 });
  });

  it("removes folders that a delete has emptied, but neither its own nor a neighbour's", async () => {
    const root = await makeTempDir();
    const store = await openLocalDisk({ root });
    await store.put("a/b/c/d", [Buffer.from("x")], ROOMY);
    await store.put("a/e", [Buffer.from("x")], ROOMY);
    await store.delete("a/b/c/d");
    expect(await readdir(join(root, "blobs", "a"))).toEqual(["e+"]);
    await store.delete("a/e");
    expect(await readdir(root)).toEqual(["blobs", "tmp"]);
    expect(await readdir(join(root, "blobs"))).toEqual([]);
  });

  it("puts into a folder that somebody removed behind its back", async () => {
    const root = await makeTempDir();
    const store = await openLocalDisk({ root });
    await store.put("a/b/c", [Buffer.from("x")], ROOMY);
    await rm(join(root, "blobs", "a"), { recursive: true });
    await store.put("a/b/d", [Buffer.from("x")], ROOMY);
    expect(await store.find("a/b/d")).toMatchObject({ sizeBytes: 1 });
  });

  it("sweeps what dead puts left, by age", async () => {
    const root = await makeTempDir();
    const store = await openLocalDisk({ root });
    for (const [name, second] of [
      ["old", 1000],
      ["young", 3000],
    ] as const) {
      await writeFile(join(root, "tmp", name), "part");
      await utimes(join(root, "tmp", name), second, second);
    }
    expect(await store.sweepPartial(2_000_000, { dryRun: true })).toBe(1);
    expect((await readdir(join(root, "tmp"))).sort()).toEqual(["old", "young"]);
    expect(await store.sweepPartial(2_000_000)).toBe(1);
    expect(await readdir(join(root, "tmp"))).toEqual(["young"]);
  });

  it("leaves a running put's file alone however old the sweep takes it for", async () => {
    const root = await makeTempDir();
    const store = await openLocalDisk({ root });
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(3_000_000, 1);
      expect((await readdir(join(root, "tmp"))).length).toBe(1); // so the sweep has something to spare
      expect(await store.sweepPartial(Date.now() + 60_000)).toBe(0);
      yield Buffer.alloc(600_000, 2);
    }
    expect(await store.put("a", slow(), ROOMY)).toMatchObject({ sizeBytes: 3_600_000 });
  });

  it("says with the cause that the disk failed, and leaves nothing", async () => {
    const root = await makeTempDir();
    const store = await openLocalDisk({ root });
    await writeFile(join(root, "blobs", "a"), "a file where a folder should be");
    const error = await store.put("a/b", [Buffer.from("x")], ROOMY).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(BlobStoreUnavailableError);
    expect(error).toMatchObject({ cause: { code: "ENOTDIR" } });
    expect(await readdir(join(root, "tmp"))).toEqual([]);
  });

  it("leaves nothing, and keeps the old blob, when the disk fails amid a write", async () => {
    const root = await makeTempDir();
    const store = await openLocalDisk({ root });
    await store.put("a", [Buffer.from("old")], ROOMY);
    // A limit on file sizes is the failure that needs no disk of our own: write() answers EFBIG past 100 KiB.
    const script = join(import.meta.dirname, "put-once.ts");
    const child = spawn("bash", ["-c", 'ulimit -f 100; exec "$0" "$@"', process.execPath, script, root]);
    const [output] = await Promise.all([text(child.stdout), once(child, "close")]);
    expect(JSON.parse(output)).toEqual({ name: "BlobStoreUnavailableError", cause: "EFBIG" });
    expect(await readdir(join(root, "tmp"))).toEqual([]);
    expect(await store.find("a")).toMatchObject({ sizeBytes: 3 });
  });

  it("says so when its folder can't be made", async () => {
    const root = await makeTempDir();
    await writeFile(join(root, "file"), "");
    await expect(openLocalDisk({ root: join(root, "file", "below") })).rejects.toThrow(
      BlobStoreUnavailableError,
    );
  });

  it.skipIf(process.getuid?.() === 0)("says so when it may not write", async () => {
    const root = await makeTempDir();
    const store = await openLocalDisk({ root });
    await chmod(join(root, "tmp"), 0o500);
    onTestFinished(() => chmod(join(root, "tmp"), 0o700));
    await expect(store.put("a", [Buffer.from("x")], ROOMY)).rejects.toThrow(BlobStoreUnavailableError);
  });
});

describe("local-disk: kill -9", { timeout: 60_000 }, () => {
  it("leaves only whole blobs, and every put that was answered", async () => {
    const root = await makeTempDir();
    let leftovers = 0;
    for (let round = 0; round < 4; round++) {
      const answered = await putUntilKilled(root, 150 + 130 * round);
      expect(answered.size).toBeGreaterThan(0);
      const store = await openLocalDisk({ root });
      const found = await wholeBlobs(store);
      for (const key of answered) expect(found).toContain(key);
      leftovers += await store.sweepPartial(Date.now() + 1000);
      expect(await readdir(join(root, "tmp"))).toEqual([]);
    }
    expect(leftovers).toBeGreaterThan(0); // or the child was never killed amid a put, and this test shows nothing
  });
});

/** Keys that the child said it had put, before it was killed after `afterMs` of putting. */
async function putUntilKilled(root: string, afterMs: number): Promise<Set<string>> {
  const script = join(import.meta.dirname, "put-forever.ts");
  const child = spawn(process.execPath, [script, root], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const ended = once(child, "close");
  await once(child.stdout, "data");
  await new Promise((done) => setTimeout(done, afterMs));
  child.kill("SIGKILL");
  await ended;
  const lines = output.split("\n").slice(0, -1); // the last one is cut off, or empty
  return new Set(lines.map((line) => line.replace(/^(\d+) (\d+)$/, (_, w, n) => `w${w}/${Number(n) % 5}`)));
}

/** All keys; fails when a blob is not one put's bytes, in full. */
async function wholeBlobs(store: BlobStore): Promise<string[]> {
  const sizes = [5_000, 900_000, 2_000_000];
  const keys: string[] = [];
  for await (const { key } of store.list("")) {
    const parts: Uint8Array[] = [];
    for await (const chunk of await store.open(key)) parts.push(chunk);
    const bytes = Buffer.concat(parts);
    expect(bytes.length).toBe(sizes[Number(key.slice(1, 2))]);
    expect(bytes.equals(Buffer.alloc(bytes.length, bytes[0]))).toBe(true);
    keys.push(key);
  }
  return keys;
}

import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { send } from "../support/client.ts";
import {
  API,
  base64Of,
  blobKeys,
  COMMIT,
  cutOff,
  fileStores,
  get,
  list,
  postForm,
  put,
  random,
  sha256,
  startOver,
  stored,
} from "./support.ts";

const SEGMENT = 256 * 1024;

describe.each(fileStores())("artifact uploads on $label", (store) => {
  it.each([0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3_000_000])("keeps %i bytes", async (size) => {
    const server = await startOver(store);
    const bytes = random(size);
    const artifact = await stored(server, "dir/a.bin", bytes);
    expect(artifact).toMatchObject({
      name: "dir/a.bin",
      size,
      sha256: sha256(bytes),
      commit: COMMIT,
      version: 1,
    });
    const got = await get(server, artifact.id);
    expect([got.status, got.bytes.equals(bytes)]).toEqual([200, true]);
    const [key = ""] = await blobKeys(server);
    const raw: Uint8Array[] = [];
    for await (const chunk of await server.ctx.blobs.open(key)) raw.push(chunk);
    if (size > 16) expect(Buffer.concat(raw).includes(bytes.subarray(0, 16))).toBe(false);
  });

  it("takes several files of a form, all or none", async () => {
    const server = await startOver(store);
    const files = [0, 1, 700_000].map((size, i) => ({ name: `f${i}/ünï ${i}.log`, bytes: random(size) }));
    const answer = await postForm(server, files);
    expect(answer.status).toBe(201);
    for (const [i, file] of files.entries()) {
      const item = answer.body.items[i];
      expect(item).toMatchObject({ name: file.name, sha256: sha256(file.bytes) });
      expect((await get(server, item.id)).bytes.equals(file.bytes)).toBe(true);
    }
    const before = await blobKeys(server);
    const bad = await postForm(server, [
      { name: "good", bytes: random(400_000), sha256: "0".repeat(64).replace(/^0/, "1") },
      { name: "other", bytes: random(10) },
    ]);
    expect(bad).toMatchObject({ status: 400 });
    const traversal = await postForm(server, [
      { name: "fine", bytes: random(400_000) },
      { name: "../../etc/passwd", bytes: random(10) },
    ]);
    expect(traversal).toMatchObject({ status: 400 });
    expect(await blobKeys(server)).toEqual(before);
    expect(await list(server)).toHaveLength(3);
  });

  it("checks every kind of checksum, and leaves nothing when one is wrong", async () => {
    const server = await startOver(store);
    const bytes = random(300_000);
    const other = random(8);
    const ways: [string, (of: Uint8Array) => string][] = [
      ["content-md5", (of) => base64Of("md5", of)],
      ["digest", (of) => `md5=x, SHA-256=${base64Of("sha256", of)}`],
      ["content-digest", (of) => `sha-256=:${base64Of("sha256", of)}:`],
      ["x-amz-checksum-sha256", (of) => base64Of("sha256", of)],
    ];
    for (const [header, of] of ways) {
      expect(await put(server, "a", bytes, { headers: { [header]: of(other) } }), header).toMatchObject({
        status: 400,
        body: { message: "The bytes don't have the checksum that was given" },
      });
      expect(await put(server, "a", bytes, { headers: { [header]: "garbage" } })).toMatchObject(
        header === "digest" || header === "content-digest" ? { status: 201 } : { status: 400 },
      );
      expect(await put(server, "b", bytes, { headers: { [header]: of(bytes) } })).toMatchObject({
        status: 201,
      });
    }
    expect(await blobKeys(server)).toHaveLength((await list(server)).length);
  });

  it("leaves nothing of uploads that are cut off anywhere", async () => {
    const server = await startOver(store);
    const body = random(900_000);
    const boundary = "xxBOUNDARYxx";
    const form = Buffer.concat([
      Buffer.from(`--${boundary}\r\ncontent-disposition: form-data; name="f"; filename="a"\r\n\r\n`),
      body.subarray(0, 400_000),
      Buffer.from(`\r\n--${boundary}\r\ncontent-disposition: form-data; name="f"; filename="b"\r\n\r\n`),
      body.subarray(400_000),
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]);
    const cuts = Array.from({ length: 12 }, () => Math.floor(Math.random() * 900_000));
    const type = { "content-type": `multipart/form-data; boundary=${boundary}` };
    await Promise.all([
      ...cuts.map((sentBytes) => cutOff(server, { path: `${API}?commit=${COMMIT}&name=a`, body, sentBytes })),
      ...cuts.map((sentBytes) =>
        cutOff(server, { path: `${API}?commit=${COMMIT}`, body: form, sentBytes, headers: type }),
      ),
    ]);
    await sleep(500); // what had arrived whole by then is stored before it is removed
    await expect.poll(async () => blobKeys(server), { timeout: 10_000, interval: 100 }).toEqual([]);
    expect([await blobKeys(server), await list(server)]).toEqual([[], []]);
    expect((await send(server, "GET", `${API}/usage`)).body).toMatchObject({ files: 0, bytes: 0 });
  });

  it("refuses what is too large or over the quota, at once and at races", async () => {
    const env = { STATEHOUSE_ARTIFACT_QUOTA_BYTES: "1000000", STATEHOUSE_ARTIFACT_BYTES_MAX: "600000" };
    const server = await startOver(store, env);
    expect(await put(server, "a", random(600_001))).toMatchObject({ status: 413 });
    expect(await postForm(server, [{ name: "a", bytes: random(600_001) }])).toMatchObject({ status: 413 });
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => put(server, `f${i}`, random(300_000))),
    );
    const statuses = answers.map((it) => it.status).sort();
    expect(statuses).toEqual([201, 201, 201, 413, 413, 413, 413, 413, 413, 413]);
    expect(await blobKeys(server)).toHaveLength(3);
    expect((await send(server, "GET", `${API}/usage`)).body).toEqual({
      files: 3,
      bytes: 900_000,
      quotaBytes: 1_000_000,
      limits: { retentionDays: null, files: null, bytes: null, quotaBytes: 1_000_000 },
    });
    const metrics = (await send(server, "GET", "/metrics")).text;
    expect(metrics).toContain("statehouse_artifact_bytes 900000");
    expect(metrics).toContain("statehouse_artifact_quota_bytes 1000000");
  });

  it("keeps 20 uploads of one name at once as versions, none mixed", async () => {
    const server = await startOver(store);
    const bodies = Array.from({ length: 20 }, () => random(400_000));
    const made = await Promise.all(bodies.map((bytes) => stored(server, "same", bytes)));
    expect(made.map((it) => it.version).sort((a, b) => a - b)).toEqual(bodies.map((_, i) => i + 1));
    for (const [i, { id }] of made.entries()) {
      expect((await get(server, id)).bytes.equals(bodies[i] as Buffer)).toBe(true);
    }
  });
});

/**
 * Artifacts through the real server in a process of its own, over both file stores: killed in the middle of
 * uploads, and with 300 MB in flat memory.
 */
import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ListMultipartUploadsCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { send } from "../support/client.ts";
import { type ServerProcess, spawnServer } from "../support/process.ts";
import { newPrefix, startS3, type TestS3 } from "../support/s3.ts";
import { ADMIN_TOKEN, makeTempDir, ORG, startTestServer } from "../support/server.ts";

const API = `/api/artifacts/${ORG}`;
const DAY_MS = 86_400_000;
const KILLS = 4;
const LARGE_BYTES = 300_000_000;
const PEAK_BYTES_MAX = 150_000_000;
const BLOCK = randomBytes(1_000_000);

/** `sizeBytes` that repeat with a number in each block, so that no block may be taken for another. */
function* body(sizeBytes: number): Generator<Buffer> {
  for (let at = 0; at < sizeBytes; at += BLOCK.length) {
    const block = Buffer.from(BLOCK.subarray(0, Math.min(BLOCK.length, sizeBytes - at)));
    if (block.length >= 8) block.writeDoubleBE(at, 0);
    yield block;
  }
}

function sha256Of(sizeBytes: number): string {
  const hash = createHash("sha256");
  for (const block of body(sizeBytes)) hash.update(block);
  return hash.digest("hex");
}

/** The most memory that a process ever had. */
async function peakBytesOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** Null when the connection ended first. */
function upload(server: ServerProcess, name: string, sizeBytes: number): Promise<string | null> {
  return new Promise((resolve) => {
    const { hostname, port } = new URL(server.url);
    const headers = { authorization: `token ${ADMIN_TOKEN}`, "content-length": sizeBytes };
    const path = `${API}?commit=0123abc&name=${name}`;
    const outgoing = request({ hostname, port, method: "PUT", path, headers, agent: false }, (answer) => {
      let text = "";
      answer.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      answer.once("end", () => resolve(text));
      answer.once("error", () => resolve(null));
    });
    outgoing.once("error", () => resolve(null));
    const blocks = body(sizeBytes);
    const more = (): void => {
      for (let next = blocks.next(); ; next = blocks.next()) {
        if (next.done === true) return void outgoing.end();
        if (!outgoing.write(next.value)) return void outgoing.once("drain", more);
      }
    };
    more();
  });
}

async function download(server: ServerProcess, id: string): Promise<string> {
  const headers = { authorization: `token ${ADMIN_TOKEN}` };
  const response = await fetch(`${server.url}${API}/items/${id}/content`, { headers });
  const hash = createHash("sha256");
  for await (const chunk of response.body ?? []) hash.update(chunk);
  return hash.digest("hex");
}

const store = { s3: null as TestS3 | null };
beforeAll(async () => {
  store.s3 = await startS3();
});
afterAll(() => store.s3?.stop());

function s3Env(): Record<string, string> {
  const { s3 } = store;
  if (s3 === null) throw new Error("only inside a test");
  return {
    ...s3.env,
    ...{ STATEHOUSE_FILES: "s3", STATEHOUSE_S3_FORCE_PATH_STYLE: "true", STATEHOUSE_S3_PREFIX: newPrefix() },
  };
}

/** What interrupted uploads have left outside of blobs: temp files, uploads in parts. */
async function leftovers(dataDir: string, env: Readonly<Record<string, string>>): Promise<string[]> {
  const prefix = env.STATEHOUSE_S3_PREFIX;
  if (prefix === undefined) return readdir(join(dataDir, "blobs", "tmp"));
  const { s3 } = store;
  if (s3 === null || s3.isS3rver) return []; // it keeps no list of them
  const client = new S3Client({ ...s3.options, forcePathStyle: true });
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: s3.options.bucket }));
  client.destroy();
  return Uploads.map(({ Key = "" }) => Key).filter((key) => key.startsWith(prefix));
}

describe.each([
  { label: "local disk", env: (): Record<string, string> => ({}) },
  { label: "S3", env: s3Env },
])("artifacts on $label, in a process of its own", ({ env: makeEnv }) => {
  it("leave nothing that the sweep doesn't find when the server is killed amid uploads", async () => {
    const [dataDir, env] = [await makeTempDir(), makeEnv()];
    const acknowledged: string[] = [];
    for (let round = 0; round < KILLS; round++) {
      const server = await spawnServer({ dataDir, env }).ready();
      const sizes = [1, 300_000, 3_000_000, 20_000_000, 40_000_000, 60_000_000];
      const uploads = sizes.map((size, i) => upload(server, `r${round}-${i}`, size));
      await sleep(40 + Math.random() * 600);
      await server.kill();
      for (const text of await Promise.all(uploads))
        if (text !== null) acknowledged.push(JSON.parse(text).id);
    }
    // A week later: what was cut off is old enough for every sweep.
    for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]) {
      if (env[name] !== undefined) vi.stubEnv(name, env[name]);
    }
    onTestFinished(() => void vi.unstubAllEnvs());
    const later = await startTestServer({ dataDir, env, nowMs: () => Date.now() + 7 * DAY_MS });
    expect(await send(later, "POST", "/api/admin/v1/gc-runs", {})).toMatchObject({ status: 201 });
    const items: { id: string; size: number; sha256: string }[] = (
      await send(later, "GET", `${API}?limit=200`)
    ).body.items;
    const blobs: string[] = [];
    for await (const { key } of later.ctx.blobs.list("artifacts/")) blobs.push(key);
    expect(blobs).toHaveLength(items.length);
    expect(await leftovers(dataDir, env)).toEqual([]);
    expect(items.map((it) => it.id)).toEqual(expect.arrayContaining(acknowledged));
    for (const item of items) expect(item.sha256).toBe(sha256Of(item.size));
  }, 90_000);

  it.each([0, 1, LARGE_BYTES])(
    "take and give %i bytes in flat memory",
    async (sizeBytes) => {
      const dataDir = await makeTempDir();
      const server = await spawnServer({ dataDir, env: makeEnv(), entry: "bundle" }).ready();
      const text = (await upload(server, "large", sizeBytes)) ?? "{}";
      const item: { id: string; size: number; sha256: string } = JSON.parse(text);
      const sha256 = sha256Of(sizeBytes);
      expect(item).toMatchObject({ size: sizeBytes, sha256 });
      expect(await download(server, item.id)).toBe(sha256);
      expect(await peakBytesOf(server.pid)).toBeLessThan(PEAK_BYTES_MAX);
    },
    60_000,
  );
});

/**
 * A file of 300 MB sent to the server as an artifact and fetched again: throughput beside a plain copy of the
 * same file (with its fsync), and the most memory that the server took.
 *
 *     node bench/artifacts.ts [--mb 300] [--shape postgres] [--form]
 *
 * `--shape postgres` is Postgres with S3; `--form` sends the file as multipart/form-data, as a browser does.
 */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rm, stat } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { ADMIN_TOKEN, type Child, makeTempDir } from "./support/child.ts";
import { aim, mebibytes, ms } from "./support/format.ts";
import { describeMachine, machineOf } from "./support/machine.ts";
import { peakRssBytesOf, resetPeakRss } from "./support/process-stats.ts";
import { shapeNames, startShape } from "./support/shapes.ts";

const BYTES_PER_MB = 1e6;
const CHUNK_BYTES = 1024 * 1024;
const AIM_PEAK_MB = 150;
const AIM_SHARE = 0.5;
const ROUNDS = 3;

const { values: options } = parseArgs({
  options: {
    mb: { type: "string", default: "300" },
    shape: { type: "string", default: "sqlite" },
    form: { type: "boolean", default: false },
  },
});
const sizeBytes = Number(options.mb) * BYTES_PER_MB;

async function writeFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(path, "w");
  for (let written = 0; written < sizeBytes; written += CHUNK_BYTES) {
    const chunk = randomBytes(Math.min(CHUNK_BYTES, sizeBytes - written));
    hash.update(chunk);
    await file.write(chunk);
  }
  await file.sync();
  await file.close();
  return hash.digest("hex");
}

/** As the server has to: every byte read and written, and on the disk at the end. */
async function copy(from: string, to: string): Promise<void> {
  const file = await open(to, "w");
  for await (const chunk of createReadStream(from, { highWaterMark: 256 * 1024 })) await file.write(chunk);
  await file.datasync();
  await file.close();
}

const BOUNDARY = "----bench";
const FORM_HEAD = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="big"\r\ncontent-type: application/octet-stream\r\n\r\n`;
const FORM_TAIL = `\r\n--${BOUNDARY}--\r\n`;

async function* formOf(path: string): AsyncGenerator<string | Buffer> {
  yield FORM_HEAD;
  yield* createReadStream(path, { highWaterMark: 256 * 1024 });
  yield FORM_TAIL;
}

function send(server: Child, method: string, path: string, body: string | null): Promise<string> {
  return new Promise((resolve, reject) => {
    const isForm = method === "POST";
    const sentBytes = sizeBytes + (isForm ? FORM_HEAD.length + FORM_TAIL.length : 0);
    const headers = {
      authorization: `token ${ADMIN_TOKEN}`,
      "content-length": body === null ? 0 : sentBytes,
      ...(isForm ? { "content-type": `multipart/form-data; boundary=${BOUNDARY}` } : {}),
    };
    const outgoing = request({ port: server.port, host: "127.0.0.1", method, path, headers }, (answer) => {
      const hash = createHash("sha256");
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => {
        if (path.endsWith("/content")) hash.update(chunk);
        else chunks.push(chunk);
      });
      answer.once("error", reject);
      answer.once("end", () =>
        resolve(path.endsWith("/content") ? hash.digest("hex") : Buffer.concat(chunks).toString()),
      );
    });
    outgoing.once("error", reject);
    if (body === null) outgoing.end();
    else {
      const bytes = isForm ? formOf(body) : createReadStream(body, { highWaterMark: 256 * 1024 });
      pipeline(bytes, outgoing).catch(reject);
    }
  });
}

interface Stored {
  readonly id: string;
  readonly sha256: string;
}

async function timed<T>(run: () => Promise<T>): Promise<{ result: T; durationMs: number }> {
  const startedMs = performance.now();
  const result = await run();
  return { result, durationMs: performance.now() - startedMs };
}

const rate = (durationMs: number): string =>
  `${Math.round(sizeBytes / BYTES_PER_MB / (durationMs / 1000))} MB/s`;

const dir = makeTempDir();
const source = join(dir, "source");
const sha256 = await writeFile(source);
const [shapeName = "sqlite"] = shapeNames(options.shape);
const shape = await startShape({ name: shapeName, dir });
const { server } = shape;
let [copyMs, putMs, getMs] = [Infinity, Infinity, Infinity];
try {
  console.log(describeMachine(machineOf(dir)));
  resetPeakRss(server.pid);
  for (let round = 0; round < ROUNDS; round++) {
    copyMs = Math.min(copyMs, (await timed(() => copy(source, join(dir, "copy")))).durationMs);
    const [method, query] = options.form ? ["POST", "commit=0123abc"] : ["PUT", "commit=0123abc&name=big"];
    const put = await timed(() => send(server, method, `/api/artifacts/main?${query}`, source));
    const answer = JSON.parse(put.result) as Stored & { items?: Stored[] };
    const item = answer.items?.[0] ?? answer;
    if (item.sha256 !== sha256) throw new Error(`other bytes: ${put.result}`);
    const got = await timed(() => send(server, "GET", `/api/artifacts/main/items/${item.id}/content`, null));
    if (got.result !== sha256) throw new Error("other bytes came back");
    [putMs, getMs] = [Math.min(putMs, put.durationMs), Math.min(getMs, got.durationMs)];
  }
  const peak = peakRssBytesOf(server.pid);
  console.log(`plain copy of ${(await stat(source)).size / BYTES_PER_MB} MB  ${ms(copyMs)}  ${rate(copyMs)}`);
  console.log(
    `upload    ${ms(putMs)}  ${rate(putMs)}  ${(copyMs / putMs).toFixed(2)} of the copy  ${aim(copyMs / putMs, ">=", AIM_SHARE, "of the copy")}`,
  );
  console.log(`download  ${ms(getMs)}  ${rate(getMs)}  ${(copyMs / getMs).toFixed(2)} of the copy`);
  console.log(
    `peak memory of the server  ${mebibytes(peak)}  ${aim(peak / BYTES_PER_MB, "<", AIM_PEAK_MB, "MB")}`,
  );
} finally {
  await shape.stop();
  await rm(dir, { recursive: true, force: true });
}

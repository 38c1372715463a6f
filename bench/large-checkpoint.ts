/**
 * A checkpoint of 500 MB, sent to the server and read back, and one of 600 MB, which is over the limit: times,
 * and the most memory that the server took. The document is generated as it is sent; what comes back has to
 * have the same SHA-256.
 *
 *     node bench/large-checkpoint.ts [--mb 500] [--over-mb 600] [--resource-bytes 700,100000]
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type BigDocument, verbatimBody } from "./support/big-document.ts";
import { type Child, makeTempDir, startServer } from "./support/child.ts";
import { Connection } from "./support/connection.ts";
import { aim, mebibytes, ms } from "./support/format.ts";
import { describeMachine, machineOf } from "./support/machine.ts";
import { peakRssBytesOf, resetPeakRss } from "./support/process-stats.ts";
import { scriptOf, stackPathOf } from "./support/script.ts";
import { hashOfGet, type StreamedAnswer, sendStream } from "./support/streaming.ts";
import { createStack, type StartedUp, startUp } from "./support/up.ts";

const BYTES_PER_MB = 1e6;
/** Bytes of 10^6, the stricter reading of "MB". */
const AIM_PEAK_MB = 400;

const { values: options } = parseArgs({
  options: {
    mb: { type: "string", default: "500" },
    "over-mb": { type: "string", default: "600" },
    "resource-bytes": { type: "string", default: "700,100000" },
  },
});

let peakBytes = 0;

/** Runs one step and says what it took. */
async function step<T>(server: Child, what: string, run: () => Promise<T>): Promise<T> {
  resetPeakRss(server.pid);
  const startedMs = performance.now();
  const result = await run();
  const peak = peakRssBytesOf(server.pid);
  peakBytes = Math.max(peakBytes, peak);
  console.log(
    `  ${what.padEnd(40)} ${ms(performance.now() - startedMs).padStart(10)}   peak ${mebibytes(peak)}`,
  );
  return result;
}

/** A running update that saves checkpoints. */
async function openUpdate(server: Child, stack: string): Promise<StartedUp & { connection: Connection }> {
  const connection = await Connection.open(server.port);
  await createStack(connection, stack);
  const script = scriptOf({
    stack,
    count: 1,
    how: "verbatim",
    kind: "creates",
    batchSize: 8,
    eventsEvery: 100,
  });
  return { connection, ...(await startUp(connection, script)) };
}

function expectStatus(answer: StreamedAnswer, status: number): void {
  if (answer.status === status) return;
  throw new Error(`expected ${status}, got ${answer.status} ${answer.body.slice(0, 500)}`);
}

async function sendAndReadBack(server: Child, document: BigDocument, isGzip: boolean): Promise<void> {
  const { port } = server;
  const { connection, path, lease } = await openUpdate(server, document.stack);
  const hash = createHash("sha256");
  const request = { port, path: `${path}/checkpointverbatim`, lease, isGzip, contentLength: null };
  const how = isGzip ? "gzip" : "plain";
  const answer = await step(server, `sent, ${how}`, () => sendStream(request, verbatimBody(document, hash)));
  expectStatus(answer, 204);
  connection.close(); // it may have been idle for too long
  const ending = await Connection.open(port);
  const body = { bytes: Buffer.from('{"status":"succeeded"}'), isGzip: false };
  const completed = await step(server, "completed", () =>
    ending.send("POST", `${path}/complete`, lease, body),
  );
  if (completed.status > 299) throw new Error(`complete: ${completed.status} ${completed.body.toString()}`);
  ending.close();
  const sha256 = hash.digest("hex");
  const exportPath = `${stackPathOf(document.stack)}/export`;
  const read = await step(server, `read back, ${how}`, () => hashOfGet(port, exportPath, isGzip));
  if (read.sha256 !== sha256)
    throw new Error(`what came back is not what was sent (${read.sizeBytes} bytes)`);
}

async function refused(
  server: Child,
  what: string,
  body: Iterable<Buffer>,
  more: { readonly stack: string; readonly isGzip: boolean; readonly contentLength: number | null },
): Promise<void> {
  const { connection, path, lease } = await openUpdate(server, more.stack);
  connection.close();
  const request = { port: server.port, path: `${path}/checkpointverbatim`, lease, ...more };
  try {
    const answer = await step(server, `refused, ${what}`, () => sendStream(request, body));
    expectStatus(answer, 413);
    const { code } = JSON.parse(answer.body) as { code?: unknown };
    if (code !== 413) throw new Error(`the CLI reads the code in the body: ${answer.body}`);
  } catch (error) {
    // A server that closes while the client still sends takes its own answer away with a reset.
    console.log(`  FAILED: ${what}: no 413 could be read: ${String(error)}`);
    process.exitCode = 1;
  }
}

/** `sizeBytes` of one property: a few hundred kilobytes of gzip. */
function* bomb(sizeBytes: number): Generator<Buffer> {
  yield Buffer.from('{"version":3,"untypedDeployment":{"version":3,"deployment":{"metadata":{"a":"');
  const chunk = Buffer.alloc(1024 * 1024, "a");
  for (let sent = 0; sent < sizeBytes; sent += chunk.byteLength) yield chunk;
  yield Buffer.from('"}}},"sequenceNumber":1}');
}

async function main(): Promise<void> {
  const dir = makeTempDir();
  console.log(describeMachine(machineOf(dir)));
  const server = await startServer({ dataDir: join(dir, "data") });
  const sizeBytes = Number(options.mb) * BYTES_PER_MB;
  for (const text of options["resource-bytes"].split(",")) {
    const resourceBytes = Number(text);
    console.log(`${options.mb} MB of resources of ${resourceBytes} bytes`);
    for (const isGzip of [false, true]) {
      const stack = `big-${resourceBytes}-${isGzip ? "gzip" : "plain"}`;
      await sendAndReadBack(server, { stack, sizeBytes, resourceBytes }, isGzip);
    }
  }
  const overBytes = Number(options["over-mb"]) * BYTES_PER_MB;
  console.log(`${options["over-mb"]} MB, which is over the limit`);
  const body = (stack: string) =>
    verbatimBody({ stack, sizeBytes: overBytes, resourceBytes: 100_000 }, createHash("sha256"));
  await refused(server, "its length announced", body("over-1"), {
    stack: "over-1",
    isGzip: false,
    contentLength: overBytes,
  });
  await refused(server, "in chunks", body("over-2"), { stack: "over-2", isGzip: false, contentLength: null });
  await refused(server, "gzip", body("over-3"), { stack: "over-3", isGzip: true, contentLength: null });
  await refused(server, "a gzip bomb", bomb(overBytes), {
    stack: "over-4",
    isGzip: true,
    contentLength: null,
  });
  await server.stop();
  console.log(
    `peak of all: ${mebibytes(peakBytes)}; ${aim(peakBytes / BYTES_PER_MB, "<", AIM_PEAK_MB, "MB")}`,
  );
}

await main();

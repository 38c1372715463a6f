/** A child process for local-disk.test.ts: puts blobs until it is killed. Bytes of a blob are all the same. */
import { openLocalDisk } from "../../storage-adapters/local-disk.ts";

const store = await openLocalDisk({ root: process.argv[2] ?? "" });

async function* body(round: number, sizeBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < sizeBytes; at += 100_000) {
    yield Buffer.alloc(Math.min(100_000, sizeBytes - at), round % 251);
  }
}

async function putForever(worker: number, sizeBytes: number): Promise<never> {
  for (let round = 0; ; round++) {
    await store.put(`w${worker}/${round % 5}`, body(round, sizeBytes), { maxBytes: sizeBytes });
    process.stdout.write(`${worker} ${round}\n`);
  }
}

await Promise.all([putForever(0, 5_000), putForever(1, 900_000), putForever(2, 2_000_000)]);

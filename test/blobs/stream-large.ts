/** A child process for documents.test.ts, for its memory is its own: 300 MB in and out again. */
import { createHash } from "node:crypto";
import { createDocumentStore } from "../../server/blobs/documents.ts";
import { openLocalDisk } from "../../storage-adapters/local-disk.ts";
import { deploymentLike, newKeyring } from "../crypto/support.ts";

const BLOCKS = 300;
const block = deploymentLike(1_000_000);
const blobs = await openLocalDisk({ root: process.argv[2] ?? "" });
const documents = createDocumentStore(blobs, newKeyring());
const rssBefore = process.memoryUsage().rss;

async function* body(): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < BLOCKS; i++) yield Buffer.from(block); // a new one each, as a socket gives them
}

const stored = await documents.put("stack", body(), { maxBytes: BLOCKS * block.length });
const hash = createHash("sha256");
for await (const chunk of await documents.open("stack", stored)) hash.update(chunk);
const isSame = hash.digest("hex") === stored.sha256;
const grownBytes = process.resourceUsage().maxRSS * 1024 - rssBefore;
process.stdout.write(JSON.stringify({ isSame, sizeBytes: stored.sizeBytes, grownBytes }));

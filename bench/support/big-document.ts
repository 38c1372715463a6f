/** Deployments of hundreds of megabytes, generated as they are sent: nobody ever holds one. */
import { createHash, type Hash, randomBytes } from "node:crypto";
import { PROJECT, type ResourceState, rootOf } from "./resources.ts";
import { CLI_VERSION } from "./saves.ts";

const CHUNK_BYTES = 256 * 1024;

export interface BigDocument {
  readonly stack: string;
  readonly sizeBytes: number;
  /** Of one resource. What is in it is random text, so that it compresses as badly as real state does well. */
  readonly resourceBytes: number;
}

/** The pieces of an UntypedDeployment of about `sizeBytes`. */
function* pieces({ stack, sizeBytes, resourceBytes }: BigDocument): Generator<string> {
  const manifest = {
    time: "2026-11-21T07:20:27.813585148Z",
    magic: createHash("sha256").update(CLI_VERSION).digest("hex"),
    version: CLI_VERSION,
  };
  const root = rootOf(stack).made;
  const head = `{"version":3,"deployment":{"manifest":${JSON.stringify(manifest)},"resources":[${JSON.stringify(root)}`;
  const tail = `],"metadata":{}}}`;
  yield head;
  const filler = randomBytes(resourceBytes).toString("hex");
  let written = head.length + tail.length;
  for (let index = 0; ; index++) {
    const resource = JSON.stringify(resourceOf(stack, root, index, filler, resourceBytes));
    written += resource.length + 1;
    if (written > sizeBytes) break;
    yield `,${resource}`;
  }
  yield tail;
}

function resourceOf(
  stack: string,
  root: ResourceState,
  index: number,
  filler: string,
  resourceBytes: number,
): ResourceState {
  const type = "bench:index:Big";
  const urn = `urn:pulumi:${stack}::${PROJECT}::${type}::big-${index}`;
  const fixedBytes = 350;
  // Another part of the filler each time: else a resource would be a copy of the one before.
  const start = (index * 7919) % resourceBytes;
  const text = filler.slice(start, start + Math.max(resourceBytes - fixedBytes, 0));
  return { urn, custom: false, type, parent: root.urn, outputs: { index, text } };
}

/** The body of a verbatim checkpoint; `hash` is given the bytes of the document inside. */
export function* verbatimBody(document: BigDocument, hash: Hash): Generator<Buffer> {
  yield Buffer.from('{"version":3,"untypedDeployment":');
  let waiting: string[] = [];
  let waitingBytes = 0;
  const flush = () => {
    const chunk = Buffer.from(waiting.join(""));
    hash.update(chunk);
    waiting = [];
    waitingBytes = 0;
    return chunk;
  };
  for (const piece of pieces(document)) {
    waiting.push(piece);
    waitingBytes += piece.length;
    if (waitingBytes >= CHUNK_BYTES) yield flush();
  }
  yield flush();
  yield Buffer.from(',"sequenceNumber":1}');
}

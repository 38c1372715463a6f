import { randomBytes } from "node:crypto";
import { createKeyring, type Keyring, keyIdOf, type MasterKey } from "../../server/crypto/keyring.ts";

export function newMaster(): MasterKey {
  const key = randomBytes(32);
  return { id: keyIdOf(key), key };
}

export function newKeyring(): Keyring {
  return createKeyring([newMaster()]);
}

/** `bytes` in chunks of the given sizes, over and over; the last one may be shorter. */
export async function* inChunks(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of body) parts.push(chunk);
  return Buffer.concat(parts);
}

/** A copy with one bit turned. */
export function withBitFlipped(bytes: Uint8Array, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  const at = bit >> 3;
  copy.writeUInt8(copy.readUInt8(at) ^ (1 << (bit & 7)), at);
  return copy;
}

/** What `run` throws; undefined when it does not. */
export function thrownBy(run: () => unknown): unknown {
  try {
    run();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** JSON as deployments are: long, repetitive, with some noise. */
export function deploymentLike(sizeBytes: number): Buffer {
  const resources: string[] = [];
  for (let bytes = 0, i = 0; bytes < sizeBytes; i++) {
    const urn = `urn:pulumi:dev::project::aws:s3/bucket:Bucket::bucket-${i}`;
    const resource = JSON.stringify({ urn, custom: true, id: randomBytes(8).toString("hex"), inputs: { i } });
    resources.push(resource);
    bytes += resource.length;
  }
  return Buffer.from(resources.join(",")).subarray(0, sizeBytes);
}

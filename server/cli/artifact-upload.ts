/**
 * Uploads: into the bucket itself where the server offers that. A file of more than a part goes in parts; after an
 * interruption the server is asked which are there, so what has arrived is not sent again.
 */
import { createHash } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { z } from "zod";
import { networkReason } from "./admin-api.ts";
import {
  type Access,
  ArtifactFailure,
  call,
  EXIT_NOT_FOUND,
  EXIT_UNAVAILABLE,
  jsonOf,
  withRetries,
} from "./artifact-api.ts";
import type { Progress } from "./artifact-progress.ts";
import { type ArtifactItem, hashFile, Item, listItems } from "./artifact-transfer.ts";

export interface PutOptions {
  readonly org: string;
  /** Place, as the list takes it. */
  readonly place: URLSearchParams;
  readonly kind: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly pinned: boolean;
  readonly contentType?: string;
}

interface File {
  readonly path: string;
  readonly name: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** Files up to this size are sent at once, and again from their beginning when that fails. */
const AT_ONCE_BYTES = 16 * 1024 * 1024;
/** Of the bucket, which has words of its own; the link may have ended, and the next attempt gets another. */
const LINK_REFUSED = "The link for the upload was refused";

const Link = z.looseObject({
  url: z.string(),
  headers: z.record(z.string(), z.string()),
  direct: z.boolean(),
});
const Grant = Link.extend({ id: z.string() });
const Pending = z.looseObject({ partBytes: z.int().min(1), parts: z.array(z.int()) });
const PartLink = z.looseObject({ link: Link.omit({ direct: true }).nullable() });

/** `isNew` is false when the newest of that name at the place has these bytes already: nothing is sent then. */
export async function putFile(
  access: Access,
  named: { readonly path: string; readonly name: string },
  options: PutOptions,
  progress: Progress,
): Promise<{ readonly item: ArtifactItem; readonly isNew: boolean }> {
  const file = { ...named, ...(await hashFile(named.path)) };
  const present = await findPresent(access, file, options);
  if (present !== null) return { item: present, isNew: false };
  progress.start(file.name, file.sizeBytes);
  const send = file.sizeBytes <= AT_ONCE_BYTES ? sendAtOnce : sendInParts;
  const item = await send(access, file, options, progress);
  progress.end();
  return { item, isNew: true };
}

/** A job that is run again finds what the first run had put. */
async function findPresent(
  access: Access,
  { name, sha256 }: File,
  { org, place, kind, labels, pinned }: PutOptions,
): Promise<ArtifactItem | null> {
  const [newest] = await listItems(
    access,
    org,
    new URLSearchParams([...place, ["name", name.normalize("NFC")]]),
  );
  if (newest === undefined || newest.sha256 !== sha256 || newest.kind !== kind) return null;
  const isThere = ["commit", "update"].every(
    (what) => (place.get(what)?.toLowerCase() ?? null) === (newest[what] ?? null),
  );
  const hasLabels = Object.entries(labels).every(([label, value]) => newest.labels[label] === value);
  return isThere && hasLabels && (newest.pinned || !pinned) ? newest : null;
}

async function grant(access: Access, file: File, options: PutOptions, inParts: boolean) {
  const { org, place, kind, labels, pinned, contentType } = options;
  const { name, sha256, sizeBytes: size } = file;
  const asked = { ...Object.fromEntries(place), name, sha256, size, kind, labels, pinned, inParts };
  const body = contentType === undefined ? asked : { ...asked, contentType };
  return Grant.parse(await post(access, `/api/artifacts/${org}/uploads`, body));
}

async function post(access: Access, path: string, body: unknown): Promise<unknown> {
  const headers = { "content-type": "application/json" };
  return jsonOf(await call(access, path, { method: "POST", body: JSON.stringify(body), headers }));
}

async function complete(access: Access, org: string, id: string): Promise<ArtifactItem> {
  return Item.parse(await post(access, `/api/artifacts/${org}/uploads/${id}/complete`, {}));
}

/** Null while its bytes are not there. */
async function completed(access: Access, org: string, id: string): Promise<ArtifactItem | null> {
  try {
    return await complete(access, org, id);
  } catch (error) {
    if (error instanceof ArtifactFailure && error.status === 409) return null;
    throw error;
  }
}

/** An answer that was lost may have been a yes: each further attempt first asks whether the bytes arrived. */
async function sendAtOnce(
  access: Access,
  file: File,
  options: PutOptions,
  progress: Progress,
): Promise<ArtifactItem> {
  const bytes = await readFile(file.path);
  let id: string | null = null;
  return withRetries(access, progress.retry, async () => {
    if (id !== null) {
      const item = await completed(access, options.org, id);
      if (item !== null) return item;
      await takeBack(access, options.org, id);
      progress.start(file.name, file.sizeBytes);
    }
    const link = await grant(access, file, options, false);
    id = link.id;
    await follow(link, bytes);
    progress.advance(bytes.length);
    return complete(access, options.org, link.id);
  });
}

async function takeBack(access: Access, org: string, id: string): Promise<void> {
  try {
    await call(access, `/api/artifacts/${org}/items/${id}`, { method: "DELETE" });
  } catch {
    // Swept by itself when its time is over.
  }
}

/** No token goes along: the link is all that a bucket needs, and may lead anywhere. */
async function follow(
  link: Pick<z.output<typeof Link>, "url" | "headers">,
  bytes: Uint8Array,
): Promise<void> {
  const { url, headers } = link;
  let response: Response;
  try {
    const body = new Uint8Array(bytes);
    response = await fetch(url, { method: "PUT", headers, body, redirect: "manual" });
    await response.arrayBuffer();
  } catch (error) {
    const message = `The upload was cut off (${networkReason(error)}).`;
    throw new ArtifactFailure(message, EXIT_UNAVAILABLE, { mayPass: true, cause: error });
  }
  if (response.ok) return;
  const message = `${LINK_REFUSED} (${response.status}).`;
  throw new ArtifactFailure(message, EXIT_UNAVAILABLE, { mayPass: true });
}

async function sendInParts(
  access: Access,
  file: File,
  options: PutOptions,
  progress: Progress,
): Promise<ArtifactItem> {
  let id: string | null = null;
  const sent = new Set<number>();
  return withRetries(access, progress.retry, async () => {
    id ??= (await grant(access, file, options, true)).id;
    const path = `/api/artifacts/${options.org}/uploads/${id}`;
    try {
      const { partBytes, parts } = Pending.parse(await jsonOf(await call(access, path)));
      sent.clear();
      for (const number of parts) sent.add(number);
      progress.start(file.name, file.sizeBytes, Math.min(sent.size * partBytes, file.sizeBytes));
      for (let number = 1; (number - 1) * partBytes < file.sizeBytes; number++) {
        if (sent.has(number)) continue;
        const bytes = await readPart(file.path, (number - 1) * partBytes, partBytes);
        await sendPart(access, `${path}/parts/${number}`, bytes);
        progress.advance(bytes.length);
      }
    } catch (error) {
      // No longer pending: the answer to an earlier `complete` was lost, or the upload's time is over.
      const isGone = error instanceof ArtifactFailure && error.exitCode === EXIT_NOT_FOUND;
      if (!isGone) throw error;
    }
    return complete(access, options.org, id);
  });
}

async function sendPart(access: Access, path: string, bytes: Buffer): Promise<void> {
  const digest = createHash("sha256").update(bytes).digest();
  const { link } = PartLink.parse(await post(access, path, { sha256: digest.toString("hex") }));
  if (link !== null) {
    await follow(link, bytes);
    return;
  }
  const headers = {
    "content-type": "application/octet-stream",
    "x-amz-checksum-sha256": digest.toString("base64"),
  };
  await call(access, path, { method: "PUT", body: new Uint8Array(bytes), headers });
}

async function readPart(path: string, startByte: number, lengthBytes: number): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const memory = Buffer.alloc(lengthBytes);
    let filled = 0;
    while (filled < lengthBytes) {
      const { bytesRead } = await file.read(memory, filled, lengthBytes - filled, startByte + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return memory.subarray(0, filled);
  } finally {
    await file.close();
  }
}

/** Lists and downloads. What was interrupted goes on where it was. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rename, stat } from "node:fs/promises";
import { dirname, resolve, sep } from "node:path";
import { z } from "zod";
import { type Access, ArtifactFailure, call, EXIT_UNAVAILABLE, jsonOf, withRetries } from "./artifact-api.ts";
import type { Progress } from "./artifact-progress.ts";

export const Item = z.looseObject({
  id: z.string(),
  name: z.string(),
  version: z.number(),
  size: z.number(),
  sha256: z.string(),
  kind: z.string(),
  labels: z.record(z.string(), z.string()),
  pinned: z.boolean(),
});
export type ArtifactItem = z.output<typeof Item>;
const Page = z.looseObject({ items: z.array(Item), nextCursor: z.string().optional() });

const PAGES_MAX = 1_000;

export async function listItems(
  access: Access,
  org: string,
  query: URLSearchParams,
): Promise<ArtifactItem[]> {
  const items: ArtifactItem[] = [];
  const asked = new URLSearchParams(query);
  asked.set("limit", "200");
  for (let page = 0; page < PAGES_MAX; page++) {
    const answer = await withRetries(
      access,
      () => undefined,
      async () => {
        const response = await call(access, `/api/artifacts/${org}?${asked}`);
        return Page.parse(await jsonOf(response));
      },
    );
    items.push(...answer.items);
    if (answer.nextCursor === undefined) return items;
    asked.set("cursor", answer.nextCursor);
  }
  return items;
}

export async function hashFile(path: string): Promise<{ sha256: string; sizeBytes: number }> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    sizeBytes += chunk.length;
  }
  return { sha256: hash.digest("hex"), sizeBytes };
}

/** Where a name leads below `folder`; names come from others and must not lead out. */
export function pathBelow(folder: string, name: string): string {
  const root = resolve(folder);
  const path = resolve(root, name);
  if (path.startsWith(root + sep)) return path;
  throw new ArtifactFailure(`The name ${JSON.stringify(name)} leads out of ${folder}.`, 1);
}

/** Into `<path>.part` first; what is there already of these bytes is not fetched again. */
export async function getFile(
  access: Access,
  org: string,
  item: ArtifactItem,
  path: string,
  progress: Progress,
): Promise<void> {
  const part = `${path}.${item.sha256.slice(0, 12)}.part`;
  await mkdir(dirname(path), { recursive: true });
  await withRetries(access, progress.retry, async () => {
    const haveBytes = await stat(part).then(
      (it) => Math.min(it.size, item.size),
      () => 0,
    );
    progress.start(item.name, item.size, haveBytes);
    if (haveBytes < item.size || item.size === 0)
      await fetchInto(access, org, item, part, haveBytes, progress);
    progress.end();
  });
  const { sha256 } = await hashFile(part);
  if (sha256 !== item.sha256) {
    await rename(part, `${part}.damaged`);
    throw new ArtifactFailure(`${item.name} arrived damaged; try again.`, 1);
  }
  await rename(part, path);
}

async function fetchInto(
  access: Access,
  org: string,
  item: ArtifactItem,
  part: string,
  haveBytes: number,
  progress: Progress,
): Promise<void> {
  const range = { range: `bytes=${haveBytes}-`, "if-range": `"${item.sha256}"` };
  const headers = haveBytes > 0 ? range : {};
  const response = await call(access, `/api/artifacts/${org}/items/${item.id}/content`, { headers });
  const file = await open(part, response.status === 206 ? "a" : "w");
  try {
    for await (const chunk of response.body ?? []) {
      await file.write(chunk);
      progress.advance(chunk.length);
    }
  } catch (error) {
    throw new ArtifactFailure(`The download of ${item.name} was cut off.`, EXIT_UNAVAILABLE, {
      mayPass: true,
      cause: error,
    });
  } finally {
    await file.close();
  }
}

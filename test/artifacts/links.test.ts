import { describe, expect, it } from "vitest";
import { type Answer, send } from "../support/client.ts";
import { ORG, type TestServer } from "../support/server.ts";
import {
  API,
  blobKeys,
  COMMIT,
  fileStores,
  get,
  list,
  random,
  sha256,
  startOver,
  stored,
} from "./support.ts";

const grant = (server: TestServer, bytes: Uint8Array, more: Record<string, unknown> = {}): Promise<Answer> =>
  send(server, "POST", `${API}/uploads`, {
    ...{ commit: COMMIT, name: "a.zip", size: bytes.length, sha256: sha256(bytes), ...more },
  });
const follow = async ({ method, url, headers }: Answer["body"], bytes: Uint8Array) =>
  (await fetch(url, { method, headers, body: new Uint8Array(bytes) })).status;
const complete = (server: TestServer, id: string) => send(server, "POST", `${API}/uploads/${id}/complete`);

describe.each(fileStores())("artifact links on $label", (store) => {
  const env = { STATEHOUSE_ARTIFACT_LINK_SECONDS: "60" };

  it("take the bytes that were announced, and show them once they are confirmed", async () => {
    const server = await startOver(store, env);
    const bytes = random(700_000);
    const { status, body } = await grant(server, bytes);
    expect([status, body.direct]).toEqual([201, store.label === "S3"]);
    expect(await complete(server, body.id)).toMatchObject({ status: 409 });
    expect(await list(server)).toEqual([]);
    expect((await get(server, body.id)).status).toBe(404);
    expect(await follow(body, random(700_000))).toBeGreaterThanOrEqual(400);
    expect(await follow(body, bytes.subarray(1))).toBeGreaterThanOrEqual(400);
    expect(await complete(server, body.id)).toMatchObject({ status: 409 });
    expect(await follow(body, bytes)).toBeLessThan(300);
    const done = await complete(server, body.id);
    expect(done).toMatchObject({ status: 200, body: { contentType: "application/zip", size: 700_000 } });
    expect(done.body.encryption).toBe(store.label === "S3" ? "bucket" : "server");
    expect(await complete(server, body.id)).toMatchObject({ status: 200 });
    expect((await get(server, body.id, { range: "bytes=300000-300009" })).bytes).toEqual(
      bytes.subarray(300_000, 300_010),
    );
    const link = await send(server, "POST", `${API}/items/${body.id}/link`);
    const got = await fetch(link.body.url);
    expect(got.headers.get("content-disposition")).toBe(
      `attachment; filename="a.zip"; filename*=UTF-8''a.zip`,
    );
    expect(Buffer.from(await got.arrayBuffer()).equals(bytes)).toBe(true);
  });

  it("go through the server where direct transfers are off", async () => {
    const server = await startOver(store, { ...env, STATEHOUSE_ARTIFACT_DIRECT: "false" });
    const bytes = random(1000);
    const { body } = await grant(server, bytes);
    expect([body.direct, body.url.startsWith(server.url)]).toEqual([false, true]);
    expect(await follow(body, bytes)).toBe(204);
    expect((await complete(server, body.id)).body.encryption).toBe("server");
    expect(await follow(body, bytes)).toBe(403);
  });

  it("end, and can't be altered", async () => {
    let nowMs = Date.now();
    const server = await startOver(store, env, () => nowMs);
    const bytes = random(1000);
    const { id } = await stored(server, "plan", bytes, { query: `commit=${COMMIT}&kind=plan` });
    const other = await stored(server, "other", bytes);
    const { body } = await send(server, "POST", `${API}/items/${id}/link`);
    const status = async (url: string | URL, method = "GET") => (await fetch(url, { method })).status;
    expect([await status(body.url), await status(body.url, "HEAD")]).toEqual([200, 200]);
    const change = (edit: (url: URL) => void) => {
      const url = new URL(body.url);
      edit(url);
      return url;
    };
    const altered = [
      change((url) =>
        url.searchParams.set("expires", String(Number(url.searchParams.get("expires")) + 1000)),
      ),
      change((url) => url.searchParams.set("by", "someone")),
      change((url) => url.searchParams.delete("signature")),
      change((url) => url.searchParams.set("signature", `${url.searchParams.get("signature")}`.slice(0, -1))),
      change((url) => url.searchParams.append("expires", "99999999999999")),
      change((url) => {
        url.pathname = url.pathname.replace(id, other.id);
      }),
      change((url) => {
        url.pathname = url.pathname.replace(`/${ORG}/`, "/elsewhere/");
      }),
    ];
    for (const url of altered) expect(await status(url), url.href).toBe(403);
    const asUpload = body.url.replace(`/signed/${id}`, `/uploads/${id}/content`);
    expect((await fetch(asUpload, { method: "PUT", body: "x" })).status).toBe(403);
    nowMs += 60_001;
    expect(await status(body.url)).toBe(403);
    expect(server.logLines.some((line) => line.includes("signature"))).toBe(false);
    const { body: audit } = await send(server, "GET", "/api/admin/v1/audit-events?limit=50");
    const downloads = audit.items.filter((it: { action: string }) => it.action === "artifact.download");
    expect(downloads).toHaveLength(1);
    expect(downloads[0]).toMatchObject({ actor: "admin", organization: ORG, target: `${id} (plan)` });
  });

  it("reserve the quota, and are swept when nobody confirms", async () => {
    let nowMs = Date.now();
    const limits = { ...env, STATEHOUSE_ARTIFACT_QUOTA_BYTES: "1500" };
    const server = await startOver(store, limits, () => nowMs);
    const bytes = random(1000);
    const { body } = await grant(server, bytes);
    expect(await grant(server, bytes)).toMatchObject({ status: 413 });
    await follow(body, bytes);
    expect(await blobKeys(server)).toHaveLength(1);
    nowMs += 3_600_000 + 59_000;
    await server.scheduler.tick();
    expect(await blobKeys(server)).toHaveLength(1);
    nowMs += 2_000;
    await server.scheduler.tick();
    expect(await blobKeys(server)).toEqual([]);
    expect(await complete(server, body.id)).toMatchObject({ status: 404 });
    expect(await grant(server, bytes)).toMatchObject({ status: 201 });
  });
});

import { describe, expect, it } from "vitest";
import { fileStores, get, random, sha256, startOver, stored } from "./support.ts";

describe.each(fileStores())("artifact downloads on $label", (store) => {
  it("serves ranges byte by byte", async () => {
    const server = await startOver(store);
    const segment = 256 * 1024;
    const bytes = random(2 * segment + 777);
    const { id } = await stored(server, "a", bytes);
    const edges = [0, 1, segment - 1, segment, segment + 1, 2 * segment - 1, 2 * segment, bytes.length - 1];
    for (const start of edges)
      for (const end of edges.filter((it) => it >= start)) {
        const got = await get(server, id, { range: `bytes=${start}-${end}` });
        expect(got.status).toBe(206);
        expect(got.headers.get("content-range")).toBe(`bytes ${start}-${end}/${bytes.length}`);
        expect(got.bytes.equals(bytes.subarray(start, end + 1)), `${start}-${end}`).toBe(true);
      }
    const open = await get(server, id, { range: `bytes=${segment + 5}-` });
    expect(open.bytes.equals(bytes.subarray(segment + 5))).toBe(true);
    const tail = await get(server, id, { range: "bytes=-9" });
    expect(tail.bytes.equals(bytes.subarray(-9))).toBe(true);
    const past = await get(server, id, { range: `bytes=${bytes.length}-` });
    expect([past.status, past.headers.get("content-range")]).toEqual([416, `bytes */${bytes.length}`]);
    for (const range of ["bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=a-b"]) {
      expect((await get(server, id, { range })).status, range).toBe(200);
    }
    expect((await get(server, id, { range: "bytes=0-1", "if-range": '"other"' })).status).toBe(200);
    const same = { range: "bytes=0-1", "if-range": `"${sha256(bytes)}"` };
    expect((await get(server, id, same)).status).toBe(206);
    expect((await get(server, id, { "if-none-match": `W/"${sha256(bytes)}"` })).status).toBe(304);
    expect((await get(server, id, { "if-none-match": '"x"' })).status).toBe(200);
  });

  it("refuses damaged bytes before a head is sent", async () => {
    const server = await startOver(store);
    const { id } = await stored(server, "a", random(1000));
    for await (const { key } of server.ctx.blobs.list("artifacts/"))
      await server.ctx.blobs.put(key, [random(1082)], { maxBytes: 2000 });
    expect((await get(server, id)).status).toBe(500);
  });
});

import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { type StackClient, send } from "../support/client.ts";
import { freshStack } from "../support/journal.ts";
import { ORG, shareTestServer } from "../support/server.ts";

const server = shareTestServer();

const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString("base64");
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

async function encrypt(stack: StackClient, plaintext: string): Promise<string> {
  const answer = await stack.send("POST", "/encrypt", { plaintext });
  expect(answer, answer.text).toMatchObject({ status: 200 });
  return answer.body.ciphertext as string;
}

const PLAINTEXTS = [
  { what: "text", bytes: Buffer.from("hunter2 ü €") },
  { what: "a log key of 32 random bytes", bytes: randomBytes(32) },
  { what: "every byte there is", bytes: Buffer.from([...Array(256).keys()]) },
  { what: "bytes that are no UTF-8", bytes: Buffer.from([0xff, 0xfe, 0x00, 0xc3, 0x28]) },
  { what: "nothing", bytes: Buffer.alloc(0) },
  { what: "a megabyte", bytes: randomBytes(1024 * 1024) },
];

describe("one secret", () => {
  it.each(PLAINTEXTS)("comes back as it went in: $what", async ({ bytes }) => {
    const stack = await freshStack(server());
    const ciphertext = await encrypt(stack, base64(bytes));
    expect(ciphertext).toMatch(BASE64);
    expect(Buffer.from(ciphertext, "base64").includes(bytes) && bytes.length > 0).toBe(false);
    const { status, body } = await stack.send("POST", "/decrypt", { ciphertext });
    expect(status).toBe(200);
    expect(body).toEqual({ plaintext: base64(bytes) });
  });

  it("has another ciphertext each time", async () => {
    const stack = await freshStack(server());
    expect(await encrypt(stack, "aGk=")).not.toBe(await encrypt(stack, "aGk="));
  });

  it("may be null, which is how Go writes no bytes", async () => {
    const stack = await freshStack(server());
    const { body } = await stack.send("POST", "/encrypt", { plaintext: null });
    expect((await stack.send("POST", "/decrypt", body)).body).toEqual({ plaintext: "" });
  });
});

describe("a batch of secrets", () => {
  it("comes back in length and order, and as a map by ciphertext", async () => {
    const stack = await freshStack(server());
    const plaintexts = PLAINTEXTS.map(({ bytes }) => base64(bytes));
    const encrypted = await stack.send("POST", "/batch-encrypt", { plaintexts }, { gzip: true });
    const ciphertexts: string[] = encrypted.body.ciphertexts;
    expect(ciphertexts).toHaveLength(plaintexts.length);
    const decrypted = await stack.send("POST", "/batch-decrypt", { ciphertexts }, { gzip: true });
    expect(decrypted.body).toEqual({
      plaintexts: Object.fromEntries(ciphertexts.map((it, i) => [it, plaintexts[i]])),
    });
  });

  it("takes a thousand at once, the same value among them", async () => {
    const stack = await freshStack(server());
    const plaintexts = Array.from({ length: 1000 }, (_, i) => base64(`value ${i % 10}`));
    const { ciphertexts } = (await stack.send("POST", "/batch-encrypt", { plaintexts })).body;
    expect(new Set(ciphertexts).size).toBe(1000);
    const again = [...ciphertexts, ciphertexts[0], ciphertexts[0]];
    const { body } = await stack.send("POST", "/batch-decrypt", { ciphertexts: again });
    expect(Object.keys(body.plaintexts)).toHaveLength(1000);
    expect(body.plaintexts[ciphertexts[999]]).toBe(base64("value 9"));
  });

  it.each([{ list: [] }, { list: null }])("may be empty: $list", async ({ list }) => {
    const stack = await freshStack(server());
    expect((await stack.send("POST", "/batch-encrypt", { plaintexts: list })).body).toEqual({
      ciphertexts: [],
    });
    expect((await stack.send("POST", "/batch-decrypt", { ciphertexts: list })).body).toEqual({
      plaintexts: {},
    });
  });

  it("is all or nothing, and names the one that is bad", async () => {
    const stack = await freshStack(server());
    const good = await encrypt(stack, "aGk=");
    const other = await encrypt(await freshStack(server()), "aGk=");
    const answer = await stack.send("POST", "/batch-decrypt", { ciphertexts: [good, good, other] });
    expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
    expect(answer.body.message).toContain("value 2");
    expect(answer.body).not.toHaveProperty("plaintexts");
  });
});

describe("a ciphertext", () => {
  it("is refused for another stack", async () => {
    const ciphertext = await encrypt(await freshStack(server()), "aGk=");
    const other = await freshStack(server());
    const answer = await other.send("POST", "/decrypt", { ciphertext });
    expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
  });

  it("is refused after its stack was deleted and made again", async () => {
    const stack = await freshStack(server());
    const ciphertext = await encrypt(stack, "aGk=");
    await stack.send("DELETE", "?force=false");
    await stack.init();
    expect(await stack.send("POST", "/decrypt", { ciphertext })).toMatchObject({ status: 400 });
  });

  it("is refused when a single bit of it changed", async () => {
    const stack = await freshStack(server());
    const bytes = Buffer.from(await encrypt(stack, "aGVsbG8="), "base64");
    for (const at of bytes.keys()) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      const answer = await stack.send("POST", "/decrypt", { ciphertext: base64(damaged) });
      expect(answer.status, `bit of byte ${at}`).toBe(400);
    }
  });

  it.each([
    { what: "nothing", ciphertext: "" },
    { what: "no base64", ciphertext: "not base64!!" },
    { what: "URL-safe base64", ciphertext: "__--" },
    { what: "base64 without its padding", ciphertext: "aGk" },
    { what: "padding in the middle", ciphertext: "aG==aGk=" },
    { what: "other bytes", ciphertext: base64(randomBytes(60)) },
    { what: "too few bytes", ciphertext: "AA==" },
  ])("is refused when it is $what", async ({ ciphertext }) => {
    const stack = await freshStack(server());
    const body = expect.objectContaining({ code: 400 });
    expect(await stack.send("POST", "/decrypt", { ciphertext })).toMatchObject({ status: 400, body });
    const batch = await stack.send("POST", "/batch-decrypt", { ciphertexts: [ciphertext] });
    expect(batch).toMatchObject({ status: 400, body });
    expect(batch.body.message).toContain("value 0");
    if (ciphertext !== "") expect(batch.text).not.toContain(ciphertext);
  });

  it.each(["not base64!!", "aGk", "_w=="])("is not made of %j, which is no base64", async (plaintext) => {
    const stack = await freshStack(server());
    expect(await stack.send("POST", "/encrypt", { plaintext })).toMatchObject({ status: 400 });
    const batch = await stack.send("POST", "/batch-encrypt", { plaintexts: ["aGk=", plaintext] });
    expect(batch).toMatchObject({ status: 400, body: { code: 400 } });
    expect(batch.body.message).toContain("value 1");
    expect(batch.text).not.toContain(plaintext);
  });

  it("can be read while an update runs", async () => {
    const stack = await freshStack(server());
    await stack.begin();
    const ciphertext = await encrypt(stack, "aGk=");
    expect((await stack.send("POST", "/decrypt", { ciphertext })).body).toEqual({ plaintext: "aGk=" });
  });
});

describe("who may decrypt", () => {
  it("is a member, not a viewer; a viewer may encrypt", async () => {
    const admin = (method: string, path: string, body: unknown) =>
      send(server(), method, `/api/admin/v1${path}`, body);
    const { token } = (await admin("POST", "/tokens", { name: "v", organization: ORG, role: "viewer" })).body;
    const stack = await freshStack(server());
    const viewer = stack.as({ token });
    const ciphertext = await encrypt(viewer, "aGk=");
    for (const [path, body] of [
      ["/decrypt", { ciphertext }],
      ["/batch-decrypt", { ciphertexts: [ciphertext] }],
    ] as const)
      expect(await viewer.send("POST", path, body)).toMatchObject({ status: 403, body: { code: 403 } });
  });

  it("is noted when another provider did it, without the value", async () => {
    const stack = await freshStack(server());
    const one = await stack.send("POST", "/decrypt/log-decryption", { secretName: "db:password" });
    const many = await stack.send("POST", "/decrypt/log-batch-decryption", { commandName: "pulumi config" });
    expect([one.status, many.status]).toEqual([204, 204]);
    const { body } = await send(server(), "GET", "/api/admin/v1/audit-events");
    expect(body.items).toContainEqual(
      expect.objectContaining({ action: "secret.decrypt", target: `shop/${stack.stack} db:password` }),
    );
    expect(body.items).toContainEqual(
      expect.objectContaining({
        action: "secret.decrypt-batch",
        target: `shop/${stack.stack} pulumi config`,
      }),
    );
  });
});

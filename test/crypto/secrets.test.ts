import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SecretError } from "../../server/crypto/errors.ts";
import { createKeyring } from "../../server/crypto/keyring.ts";
import { decryptSecret, encryptSecret, SECRET_OVERHEAD_BYTES } from "../../server/crypto/secrets.ts";
import { newKeyring, newMaster, thrownBy, withBitFlipped } from "./support.ts";

const PLAIN = Buffer.from("hunter2");

describe("secrets", () => {
  it("gives back any bytes, none included", () => {
    const ring = newKeyring();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), fc.string(), (plain, scope) => {
        const ciphertext = encryptSecret(ring, scope, plain);
        expect(ciphertext.length).toBe(plain.length + SECRET_OVERHEAD_BYTES);
        expect(Buffer.from(decryptSecret(ring, scope, ciphertext))).toEqual(Buffer.from(plain));
      }),
      {
        examples: [
          [new Uint8Array(0), "s"],
          [Uint8Array.of(0, 0xff, 0xc3, 0x28), "s"],
        ],
      },
    );
  });

  it("never gives the same ciphertext twice, nor shows the plaintext", () => {
    const ring = newKeyring();
    const made = Array.from({ length: 100 }, () => Buffer.from(encryptSecret(ring, "s", PLAIN)));
    expect(new Set(made.map((bytes) => bytes.toString("hex"))).size).toBe(100);
    for (const bytes of made) expect(bytes.includes(PLAIN)).toBe(false);
  });

  it("refuses every turned bit, every cut and every addition", () => {
    const ring = newKeyring();
    const good = encryptSecret(ring, "s", PLAIN);
    for (let bit = 0; bit < good.length * 8; bit++) {
      expect(thrownBy(() => decryptSecret(ring, "s", withBitFlipped(good, bit)))).toBeInstanceOf(SecretError);
    }
    for (let length = 0; length < good.length; length++) {
      const cut = good.subarray(0, length);
      expect(thrownBy(() => decryptSecret(ring, "s", cut))).toBeInstanceOf(SecretError);
    }
    const longer = Buffer.concat([good, Buffer.alloc(1)]);
    expect(thrownBy(() => decryptSecret(ring, "s", longer))).toBeInstanceOf(SecretError);
  });

  it("refuses what belongs to another stack, or to another server", () => {
    const master = newMaster();
    const good = encryptSecret(createKeyring([master]), "stack-1", PLAIN);
    const sameId = createKeyring([{ id: master.id, key: randomBytes(32) }]);
    expect(thrownBy(() => decryptSecret(createKeyring([master]), "stack-2", good))).toMatchObject({
      name: "SecretError",
      code: "damaged",
    });
    expect(thrownBy(() => decryptSecret(sameId, "stack-1", good))).toMatchObject({ code: "damaged" });
    expect(thrownBy(() => decryptSecret(newKeyring(), "stack-1", good))).toMatchObject({
      code: "unknown_key",
    });
  });

  it("reads the old after a rotation and writes under the new", () => {
    const [old, current] = [newMaster(), newMaster()];
    const before = encryptSecret(createKeyring([old]), "s", PLAIN);
    const rotated = createKeyring([current, old]);
    expect(Buffer.from(decryptSecret(rotated, "s", before))).toEqual(PLAIN);
    const after = encryptSecret(rotated, "s", PLAIN);
    expect(Buffer.from(decryptSecret(createKeyring([current]), "s", after))).toEqual(PLAIN);
    expect(thrownBy(() => decryptSecret(createKeyring([old]), "s", after))).toMatchObject({
      code: "unknown_key",
    });
  });

  it("still reads what the first release wrote", () => {
    const ring = createKeyring([{ id: 7, key: Buffer.alloc(32, 1) }]);
    const stored = Buffer.from("AQAAAAfh0AvwskokVrkDasTMU/5YZdZ8ySXgitnYtYKi5uRGDIIm3w==", "base64");
    expect(Buffer.from(decryptSecret(ring, "stack", stored))).toEqual(PLAIN);
  });
});

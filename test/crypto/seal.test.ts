import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SealError } from "../../server/crypto/errors.ts";
import { createKeyring } from "../../server/crypto/keyring.ts";
import { SEAL_OVERHEAD_BYTES, seal, unseal } from "../../server/crypto/seal.ts";
import { deploymentLike, newKeyring, newMaster, thrownBy, withBitFlipped } from "./support.ts";

const PACKED = { compress: true };

describe("seal", () => {
  it("gives back any bytes, compressed or not", () => {
    const ring = newKeyring();
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 3000 }),
      fc.nat(200_000).map((size) => deploymentLike(size)),
      fc.nat(200_000).map((size) => randomBytes(size)),
    );
    fc.assert(
      fc.property(bodies, fc.boolean(), fc.string(), fc.string(), (bytes, compress, scope, purpose) => {
        const sealed = seal(ring, scope, purpose, bytes, { compress });
        expect(sealed.length).toBeLessThanOrEqual(bytes.length + SEAL_OVERHEAD_BYTES);
        expect(Buffer.from(unseal(ring, scope, purpose, sealed)).equals(Buffer.from(bytes))).toBe(true);
      }),
      { examples: [[new Uint8Array(0), true, "", ""]] },
    );
  });

  it("keeps the gzip that bytes came as where that is smaller, and gives back the plain bytes", () => {
    const ring = newKeyring();
    fc.assert(
      fc.property(fc.nat(20_000), fc.boolean(), (size, isNoise) => {
        const bytes = isNoise ? randomBytes(size) : deploymentLike(size);
        const sealed = seal(ring, "s", "p", bytes, { compress: false, gzip: gzipSync(bytes) });
        expect(sealed.length).toBeLessThanOrEqual(bytes.length + SEAL_OVERHEAD_BYTES);
        expect(Buffer.from(unseal(ring, "s", "p", sealed)).equals(Buffer.from(bytes))).toBe(true);
      }),
    );
    const json = deploymentLike(5000);
    expect(seal(ring, "s", "p", json, { compress: false, gzip: gzipSync(json) }).length).toBeLessThan(2500);
  });

  it("packs JSON, and leaves noise as it is", () => {
    const ring = newKeyring();
    expect(seal(ring, "s", "p", deploymentLike(5000), PACKED).length).toBeLessThan(2500);
    expect(seal(ring, "s", "p", randomBytes(5000), PACKED).length).toBe(5000 + SEAL_OVERHEAD_BYTES);
  });

  it.each([true, false])(
    "refuses every turned bit, every cut and every addition (compress: %s)",
    (compress) => {
      const ring = newKeyring();
      const good = seal(ring, "s", "p", deploymentLike(400), { compress });
      for (let bit = 0; bit < good.length * 8; bit++) {
        expect(thrownBy(() => unseal(ring, "s", "p", withBitFlipped(good, bit)))).toBeInstanceOf(SealError);
      }
      for (let length = 0; length < good.length; length++) {
        expect(thrownBy(() => unseal(ring, "s", "p", good.subarray(0, length)))).toBeInstanceOf(SealError);
      }
      const longer = Buffer.concat([good, Buffer.alloc(1)]);
      expect(thrownBy(() => unseal(ring, "s", "p", longer))).toBeInstanceOf(SealError);
    },
  );

  it("opens in its own scope, for its own purpose and under its own key only", () => {
    const master = newMaster();
    const ring = createKeyring([master]);
    const good = seal(ring, "ab", "cd", Buffer.from("x"), PACKED);
    for (const [scope, purpose] of [
      ["ab", "ce"],
      ["aa", "cd"],
      ["abc", "d"],
      ["a", "bcd"],
      ["", "abcd"],
    ] as const) {
      expect(thrownBy(() => unseal(ring, scope, purpose, good))).toMatchObject({ code: "damaged" });
    }
    const sameId = createKeyring([{ id: master.id, key: randomBytes(32) }]);
    expect(thrownBy(() => unseal(sameId, "ab", "cd", good))).toMatchObject({ code: "damaged" });
    expect(thrownBy(() => unseal(newKeyring(), "ab", "cd", good))).toMatchObject({ code: "unknown_key" });
  });

  it("reads the old after a rotation and writes under the new", () => {
    const [old, current] = [newMaster(), newMaster()];
    const before = seal(createKeyring([old]), "s", "p", Buffer.from("x"), PACKED);
    const rotated = createKeyring([current, old]);
    expect(Buffer.from(unseal(rotated, "s", "p", before)).toString()).toBe("x");
    const after = seal(rotated, "s", "p", Buffer.from("y"), PACKED);
    expect(Buffer.from(unseal(createKeyring([current]), "s", "p", after)).toString()).toBe("y");
  });

  it("still reads what the first release wrote", () => {
    const ring = createKeyring([{ id: 7, key: Buffer.alloc(32, 1) }]);
    const stored = Buffer.from(
      "AQEAAAAHAAABkEqXLKUVdecdXqsu9Bg/ZZXorln4ztOhnh34nNN2K3O3IyzwIDgIBZ7QqLYNjf3Z",
      "base64",
    );
    expect(Buffer.from(unseal(ring, "stack", "journal", stored)).toString()).toBe("ab".repeat(200));
  });
});

import { type KeyObject, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { canaryFor, checkCanary } from "../../server/crypto/canary.ts";
import { createKeyring, keyIdOf } from "../../server/crypto/keyring.ts";
import { newKeyring, newMaster, withBitFlipped } from "./support.ts";

const MASTER = { id: 7, key: Buffer.alloc(32, 1) };

describe("createKeyring", () => {
  it.each([
    { what: "no key", keys: [] },
    { what: "a short key", keys: [{ id: 1, key: randomBytes(31) }] },
    { what: "a long key", keys: [{ id: 1, key: randomBytes(33) }] },
    { what: "a negative id", keys: [{ ...MASTER, id: -1 }] },
    { what: "an id beyond 32 bits", keys: [{ ...MASTER, id: 2 ** 32 }] },
    { what: "half an id", keys: [{ ...MASTER, id: 0.5 }] },
    { what: "an id twice", keys: [MASTER, { id: 7, key: randomBytes(32) }] },
  ])("refuses $what", ({ keys }) => {
    expect(() => createKeyring(keys)).toThrow(RangeError);
  });

  it("derives a key per master, scope and purpose, always the same", () => {
    const ring = createKeyring([MASTER, { id: 8, key: Buffer.alloc(32, 2) }]);
    const again = createKeyring([MASTER]);
    const names = [
      [7, "a", "x"],
      [8, "a", "x"],
      [7, "b", "x"],
      [7, "a", "y"],
      [7, "ax", ""],
      [7, "", "ax"],
    ] as const;
    const hexOf = (key: KeyObject | null): string => key?.export().toString("hex") ?? "none";
    const derived = names.map(([id, scope, purpose]) => hexOf(ring.scopeKey(id, scope, purpose)));
    expect(new Set(derived).size).toBe(names.length);
    expect(hexOf(again.scopeKey(7, "a", "x"))).toBe(derived[0]);
    expect(ring.scopeKey(9, "a", "x")).toBeNull();
  });

  it("never changes how it derives: what is stored must stay readable", () => {
    const key = createKeyring([MASTER]).scopeKey(7, "stack", "row");
    expect(key?.export().toString("hex")).toBe(
      "4f0c3f6dfdf3cef1d781929a31727cda5b11690199c3101b5218dba21e8a989e",
    );
    expect(keyIdOf(MASTER.key)).toBe(1862413505);
  });

  it("keeps its memory bounded and still gives right keys", () => {
    const ring = createKeyring([MASTER]);
    const first = ring.scopeKey(7, "0", "x");
    expect(ring.scopeKey(7, "0", "x")).toBe(first); // cached
    for (let i = 1; i <= 10_000; i++) ring.scopeKey(7, String(i), "x");
    const rederived = ring.scopeKey(7, "0", "x");
    expect(rederived).not.toBe(first); // it was the oldest
    expect(rederived?.export()).toEqual(first?.export());
  });

  it("keeps what is used often", () => {
    const ring = createKeyring([MASTER]);
    const first = ring.scopeKey(7, "0", "x");
    for (let i = 1; i <= 15_000; i++) {
      ring.scopeKey(7, String(i), "x");
      if (i % 1000 === 0) ring.scopeKey(7, "0", "x");
    }
    expect(ring.scopeKey(7, "0", "x")).toBe(first);
  });
});

describe("keyIdOf", () => {
  it("tells keys apart, within 32 bits", () => {
    const ids = Array.from({ length: 100 }, () => keyIdOf(randomBytes(32)));
    expect(new Set(ids).size).toBe(100);
    for (const id of ids) expect(id).toBe(id >>> 0);
  });
});

describe("canary", () => {
  it("tells the right master key from a wrong one", () => {
    const master = newMaster();
    const canary = canaryFor(createKeyring([master]));
    expect(checkCanary(createKeyring([master]), canary)).toBe("match");
    expect(checkCanary(newKeyring(), canary)).toBe("wrong_key");
    // The same id for another key: only the seal can tell.
    expect(checkCanary(createKeyring([{ id: master.id, key: randomBytes(32) }]), canary)).toBe("wrong_key");
  });

  it("matches after a rotation as long as the old key is there", () => {
    const old = newMaster();
    const canary = canaryFor(createKeyring([old]));
    expect(checkCanary(createKeyring([newMaster(), old]), canary)).toBe("match");
    expect(checkCanary(createKeyring([newMaster()]), canary)).toBe("wrong_key");
  });

  it("takes damage and emptiness for a wrong key", () => {
    const ring = newKeyring();
    expect(checkCanary(ring, withBitFlipped(canaryFor(ring), 300))).toBe("wrong_key");
    expect(checkCanary(ring, new Uint8Array(0))).toBe("wrong_key");
  });
});

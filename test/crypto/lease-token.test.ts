import { expect, it } from "vitest";
import { createKeyring, keyIdOf } from "../../server/crypto/keyring.ts";
import { isOwnLeaseToken, newLeaseToken } from "../../server/crypto/lease-token.ts";

function keyringOf(...fills: number[]) {
  return createKeyring(
    fills.map((fill) => {
      const key = new Uint8Array(32).fill(fill);
      return { id: keyIdOf(key), key };
    }),
  );
}

it("knows its own tokens, also those made before the key was changed", () => {
  const token = newLeaseToken(keyringOf(1));
  expect(token).toMatch(/^lease_[\w-]{80}$/);
  expect(isOwnLeaseToken(keyringOf(1), token)).toBe(true);
  expect(isOwnLeaseToken(keyringOf(2, 1), token)).toBe(true);
  expect(newLeaseToken(keyringOf(1))).not.toBe(token);
});

it("knows no others", () => {
  const keyring = keyringOf(1);
  const token = newLeaseToken(keyring);
  const changed = [...token.slice("lease_".length)].map((letter, index) => {
    const at = index + "lease_".length;
    return `${token.slice(0, at)}${letter === "A" ? "B" : "A"}${token.slice(at + 1)}`;
  });
  for (const other of [
    ...changed,
    newLeaseToken(keyringOf(2)),
    token.slice(0, -1),
    `${token}AAAA`,
    "",
    "lease_",
  ])
    expect(isOwnLeaseToken(keyring, other), other).toBe(false);
});

/** Encryption on behalf of a stack. Plaintexts are bytes from end to end and are never logged. */
import type { StackName } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { SecretError } from "../crypto/errors.ts";
import { decryptSecret, encryptSecret } from "../crypto/secrets.ts";
import { AppError } from "../errors.ts";
import type { OrganizationAccess } from "../rules/access.ts";
import { getStack } from "./state.ts";

/** Values worked on before others get their turn; one costs about 10 µs. */
const VALUES_A_TURN = 500;

/** Base64 plaintexts in, base64 ciphertexts out, in order; each has a nonce of its own. */
export async function encryptValues(
  ctx: Context,
  access: OrganizationAccess,
  name: StackName,
  plaintexts: readonly string[],
): Promise<string[]> {
  const stack = await getStack(ctx, access, name);
  const ciphertexts: string[] = [];
  for (const [index, plaintext] of plaintexts.entries()) {
    if (index % VALUES_A_TURN === VALUES_A_TURN - 1) await nextTurn();
    const sealed = encryptSecret(ctx.keyring, stack.id, bytesOf(plaintext, index));
    ciphertexts.push(Buffer.from(sealed).toString("base64"));
  }
  return ciphertexts;
}

/**
 * Base64 ciphertexts in; a map from each (as it was sent) to its base64 plaintext out. All or nothing.
 * @throws AppError INVALID_CIPHERTEXT naming the index
 */
export async function decryptValues(
  ctx: Context,
  access: OrganizationAccess,
  name: StackName,
  ciphertexts: readonly string[],
): Promise<Map<string, string>> {
  const stack = await getStack(ctx, access, name);
  const plaintexts = new Map<string, string>();
  for (const [index, ciphertext] of ciphertexts.entries()) {
    if (index % VALUES_A_TURN === VALUES_A_TURN - 1) await nextTurn();
    if (plaintexts.has(ciphertext)) continue;
    try {
      const plain = decryptSecret(ctx.keyring, stack.id, bytesOf(ciphertext, index));
      plaintexts.set(ciphertext, Buffer.from(plain).toString("base64"));
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      throw new AppError("INVALID_CIPHERTEXT", { stackId: stack.id }, { detail: `value ${index}` });
    }
  }
  return plaintexts;
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Node skips what isn't base64; a client that sends it has lost something. */
function bytesOf(base64: string, index: number): Buffer {
  if (base64.length % 4 !== 0 || !BASE64.test(base64)) {
    throw new AppError(
      "INVALID_REQUEST",
      {},
      { detail: `value ${index} is not standard base64 with padding` },
    );
  }
  return Buffer.from(base64, "base64");
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Tokens are stored as their SHA-256: they are random enough that a slow hash would add nothing. */
import { createHash } from "node:crypto";

/** Hex. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

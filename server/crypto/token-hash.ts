/** Tokens are stored as their SHA-256: they are random enough that a slow hash would add nothing. */
import { hash } from "node:crypto";

/** Hex. */
export function hashToken(token: string): string {
  return hash("sha256", token, "hex");
}

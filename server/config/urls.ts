/** Addresses of our own server, as they follow from the settings. */
import type { Config } from "./schema.ts";

const EVERY_INTERFACE = new Set(["0.0.0.0", "::"]);
const THIS_MACHINE = new Set(["127.0.0.1", "::1", "localhost", ...EVERY_INTERFACE]);

/** The address to type: the public one, or this machine's with the port that was really taken. */
export function shownUrl(config: Pick<Config, "publicUrl" | "host">, port: number): string {
  if (config.publicUrl !== null) return config.publicUrl;
  return `http://${THIS_MACHINE.has(config.host) ? "localhost" : forUrl(config.host)}:${port}`;
}

/** Where a process on this machine finds the server without a proxy between; null when the port isn't fixed. */
export function directUrl(config: Pick<Config, "host" | "port">): string | null {
  if (config.port === 0) return null;
  const host = EVERY_INTERFACE.has(config.host) ? "127.0.0.1" : config.host;
  return `http://${forUrl(host)}:${config.port}`;
}

/** IPv6 addresses need brackets. */
function forUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

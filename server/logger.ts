/** One logger: JSON for machines, readable on a terminal, and never a secret in either. */
import pino, { type Logger } from "pino";
import type { Config } from "./config/schema.ts";

/**
 * Should these turn up in a logged object or in a request's headers, their value does not. No wildcards: each
 * costs every line, and what is logged is made of ids and numbers in the first place.
 */
const SECRET_MEMBERS = [
  "authorization",
  "token",
  "accessToken",
  "plaintext",
  "plaintexts",
  "ciphertext",
  "ciphertexts",
  "adminToken",
  "encryptionKey",
  "previousEncryptionKeys",
  "metricsToken",
  "password",
];
const REDACTED = [...SECRET_MEMBERS, "headers.authorization", "req.headers.authorization"];
/** Lines wait this long at most before they are written together. */
const FLUSH_MS = 200;
const BUFFER_BYTES = 8 * 1024;

export interface LogSink {
  readonly log: Logger;
  /** Writes what still waits; call it before the process ends. */
  flush(): void;
}

export async function createLogger(config: Pick<Config, "logLevel" | "logFormat">): Promise<LogSink> {
  const options = {
    level: config.logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: REDACTED, censor: "[redacted]" },
  };
  const isPretty =
    config.logFormat === "pretty" || (config.logFormat === "auto" && process.stdout.isTTY === true);
  if (isPretty) {
    const { default: pretty } = await import("pino-pretty");
    return { log: pino(options, pretty({ sync: true, ignore: "pid,hostname" })), flush: () => undefined };
  }
  const destination = pino.destination({ fd: 1, sync: false, minLength: BUFFER_BYTES });
  const log = pino(options, destination);
  const timer = setInterval(() => destination.flush(), FLUSH_MS);
  timer.unref();
  const flush = () => {
    clearInterval(timer);
    try {
      destination.flushSync();
    } catch {
      // Nobody reads the log any more (a closed pipe); there is no place left to say so.
    }
  };
  return { log, flush };
}

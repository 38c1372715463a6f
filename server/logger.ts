/** One logger: JSON for machines, readable on a terminal, and never a secret in either. */
import pino, { type Logger } from "pino";
import type { Config } from "./config/schema.ts";

/** Wherever these turn up in a logged object, their value does not. */
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
const REDACTED = SECRET_MEMBERS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
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

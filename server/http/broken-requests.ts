/** What never becomes a request (too slow, no HTTP) is answered in the protocol's shape, and cut off. */
import { type Server, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { AppError } from "../errors.ts";

function asAppError(cause: NodeJS.ErrnoException): AppError {
  switch (cause.code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new AppError("REQUEST_TIMEOUT", {}, { cause });
    case "HPE_HEADER_OVERFLOW":
      return new AppError("INVALID_REQUEST", {}, { cause, detail: "its headers are too large" });
    default:
      return new AppError("INVALID_REQUEST", {}, { cause, detail: "it is not HTTP" });
  }
}

/** An answer whose head is out already can't be replaced by another. */
function isAnswering(socket: Duplex): boolean {
  const { _httpMessage: answer } = socket as {
    readonly _httpMessage?: { readonly headersSent: boolean } | null;
  };
  return answer?.headersSent === true;
}

export function answerBrokenRequests(server: Server, log: Logger): void {
  server.on("clientError", (cause: NodeJS.ErrnoException, socket) => {
    log.debug({ reason: cause.code }, "a request broke off");
    if (cause.code === "ECONNRESET" || !socket.writable || isAnswering(socket)) {
      socket.destroy();
      return;
    }
    const { status, message } = asAppError(cause);
    const body = JSON.stringify({ code: status, message });
    const head = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      "content-type: application/json",
      `content-length: ${Buffer.byteLength(body)}`,
      "connection: close",
    ];
    // Whoever doesn't read it must not keep the connection either.
    socket.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => socket.destroy());
  });
}

/** One handler turns every error into the protocol's answer: `{code, message}` with `code` the HTTP status. */
import type { NextFunction, Request, Response } from "express";
import type { Logger } from "pino";
import { DatabaseReadOnlyError, DatabaseUnavailableError } from "../../db-adapters/contract.ts";
import { BlobStoreUnavailableError } from "../../storage-adapters/contract.ts";
import { DocumentTooLargeError } from "../blobs/documents.ts";
import { AppError, ERRORS } from "../errors.ts";
import type { Health } from "./health.ts";
import { sendJson } from "./json.ts";
import { answerUnread } from "./unread.ts";

/** What of an error a client may see. Anything unforeseen is INTERNAL, with the details in the log alone. */
export function asAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof DatabaseUnavailableError || error instanceof BlobStoreUnavailableError) {
    return new AppError("UNAVAILABLE", {}, { cause: error });
  }
  if (error instanceof DatabaseReadOnlyError) {
    return new AppError(error.isMoved ? "MOVED" : "READ_ONLY", {}, { detail: error.message });
  }
  if (error instanceof DocumentTooLargeError) {
    return new AppError("BODY_TOO_LARGE", {}, { cause: error, detail: `at most ${error.maxBytes} bytes` });
  }
  // Express reports a path it can't decode this way.
  if (error instanceof URIError)
    return new AppError("INVALID_REQUEST", {}, { detail: "the path is not valid" });
  return new AppError("INTERNAL", {}, { cause: error });
}

export function notFound(_req: Request, _res: Response, next: NextFunction): void {
  next(new AppError("ROUTE_NOT_FOUND"));
}

function hasBody({ headers }: Request): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

/** The last middleware. With a body already begun, the only honest answer left is to cut the connection. */
export function failureHandler(log: Logger, health: Health) {
  return (thrown: unknown, req: Request, res: Response, _next: NextFunction): void => {
    const error = asAppError(thrown);
    const { status } = ERRORS[error.code];
    const line = { reqId: res.locals.requestId, code: error.code, ...error.context };
    if (status >= 500) log.error({ ...line, err: error.cause ?? error }, error.message);
    else log.debug(line, error.message);
    res.locals.errorCode = error.code;
    if (error.code === "UNAVAILABLE") health.isStorageInDoubt = true;
    if (res.headersSent) {
      res.destroy();
      return;
    }
    if (error.code === "UNAVAILABLE" || error.code === "READ_ONLY") res.setHeader("retry-after", "2");
    const answer = { code: status, message: error.message };
    if (req.complete || !hasBody(req)) sendJson(res, status, answer);
    else answerUnread(req, res, status, answer);
  };
}

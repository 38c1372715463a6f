/** JSON in and out of requests: bounded depth, typed by zod, errors in words. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { z } from "zod";
import { AppError, shortened } from "../errors.ts";
import { readBody } from "./body.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Members are named by whoever sent them. */
const PLACE_CHARS_MAX = 100;

/** Nesting of a JSON text that may be invalid: only brackets outside strings count. */
function exceedsDepth(text: Uint8Array, depthMax: number): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const byte = text[i];
    if (inString) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > depthMax) return true;
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return false;
}

/**
 * Parses a body. An empty one is `undefined`, the literal `null` is null: the CLI sends both.
 * @throws AppError MALFORMED_BODY
 */
export function parseJson(body: Uint8Array, depthMax: number): unknown {
  if (body.byteLength === 0) return undefined;
  if (exceedsDepth(body, depthMax)) {
    throw new AppError("MALFORMED_BODY", { depthMax }, { detail: `JSON nested deeper than ${depthMax}` });
  }
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"));
  } catch (error) {
    throw new AppError("MALFORMED_BODY", {}, { cause: error, detail: "it is not valid JSON" });
  }
}

/**
 * Checks a value against a schema. The message names the places, never the values: a body may hold secrets.
 * @throws AppError INVALID_REQUEST
 */
export function check<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const places = parsed.error.issues.slice(0, 5).map((issue) => {
    const path = shortened(issue.path.map(String).join("."), PLACE_CHARS_MAX);
    const message = shortened(issue.message, PLACE_CHARS_MAX);
    return path === "" ? message : `${path}: ${message}`;
  });
  throw new AppError("INVALID_REQUEST", {}, { detail: places.join("; ") });
}

/** Reads, parses and checks a body in one go. */
export async function readJson<S extends z.ZodType>(
  req: IncomingMessage,
  schema: S,
  limits: { readonly jsonBytesMax: number; readonly jsonDepthMax: number },
): Promise<z.output<S>> {
  const body = await readBody(req, limits.jsonBytesMax);
  return check(schema, parseJson(body, limits.jsonDepthMax) ?? {});
}

/**
 * Sends a document. Express's own `json` also computes an ETag, which no CLI asks for. As text, because Node writes
 * that in one piece with the head.
 */
export function sendJson(res: ServerResponse, status: number, value: unknown): void {
  const text = JSON.stringify(value);
  res.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  res.end(text);
}

export function sendEmpty(res: ServerResponse): void {
  res.writeHead(204);
  res.end();
}

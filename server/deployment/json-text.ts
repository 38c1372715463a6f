/** Text in and out of raw JSON bytes. */

interface CachedKey {
  readonly bytes: Uint8Array;
  readonly text: string;
}

const CACHED_KEY_BYTES_MAX = 32;
const BACKSLASH = 0x5c;
const QUOTE = 0x22;

/** Member names repeat for every resource: the same few are decoded once. A slot is overwritten on a clash. */
const keyCache: (CachedKey | undefined)[] = new Array(512).fill(undefined);

/** The member name whose bytes, without the quotes, are `bytes[start..end)`; they are valid JSON. */
export function decodeKey(bytes: Uint8Array, start: number, end: number): string {
  const length = end - start;
  if (length > CACHED_KEY_BYTES_MAX) return decodeQuoted(bytes, start, end);
  let hash = length;
  for (let i = start; i < end; i += 1) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0;
  const slot = hash & 511;
  const cached = keyCache[slot];
  if (cached !== undefined && sameBytes(cached.bytes, bytes, start, length)) return cached.text;
  const text = decodeQuoted(bytes, start, end);
  keyCache[slot] = { bytes: copyOf(bytes.subarray(start, end)), text };
  return text;
}

function sameBytes(expected: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (expected.length !== length) return false;
  for (let i = 0; i < length; i += 1) if (expected[i] !== bytes[start + i]) return false;
  return true;
}

function decodeQuoted(bytes: Uint8Array, start: number, end: number): string {
  const text = utf8(bytes, start, end);
  if (!text.includes("\\")) return text;
  return JSON.parse(`"${text}"`) as string;
}

function utf8(bytes: Uint8Array, start = 0, end = bytes.length): string {
  return asBuffer(bytes).toString("utf8", start, end);
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The text of a raw JSON string (quotes included), or null when the value is not a string. */
export function stringOf(raw: Uint8Array): string | null {
  if (raw[0] !== QUOTE) return null;
  if (raw.indexOf(BACKSLASH) < 0) return utf8(raw, 1, raw.length - 1);
  return JSON.parse(utf8(raw)) as string;
}

/** A small raw JSON value as JavaScript sees it. Only for values that are inspected, never for ones stored again. */
export function parsedJson(raw: Uint8Array): unknown {
  return JSON.parse(utf8(raw)) as unknown;
}

/** The whole number that a raw JSON value holds, or null when it is anything else or not exact in a double. */
export function safeIntegerOf(raw: Uint8Array): number | null {
  const isNegative = raw[0] === 0x2d;
  let value = 0;
  for (let i = isNegative ? 1 : 0; i < raw.length; i += 1) {
    const digit = (raw[i] as number) - 0x30;
    if (digit < 0 || digit > 9) return null;
    value = value * 10 + digit;
    if (value > Number.MAX_SAFE_INTEGER) return null;
  }
  return isNegative ? 0 - value : value;
}

/** Bytes of its own memory; `slice` of a Buffer would share it. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

export function isNull(raw: Uint8Array): boolean {
  return raw[0] === 0x6e;
}

export function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value), "utf8");
}

/** The same JSON without the white space between its tokens. */
export function compactJson(raw: Uint8Array): Uint8Array {
  const out = new Uint8Array(raw.length);
  let length = 0;
  let inString = false;
  for (let i = 0; i < raw.length; i += 1) {
    const byte = raw[i] as number;
    if (!inString && (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09)) continue;
    out[length] = byte;
    length += 1;
    if (byte === QUOTE) inString = !inString;
    else if (byte === BACKSLASH) {
      i += 1; // a backslash occurs in strings only; what it escapes is never the closing quote
      out[length] = raw[i] as number;
      length += 1;
    }
  }
  return out.subarray(0, length);
}

/**
 * A push scanner for JSON (RFC 8259) over byte chunks. It checks the whole syntax, never recurses, and shows its
 * handler only the containers the handler chose to enter; everything else flows past without being held.
 * Bytes inside strings are not checked to be UTF-8: the CLI's own decoder accepts anything there.
 */
import { copyOf, decodeKey } from "./json-text.ts";

export type ScanFailure = "malformed_json" | "too_deep" | "value_too_large";

export class JsonScanError extends Error {
  override readonly name = "JsonScanError";
  readonly reason: ScanFailure;
  /** Bytes from the start of the scanned input. */
  readonly offset: number;
  constructor(reason: ScanFailure, message: string, offset: number) {
    super(`${message} at byte ${offset}`);
    this.reason = reason;
    this.offset = offset;
  }
}

export const DEPTH_MAX_DEFAULT = 512;

/** What to do with a value: let it pass, report what is inside it (containers only), or collect its bytes. */
export const SKIP = 0;
export const ENTER = 1;
export const CAPTURE = 2;
export type ScanAction = typeof SKIP | typeof ENTER | typeof CAPTURE;

/** `depth` counts the containers around the thing reported; all of them were entered. Offsets are absolute. */
export interface ScanHandler {
  /** A value begins with `firstByte`, which tells its type. */
  begin(depth: number, offset: number, firstByte: number): ScanAction;
  /** The name of the object member whose value comes next. */
  key(depth: number, name: string): void;
  /** The value ended before `offset`. `raw`, set for captured values, may be a view of the chunk just written. */
  end(depth: number, offset: number, raw: Uint8Array | null): void;
}

export const QUOTE = 0x22;
export const OPEN_BRACE = 0x7b;
export const OPEN_BRACKET = 0x5b;
const CLOSE_BRACE = 0x7d;
const CLOSE_BRACKET = 0x5d;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;

const AT_VALUE = 0;
const AT_ELEMENT_OR_CLOSE = 1;
const AT_KEY_OR_CLOSE = 2;
const AT_KEY = 3;
const AT_COLON = 4;
const AFTER_VALUE = 5;
const IN_STRING = 6;
const IN_ESCAPE = 7;
const IN_HEX = 8;
const IN_LITERAL = 9;
// Numbers: which part of the grammar the last byte was. The four from ZERO_DIGIT on may end the number.
const NUMBER_MINUS = 10;
const NUMBER_DOT = 11;
const NUMBER_E = 12;
const NUMBER_SIGN = 13;
const NUMBER_ZERO = 14;
const NUMBER_INTEGER = 15;
const NUMBER_FRACTION = 16;
const NUMBER_EXPONENT = 17;

const LITERALS: Readonly<Record<number, string>> = { 116: "true", 102: "false", 110: "null" };

/** 1 for a byte that may stand for itself inside a string. */
const PLAIN = new Uint8Array(256).fill(1);
PLAIN.fill(0, 0, 0x20);
PLAIN[QUOTE] = 0;
PLAIN[BACKSLASH] = 0;

const ESCAPES = new Uint8Array(256);
for (const letter of '"\\/bfnrt') ESCAPES[letter.charCodeAt(0)] = 1;

const HEX = new Uint8Array(256);
for (const digit of "0123456789abcdefABCDEF") HEX[digit.charCodeAt(0)] = 1;

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

/** The state after `byte` within a number in `state`; -1 when the byte is not part of the number. */
function numberStep(state: number, byte: number): number {
  const digit = isDigit(byte);
  const exponent = byte === 0x65 || byte === 0x45;
  switch (state) {
    case NUMBER_MINUS:
      return byte === ZERO ? NUMBER_ZERO : digit ? NUMBER_INTEGER : -1;
    case NUMBER_ZERO:
    case NUMBER_INTEGER:
      if (digit) return state === NUMBER_INTEGER ? state : -1;
      return byte === DOT ? NUMBER_DOT : exponent ? NUMBER_E : -1;
    case NUMBER_DOT:
      return digit ? NUMBER_FRACTION : -1;
    case NUMBER_FRACTION:
      return digit ? state : exponent ? NUMBER_E : -1;
    case NUMBER_E:
      if (byte === PLUS || byte === MINUS) return NUMBER_SIGN;
      return digit ? NUMBER_EXPONENT : -1;
    default:
      return digit ? NUMBER_EXPONENT : -1;
  }
}

/** One pass over one JSON text: `write` its chunks, then `end`. Both throw JsonScanError; after that it is spent. */
export class JsonScanner {
  private readonly handler: ScanHandler;
  private readonly depthMax: number;
  private state = AT_VALUE;
  private depth = 0;
  /** Events are reported while `depth` equals this: every container that is open was entered. */
  private watched = 0;
  private rootDone = false;
  /** For each open container 1 if it is an object. */
  private objects = new Uint8Array(32);
  private stringIsKey = false;
  private hexLeft = 0;
  private literal = "";
  private literalAt = 0;
  /** Offset of the current chunk's first byte. */
  private base = 0;
  /** Index in the chunk from which bytes are being collected, or -1. */
  private collectFrom = -1;
  private collected: Uint8Array[] = [];

  private collectedBytes = 0;
  private readonly collectedBytesMax: number;

  /** `collectedBytesMax` bounds one captured value: what streams past may be as large as it likes. */
  constructor(
    handler: ScanHandler,
    depthMax = DEPTH_MAX_DEFAULT,
    collectedBytesMax = Number.POSITIVE_INFINITY,
  ) {
    this.handler = handler;
    this.depthMax = depthMax;
    this.collectedBytesMax = collectedBytesMax;
  }

  write(chunk: Uint8Array): void {
    const length = chunk.length;
    let i = 0;
    while (i < length) {
      if (this.state === IN_STRING) {
        while (i < length && PLAIN[chunk[i] as number] === 1) i += 1;
        if (i === length) break;
        i = this.stringByte(chunk, i);
        continue;
      }
      const byte = chunk[i] as number;
      if (this.state < IN_STRING && (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09)) {
        i += 1;
        continue;
      }
      i = this.step(chunk, i, byte);
    }
    if (this.collectFrom >= 0) {
      this.collected.push(copyOf(chunk.subarray(this.collectFrom)));
      this.collectedBytes += length - this.collectFrom;
      if (this.collectedBytes > this.collectedBytesMax) {
        const message = `A value of more than ${this.collectedBytesMax} bytes that has to be read whole ends`;
        throw new JsonScanError("value_too_large", message, this.base + length);
      }
      this.collectFrom = 0;
    }
    this.base += length;
  }

  end(): void {
    if (this.state >= NUMBER_ZERO) this.valueEnded(EMPTY, 0);
    if (!this.rootDone || this.state !== AFTER_VALUE) this.fail("Unexpected end of JSON", 0);
  }

  /** Handles one byte outside plain string content and returns the index of the next byte to look at. */
  private step(chunk: Uint8Array, i: number, byte: number): number {
    switch (this.state) {
      case AFTER_VALUE:
        return this.afterValue(chunk, i, byte);
      case AT_KEY_OR_CLOSE:
      case AT_KEY:
        if (byte === QUOTE) {
          this.state = IN_STRING;
          this.stringIsKey = true;
          if (this.depth === this.watched) this.collectFrom = i + 1;
          return i + 1;
        }
        if (byte === CLOSE_BRACE && this.state === AT_KEY_OR_CLOSE) return this.close(chunk, i, 1);
        return this.fail("Expected a member name", i);
      case AT_COLON:
        if (byte !== COLON) this.fail("Expected a colon", i);
        this.state = AT_VALUE;
        return i + 1;
      case AT_ELEMENT_OR_CLOSE:
        if (byte === CLOSE_BRACKET) return this.close(chunk, i, 0);
        return this.beginValue(i, byte);
      case AT_VALUE:
        return this.beginValue(i, byte);
      case IN_ESCAPE:
        if (byte === 0x75) {
          this.state = IN_HEX;
          this.hexLeft = 4;
        } else if (ESCAPES[byte] === 1) this.state = IN_STRING;
        else this.fail("Unknown escape in a string", i);
        return i + 1;
      case IN_HEX:
        if (HEX[byte] !== 1) this.fail("Expected a hex digit", i);
        this.hexLeft -= 1;
        if (this.hexLeft === 0) this.state = IN_STRING;
        return i + 1;
      case IN_LITERAL:
        if (byte !== this.literal.charCodeAt(this.literalAt)) this.fail("Unknown word", i);
        this.literalAt += 1;
        if (this.literalAt === this.literal.length) this.valueEnded(chunk, i + 1);
        return i + 1;
      default:
        return this.inNumber(chunk, i);
    }
  }

  private stringByte(chunk: Uint8Array, i: number): number {
    const byte = chunk[i];
    if (byte === BACKSLASH) this.state = IN_ESCAPE;
    else if (byte !== QUOTE) this.fail("Control character in a string", i);
    else if (!this.stringIsKey) this.valueEnded(chunk, i + 1);
    else {
      this.stringIsKey = false;
      this.state = AT_COLON;
      if (this.depth === this.watched) this.keyEnded(chunk, i);
    }
    return i + 1;
  }

  private keyEnded(chunk: Uint8Array, i: number): void {
    const from = this.collectFrom;
    if (this.collected.length === 0) {
      this.collectFrom = -1;
      this.handler.key(this.depth, decodeKey(chunk, from, i));
      return;
    }
    const name = this.takeCollected(chunk, i);
    this.handler.key(this.depth, decodeKey(name, 0, name.length));
  }

  private beginValue(i: number, byte: number): number {
    const watched = this.depth === this.watched;
    const action = watched ? this.handler.begin(this.depth, this.base + i, byte) : SKIP;
    if (action === CAPTURE) this.collectFrom = i;
    if (byte === QUOTE) this.state = IN_STRING;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.open(i, byte, action);
    else if (byte === MINUS) this.state = NUMBER_MINUS;
    else if (isDigit(byte)) this.state = byte === ZERO ? NUMBER_ZERO : NUMBER_INTEGER;
    else {
      const literal = LITERALS[byte];
      if (literal === undefined) return this.fail("Expected a value", i);
      this.state = IN_LITERAL;
      this.literal = literal;
      this.literalAt = 1;
    }
    return i + 1;
  }

  private open(i: number, byte: number, action: ScanAction): void {
    if (this.depth >= this.depthMax) {
      throw new JsonScanError("too_deep", `More than ${this.depthMax} levels of nesting`, this.base + i);
    }
    if (this.depth === this.objects.length) {
      const larger = new Uint8Array(this.depth * 2);
      larger.set(this.objects);
      this.objects = larger;
    }
    const isObject = byte === OPEN_BRACE;
    this.objects[this.depth] = isObject ? 1 : 0;
    this.depth += 1;
    if (action === ENTER) this.watched = this.depth;
    this.state = isObject ? AT_KEY_OR_CLOSE : AT_ELEMENT_OR_CLOSE;
  }

  private close(chunk: Uint8Array, i: number, isObject: 0 | 1): number {
    if (this.depth === 0 || this.objects[this.depth - 1] !== isObject)
      this.fail("Unexpected closing bracket", i);
    this.depth -= 1;
    if (this.watched > this.depth) this.watched = this.depth;
    this.valueEnded(chunk, i + 1);
    return i + 1;
  }

  private afterValue(chunk: Uint8Array, i: number, byte: number): number {
    if (this.depth === 0) return this.fail("Unexpected text after the JSON value", i);
    if (byte === COMMA) {
      this.state = this.objects[this.depth - 1] === 1 ? AT_KEY : AT_VALUE;
      return i + 1;
    }
    if (byte === CLOSE_BRACE) return this.close(chunk, i, 1);
    if (byte === CLOSE_BRACKET) return this.close(chunk, i, 0);
    return this.fail("Expected a comma or a closing bracket", i);
  }

  private inNumber(chunk: Uint8Array, from: number): number {
    let i = from;
    while (i < chunk.length) {
      const next = numberStep(this.state, chunk[i] as number);
      if (next < 0) {
        if (this.state < NUMBER_ZERO) this.fail("Malformed number", i);
        this.valueEnded(chunk, i);
        return i;
      }
      this.state = next;
      i += 1;
    }
    return i;
  }

  /** A value ended before index `i` of the chunk. */
  private valueEnded(chunk: Uint8Array, i: number): void {
    this.state = AFTER_VALUE;
    if (this.depth === 0) this.rootDone = true;
    if (this.depth !== this.watched) return;
    const raw = this.collectFrom < 0 ? null : this.takeCollected(chunk, i);
    this.handler.end(this.depth, this.base + i, raw);
  }

  private takeCollected(chunk: Uint8Array, i: number): Uint8Array {
    const last = chunk.subarray(this.collectFrom, i);
    this.collectFrom = -1;
    if (this.collected.length === 0) return last;
    const raw = Buffer.concat([...this.collected, last]);
    this.collected = [];
    this.collectedBytes = 0;
    return raw;
  }

  private fail(message: string, i: number): never {
    throw new JsonScanError("malformed_json", message, this.base + i);
  }
}

const EMPTY = new Uint8Array(0);

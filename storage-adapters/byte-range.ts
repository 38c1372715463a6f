/** Half-open: `[startByte, endByte)`. */
export interface ByteRange {
  readonly startByte: number;
  readonly endByte: number;
}

/** @throws RangeError unless 0 <= startByte <= endByte, whole numbers both */
export function checkRange({ startByte, endByte }: ByteRange): void {
  const isRange = Number.isSafeInteger(startByte) && Number.isSafeInteger(endByte);
  if (!isRange || startByte < 0 || endByte < startByte) throw new RangeError("Not a range of bytes");
}

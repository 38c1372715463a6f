/** Lets ranges of a chunked byte stream through and puts other bytes between them. All offsets are absolute. */
export class ByteGate {
  private chunk: Uint8Array = new Uint8Array(0);
  /** Offset of the chunk's first byte. */
  private base = 0;
  private openFrom: number | null = null;
  private pieces: Uint8Array[] = [];

  /** To be called before the chunk is looked at; offsets given meanwhile lie within it or at its end. */
  begin(chunk: Uint8Array): void {
    this.base += this.chunk.length;
    this.chunk = chunk;
  }

  open(offset: number): void {
    this.openFrom = offset;
  }

  close(offset: number): void {
    if (this.openFrom === null) return;
    this.push(this.chunk.subarray(Math.max(0, this.openFrom - this.base), offset - this.base));
    this.openFrom = null;
  }

  insert(bytes: Uint8Array): void {
    this.push(bytes);
  }

  /** What came through since the last call: views of the chunk and inserted bytes, none of them empty. */
  take(): readonly Uint8Array[] {
    if (this.openFrom !== null) {
      const end = this.base + this.chunk.length;
      this.close(end);
      this.open(end);
    }
    const pieces = this.pieces;
    this.pieces = [];
    return pieces;
  }

  private push(bytes: Uint8Array): void {
    if (bytes.length > 0) this.pieces.push(bytes);
  }
}

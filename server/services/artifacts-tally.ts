import { createHash, type Hash } from "node:crypto";
import { AppError } from "../errors.ts";

/** What the client says the bytes are; checked where given. */
export interface Expected {
  /** Hex. */
  readonly sha256?: string | undefined;
  /** Hex. */
  readonly md5?: string | undefined;
  readonly sizeBytes?: number | undefined;
}

/** Counts and hashes plain bytes as they pass; throws at their end unless they are what was expected. */
export class Tally {
  readonly #sha256 = createHash("sha256");
  readonly #md5: Hash | null;
  readonly #expected: Expected;
  readonly #tooMany: (sizeBytes: number) => AppError | null;
  sizeBytes = 0;
  sha256 = "";

  constructor(expected: Expected, tooMany: (sizeBytes: number) => AppError | null) {
    this.#expected = expected;
    this.#md5 = expected.md5 === undefined ? null : createHash("md5");
    this.#tooMany = tooMany;
  }

  async *of(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of body) {
      this.sizeBytes += chunk.length;
      const problem = this.#tooMany(this.sizeBytes);
      if (problem !== null) throw problem;
      this.#sha256.update(chunk);
      this.#md5?.update(chunk);
      yield chunk;
    }
    this.sha256 = this.#sha256.digest("hex");
    const { sha256, md5, sizeBytes } = this.#expected;
    const isRight =
      (sha256 ?? this.sha256) === this.sha256 &&
      (sizeBytes ?? this.sizeBytes) === this.sizeBytes &&
      (this.#md5 === null || this.#md5.digest("hex") === md5);
    if (!isRight) throw new AppError("ARTIFACT_CHECKSUM", { sizeBytes: this.sizeBytes });
  }
}

/**
 * multer's storage engine for artifacts: each file is sealed into the file store as it arrives. Nothing is
 * buffered whole; a file that isn't wanted after all is removed again.
 */
import type { Request } from "express";
import multer from "multer";
import type { Context } from "../context.ts";
import { AppError } from "../errors.ts";
import type { OrganizationAccess } from "../rules/access.ts";
import {
  dropFiles,
  type ReceivedFile,
  receiveFile,
  type UploadFacts,
} from "../services/artifacts-uploads.ts";
import { Sha256 } from "./view.ts";

const FIELD_BYTES_MAX = 1024;

type Stored = Express.Multer.File & { received?: ReceivedFile };

class ArtifactStorage implements multer.StorageEngine {
  readonly #receive: (file: Express.Multer.File, sha256: string | undefined) => Promise<ReceivedFile>;
  readonly #drop: (file: ReceivedFile) => Promise<void>;
  #digestsUsed = 0;

  constructor(
    receive: (file: Express.Multer.File, sha256: string | undefined) => Promise<ReceivedFile>,
    drop: (file: ReceivedFile) => Promise<void>,
  ) {
    this.#receive = receive;
    this.#drop = drop;
  }

  _handleFile(
    req: Request,
    file: Express.Multer.File,
    done: (error?: unknown, info?: Partial<Stored>) => void,
  ) {
    this.#store(req, file).then(
      (received) => done(null, { received, size: received.sizeBytes }),
      (error: unknown) => {
        file.stream.resume(); // what is left of it is passed over, so that the answer can be sent
        done(error);
      },
    );
  }

  _removeFile(_req: Request, file: Stored, done: (error: Error | null) => void): void {
    if (file.received === undefined) done(null);
    else this.#drop(file.received).then(() => done(null), done);
  }

  async #store(req: Request, file: Express.Multer.File): Promise<ReceivedFile> {
    return this.#receive(file, this.#nextDigest(req.body?.sha256));
  }

  /** A field `sha256` is that of the next file. */
  #nextDigest(field: unknown): string | undefined {
    const given = [field ?? []].flat();
    if (given.length <= this.#digestsUsed) return undefined;
    this.#digestsUsed = given.length;
    const parsed = Sha256.safeParse(given.at(-1));
    if (parsed.success) return parsed.data;
    throw new AppError("INVALID_REQUEST", {}, { detail: "a field sha256 has 64 hexadecimal digits" });
  }
}

/** Stores all files of a multipart body, or none. @throws AppError */
export async function receiveForm(
  call: { readonly ctx: Context; readonly access: OrganizationAccess; readonly req: Request },
  facts: UploadFacts,
): Promise<ReceivedFile[]> {
  const { ctx, access, req } = call;
  const storage = new ArtifactStorage(
    (file, sha256) => {
      const { originalname: name, mimetype: contentType, stream } = file;
      // Not destroyed when we stop early: multer still has to pass over what is left of it.
      const body = stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
      return receiveFile(ctx, access, facts, { name, contentType, expected: { sha256 } }, body);
    },
    (file) => dropFiles(ctx, [file]),
  );
  const filesMax = ctx.config.artifactFilesMax;
  const upload = multer({
    storage,
    preservePath: true, // folders are part of a name, and are checked with it
    defParamCharset: "utf8",
    limits: { files: filesMax, fields: filesMax, fieldSize: FIELD_BYTES_MAX, headerPairs: 20 },
  }).any();
  await new Promise<void>((resolve, reject) => {
    const { res } = req;
    if (res === undefined) throw new Error("a request without its response");
    upload(req, res, (error: unknown) => (error ? reject(asAppError(error)) : resolve()));
  });
  const files = (Array.isArray(req.files) ? req.files : []) as Stored[];
  return files.map((file) => file.received).filter((it) => it !== undefined);
}

function asAppError(error: unknown): unknown {
  if (error instanceof AppError) return error;
  if (error instanceof multer.MulterError) {
    return new AppError("INVALID_REQUEST", {}, { cause: error, detail: error.message.toLowerCase() });
  }
  const isForm = error instanceof Error && /form|boundary|part|header|abort|closed/i.test(error.message);
  if (!isForm) return error;
  const detail = "the multipart data is damaged or was cut off";
  return new AppError("MALFORMED_BODY", {}, { cause: error, detail });
}

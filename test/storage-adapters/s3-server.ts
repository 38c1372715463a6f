/**
 * s3rver in a process of its own: `node --openssl-legacy-provider s3-server.ts <bucket>…` (it makes its page
 * tokens with DES). Prints its port, and ends when its standard input does.
 */
import { createRequire } from "node:module";
import { MemoryStore } from "./s3-store.ts";

interface Koa {
  context: { store: unknown };
  store: unknown;
  middleware: Middleware[];
  use(middleware: Middleware): void;
  run(): Promise<{ port: number }>;
}
interface KoaContext {
  readonly method: string;
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly params?: { readonly bucket?: string };
  readonly path: string;
  status: number;
  body: unknown;
  state: { methodIsNotAllowed?: boolean };
}
type Middleware = (ctx: KoaContext, next: () => Promise<void>) => Promise<void>;

const require = createRequire(import.meta.url);
const S3rver: new (options: Record<string, unknown>) => Koa = require("s3rver");

const server = new S3rver({
  port: 0,
  address: "127.0.0.1",
  silent: true,
  vhostBuckets: false,
  configureBuckets: process.argv.slice(2).map((name) => ({ name })),
});
const store = new MemoryStore();
server.store = server.context.store = store;

// Before the router, which is the last: what it says it can't do after it has checked key and bucket, we do.
const router = server.middleware.pop();
if (router === undefined) throw new Error("s3rver has no router");
server.use(async (ctx, next) => {
  try {
    await next();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    const uploadId = ctx.query.uploadId;
    if (ctx.method === "DELETE" && code === "MethodNotAllowed" && uploadId !== undefined) {
      store.abortUpload(uploadId);
      ctx.status = 204;
    } else if (ctx.method === "GET" && code === "NotImplemented" && "uploads" in ctx.query) {
      ctx.body = uploadsPage(ctx);
    } else throw error;
  }
});
server.use(router);

function uploadsPage({ path, query }: KoaContext) {
  const bucket = path.split("/")[1] ?? "";
  const pageMax = Math.min(Number(query["max-uploads"] ?? 1000), 1000);
  const marker = `${query["key-marker"] ?? ""}\0${query["upload-id-marker"] ?? ""}`;
  const all = [...store.uploads.values()]
    .filter((upload) => upload.bucket === bucket && upload.key.startsWith(query.prefix ?? ""))
    .map((upload) => ({ ...upload, place: `${upload.key}\0${upload.uploadId}` }))
    .filter((upload) => upload.place > marker)
    .sort((a, b) => (a.place < b.place ? -1 : 1));
  const page = all.slice(0, pageMax);
  const last = page.at(-1);
  const isTruncated = all.length > page.length;
  return {
    ListMultipartUploadsResult: {
      Bucket: bucket,
      IsTruncated: isTruncated,
      ...(isTruncated && { NextKeyMarker: last?.key, NextUploadIdMarker: last?.uploadId }),
      Upload: page.map(({ key, uploadId, initiatedMs }) => ({
        Key: key,
        UploadId: uploadId,
        Initiated: new Date(initiatedMs).toISOString(),
      })),
    },
  };
}

const { port } = await server.run();
process.stdout.write(`${port}\n`);
process.stdin.resume().once("end", () => process.exit(0));

/**
 * Runs one synthesis and writes it to stdout as JSON: the bundled sst.config.ts and SST's components against
 * Pulumi's mocks, with no AWS, no engine and no provider. Argument: the bundle; stdin: a SynthInput.
 */
import { readFileSync, writeSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { answer, computed, REGION } from "./answers.ts";
import { PLATFORM, ROOT } from "./bundle.ts";
import type { Resource, SynthInput } from "./case.ts";

const SECRET_KEY = "4dabf18193072939515e22adb298388d";

interface Request {
  getType(): string;
  getName(): string;
  getProtect(): boolean;
  getRetainondelete(): boolean;
  getDeletebeforereplacedefined(): boolean;
  getDeletebeforereplace(): boolean;
  getIgnorechangesList(): string[];
}

type Values = Record<string, unknown>;
interface NewResource {
  type: string;
  name: string;
  inputs: Values;
  custom?: boolean;
}

interface Runtime {
  setAllConfig(config: Record<string, string>): void;
  setMocks(mocks: unknown, project: string, stack: string, preview: boolean): Promise<void>;
  setMockOptions(monitor: unknown, project: string, stack: string, preview: boolean): void;
  runInPulumiStack(program: () => Promise<unknown>): Promise<unknown>;
}

// Pulumi takes a stack trace per promise; only messages are looked at here.
Error.stackTraceLimit = 0;

const input = JSON.parse(readFileSync(0, "utf8")) as SynthInput;
const requirePlatform = createRequire(join(PLATFORM, "package.json"));
const pulumi = requirePlatform("@pulumi/pulumi") as { runtime: Runtime };
const { MockMonitor } = requirePlatform("@pulumi/pulumi/runtime/mocks") as {
  MockMonitor: new (mocks: unknown) => { registerResource(request: Request, done: unknown): Promise<void> };
};

const resources: Resource[] = [];
const errors = new Set<string>();
const warnings = new Set<string>();
let options: Omit<Resource, "type" | "name" | "id" | "inputs" | "custom"> | null = null;
let outputs: unknown = {};

const mocks = {
  call({ token, inputs }: { token: string; inputs: Values }): Values {
    const given = input.calls?.[token];
    return given === undefined ? answer(token, plain(inputs) as Values) : (given as Values);
  },
  newResource({ type, name, inputs, custom }: NewResource) {
    const id = `${name}-id`;
    const service = type.split(":")[1]?.split("/")[0] ?? "x";
    const region = /^aws:(iam|s3|route53|cloudfront)/.test(type) ? "" : REGION;
    const arn = `arn:aws:${service}:${region}:123456789012:${type.split(":").at(-1)}/${name}`;
    if (options !== null)
      resources.push({ type, name, id, inputs: plain(inputs), custom: custom ?? false, ...options });
    return {
      id,
      state: { arn, name, urlSuffix: "x", ...inputs, ...computed(type, name, plain(inputs) as Values) },
    };
  },
};

/** Reads from the request what mocks are not told. `newResource` is called synchronously inside. */
class Recorder extends MockMonitor {
  override registerResource(request: Request, done: unknown): Promise<void> {
    options = {
      protect: request.getProtect(),
      retainOnDelete: request.getRetainondelete(),
      deleteBeforeReplace: request.getDeletebeforereplacedefined() && request.getDeletebeforereplace(),
      ignoreChanges: request.getIgnorechangesList(),
    };
    const registered = super.registerResource(request, done);
    options = null;
    return registered;
  }
}

/** Secrets come in Pulumi's wire form; here as `{ $secret }`. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  if (SECRET_KEY in value && "value" in value) return { $secret: plain(value.value) };
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

function note(error: unknown): void {
  errors.add(error instanceof Error ? error.message : String(error));
}

/** What SST's command line answers while a program runs: where images and assets go. */
async function startBootstrap(): Promise<string> {
  const bootstrap = {
    asset: "assets",
    assetEcrRegistryId: "123456789012",
    assetEcrUrl: "123456789012.dkr.ecr.us-east-1.amazonaws.com/sst-asset",
    state: "state",
    appsyncHttp: "",
    appsyncRealtime: "",
  };
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const { method } = JSON.parse(body) as { method: string };
    const result =
      method === "Provider.Aws.Bootstrap" ? { result: bootstrap } : { error: `no answer to ${method}` };
    // Without `close` the process would wait for the connection.
    response.setHeader("connection", "close");
    response.end(JSON.stringify(result));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
}

process.on("unhandledRejection", note);
process.on("uncaughtException", note);
for (const level of ["warn", "error"] as const)
  console[level] = (...words: unknown[]) => void warnings.add(words.map(String).join(" "));
console.log = () => {};

let isWritten = false;
// Resources are made inside nested applies, so only an empty event loop is the end.
process.on("beforeExit", () => {
  if (isWritten) return;
  isWritten = true;
  const { removal, protect } = globalThis.$app;
  const result = {
    resources,
    outputs: plain(outputs),
    app: { removal, protect },
    errors: [...errors],
    warnings: [...warnings],
  };
  const bytes = Buffer.from(JSON.stringify(result));
  for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
  process.exit(0);
});

declare global {
  var $app: { name: string; stage: string; removal: string; protect: boolean; providers: unknown };
  var $dev: boolean;
  var $cli: unknown;
}

interface Bundled {
  run(program: () => Promise<unknown>): Promise<Values>;
  config: { app(input: { stage: string }): Promise<Values>; run(): Promise<unknown> };
}

process.env.SST_SERVER = await startBootstrap();
const { stage } = input;
globalThis.$dev = input.dev ?? false;
globalThis.$cli = {
  command: input.dev ? "dev" : "deploy",
  rpc: process.env.SST_SERVER,
  paths: { home: ROOT, root: ROOT, work: join(ROOT, ".sst"), platform: PLATFORM },
  state: { version: {} },
};
globalThis.$app = { name: "statehouse", stage, removal: "retain", protect: false, providers: {} };
try {
  const { run, config } = (await import(process.argv[2] ?? "")) as Bundled;
  globalThis.$app = { ...globalThis.$app, ...(await config.app({ stage })), stage };
  pulumi.runtime.setAllConfig({ "aws:region": REGION });
  await pulumi.runtime.setMocks(mocks, "statehouse", stage, false);
  pulumi.runtime.setMockOptions(new Recorder(mocks), "statehouse", stage, false);
  await pulumi.runtime.runInPulumiStack(async () => {
    const made = await run(config.run);
    resolveOutputs(made);
    return made;
  });
} catch (error) {
  note(error);
}

function resolveOutputs(made: Values): void {
  const { output } = pulumi as unknown as {
    output(value: unknown): { apply(f: (value: unknown) => void): void };
  };
  output(made).apply((value) => {
    outputs = value;
  });
}

/**
 * The floor: a bare `node:http` server that reads each body, looks at nothing and gives canned answers. What a
 * replay takes against it is what the client, the loopback and Node's HTTP parser cost; no server in Node can
 * be faster. Started by the benches: `node bench/null-server.ts <port>`.
 */
import { createServer } from "node:http";

const UPDATE_ID = "00000000-0000-4000-8000-000000000000";
const canned = (value: unknown) => Buffer.from(JSON.stringify(value));
const OK = canned({});
const EXPORT = canned({
  version: 3,
  deployment: { manifest: { time: "0001-01-01T00:00:00Z", magic: "", version: "" } },
});
const STACK = canned({ orgName: "main", projectName: "bench", stackName: "s", tags: {}, version: 0 });
const CREATED = canned({ updateID: UPDATE_ID, requiredPolicies: [], messages: [] });
const STARTED = canned({
  version: 1,
  token: "lease_null",
  tokenExpiration: 2_000_000_000,
  journalVersion: 1,
});

/** The body that a path is answered with; null is a 204. */
function answerTo(method: string | undefined, path: string): Buffer | null {
  if (method === "GET") return path.endsWith("/export") ? EXPORT : STACK;
  if (path.endsWith("/update")) return CREATED;
  if (path.endsWith(UPDATE_ID)) return STARTED;
  return path.split("/").length === 5 ? OK : null; // POST /api/stacks/{org}/{project}
}

const server = createServer((req, res) => {
  req.resume();
  req.once("end", () => {
    const body = answerTo(req.method, req.url ?? "");
    if (body === null) res.writeHead(204).end();
    else res.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body);
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1");
process.once("SIGTERM", () => process.exit(0));

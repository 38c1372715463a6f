/** Secrets go nowhere but where they belong: not into the log, not into the body of an error. */
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import {
  type Answer,
  type StackClient,
  send,
  type UpdateClient,
  UpdateClient as Updates,
} from "../support/client.ts";
import { documentOf, entry, freshStack, KIND, resource, upEntries } from "../support/journal.ts";
import { shareTestServer } from "../support/server.ts";

const SECRET = "correct-horse-battery-staple";
const base64 = Buffer.from(SECRET).toString("base64");
const server = shareTestServer({ env: { STATEHOUSE_DELTA_CHECKPOINTS: "true" } });

const answers: Answer[] = [];
const credentials: string[] = [];
let ciphertext = "";

async function note(answer: Promise<Answer>): Promise<Answer> {
  const settled = await answer;
  answers.push(settled);
  return settled;
}

/** Bodies with the secret in every place where an error could come upon it. */
const FAILING_BODIES: readonly string[] = [
  SECRET,
  `"${SECRET}"`,
  `["${SECRET}"]`,
  `{"${SECRET}"`,
  `{"a":"${SECRET}`,
  `{"a":${SECRET}}`,
  `{"a":"${SECRET}"} ${SECRET}`,
  `{"plaintext":["${SECRET}"],"ciphertext":{"a":"${SECRET}"},"plaintexts":"${SECRET}","ciphertexts":"${SECRET}"}`,
  `{"plaintext":"${SECRET}!","plaintexts":["${SECRET}!"],"ciphertext":"${SECRET}!","ciphertexts":["${SECRET}!"]}`,
  `{"config":{"k":"${SECRET}"},"options":"${SECRET}","metadata":"${SECRET}"}`,
  `{"config":{"k":{"string":["${SECRET}"],"secret":"${SECRET}"}}}`,
  `{"tags":{"a b":"${SECRET}"},"journalVersion":"${SECRET}"}`,
  `{"status":"${SECRET}","duration":"${SECRET}","events":[{"sequence":"${SECRET}"}]}`,
  `{"entries":[{"version":1,"kind":"${SECRET}","sequenceID":1}]}`,
  `{"entries":[{"version":1,"kind":1,"sequenceID":1,"extensionRef":["${SECRET}"],"state":"${SECRET}"}]}`,
  `{"entries":[{"version":1,"kind":77,"sequenceID":1,"state":{"outputs":{"x":"${SECRET}"}}}]}`,
  `{"version":"${SECRET}","deployment":{"resources":[{"outputs":{"x":"${SECRET}"}}]}}`,
  `{"version":3,"deployment":"${SECRET}"}`,
  `{"version":3,"deployment":{"resources":[{"outputs":{"x":"${SECRET}`,
  `{"version":3,"deployment":{"resources":[{"outputs":{"x":${SECRET}}}]}}`,
  `{"version":3,"features":"${SECRET}","deployment":{}}`,
  `{"version":3,"sequenceNumber":"${SECRET}","untypedDeployment":{"version":3,"deployment":"${SECRET}"}}`,
  `{"version":3,"sequenceNumber":1,"checkpointHash":"${SECRET}","deploymentDelta":"${SECRET}"}`,
  `{"version":3,"sequenceNumber":1,"checkpointHash":"${"0".repeat(64)}","deploymentDelta":[{"NewText":"${SECRET}"}]}`,
  `{"newName":"${SECRET}/","newProject":"${SECRET}/"}`,
  `{"secretName":["${SECRET}"],"commandName":["${SECRET}"]}`,
];

const API_CALLS = [
  "/encrypt",
  "/decrypt",
  "/batch-encrypt",
  "/batch-decrypt",
  "/import",
  "/rename",
  "/update",
  "/preview",
  "/decrypt/log-decryption",
  "/decrypt/log-batch-decryption",
];
const LEASE_CALLS = [
  "journalentries",
  "checkpoint",
  "checkpointverbatim",
  "checkpointdelta",
  "events/batch",
  "renew_lease",
  "complete",
];

async function sendEverywhere(stack: StackClient, update: UpdateClient, body: string): Promise<void> {
  for (const path of API_CALLS) {
    await note(stack.send("POST", path, body));
    await note(
      stack.send("POST", path, gzipSync(body).subarray(0, -3), { headers: { "content-encoding": "gzip" } }),
    );
  }
  await note(stack.send("PATCH", "/tags", body));
  await note(stack.send("POST", `/update/${await stack.create()}`, body));
  await note(send(server(), "POST", `/api/stacks/${stack.org}/${stack.project}`, body));
  for (const call of LEASE_CALLS) {
    const method = call === "journalentries" || call.startsWith("checkpoint") ? "PATCH" : "POST";
    await note(update.send(method, `/${call}`, body));
    await note(stack.send(method, `/update/${update.id}/${call}`, body, { lease: `lease_${SECRET}` }));
    await note(stack.send(method, `/update/${update.id}/${call}`, body, { token: SECRET }));
  }
}

/** What fails only later: a journal that can't be replayed, documents that fail verification. */
async function failLater(stack: StackClient): Promise<void> {
  const outputs = { password: SECRET };
  await note(
    stack.send("POST", "/import", documentOf([resource(stack, "a", { outputs, parent: "urn:none" })])),
  );
  const checkpointed = await stack.begin("update", { journal: false });
  await note(
    checkpointed.checkpoint(
      documentOf([resource(stack, "a", { outputs }), resource(stack, "a", { outputs })]).deployment,
    ),
  );
  await note(checkpointed.complete());
  const journaled = await stack.begin();
  await note(
    journaled.journal([
      ...upEntries(stack),
      entry(50, KIND.success, { operationID: 9, removeOld: 99, state: resource(stack, "z", { outputs }) }),
    ]),
  );
  const failed = await note(journaled.complete());
  expect(failed.status).toBe(500);
  await note(new Updates(stack, journaled.id, `lease_${SECRET}`, 1).journal([]));
}

beforeAll(async () => {
  const admin = (path: string, body: unknown) => send(server(), "POST", `/api/admin/v1${path}`, body);
  await admin("/users", { login: "alice" });
  credentials.push((await admin("/tokens", { name: "laptop", user: "alice" })).body.token);
  const stack = await freshStack(server());
  ciphertext = (await stack.send("POST", "/encrypt", { plaintext: base64 })).body.ciphertext;
  await stack.send("POST", "/batch-decrypt", { ciphertexts: [ciphertext] });
  const other = await freshStack(server());
  await note(other.send("POST", "/decrypt", { ciphertext }));
  await note(other.send("POST", "/batch-decrypt", { ciphertexts: [ciphertext, ciphertext] }));
  const config = {
    "shop:pw": { string: ciphertext, secret: true },
    "shop:plain": { string: SECRET, secret: false },
  };
  await stack.send("POST", "/preview", {
    options: {},
    config,
    metadata: { message: "m", environment: { TOKEN: SECRET } },
  });
  for (const body of FAILING_BODIES) {
    const each = await freshStack(server());
    const update = await each.begin();
    credentials.push(update.token);
    await sendEverywhere(each, update, body);
  }
  await failLater(await freshStack(server()));
  for (const header of [`token ${SECRET}`, `Basic ${base64}`, SECRET, `update-token ${SECRET}`])
    await note(
      send(server(), "GET", "/api/user", undefined, { token: null, headers: { authorization: header } }),
    );
  await note(send(server(), "GET", `/api/user/stacks?continuationToken=${SECRET}/&tagValue=${SECRET}`));
  await note(send(server(), "GET", `/api/nothing?access_token=${SECRET}`));
}, 60_000);

const isError = ({ status }: Answer) => status >= 400;

describe("a secret that came with a request that failed", () => {
  it("went through many of them", () => {
    expect(answers.filter(isError).length).toBeGreaterThan(800);
    expect(new Set(answers.filter(isError).map((it) => it.status)).size).toBeGreaterThanOrEqual(5);
    // Two for journals that don't fit their base; nothing else failed for want of an answer.
    expect(answers.filter(({ status }) => status >= 500)).toHaveLength(1);
  });

  it("is in no error body", () => {
    for (const { text, status } of answers.filter(isError)) {
      expect(text, `${status}`).not.toContain(SECRET);
      expect(text, `${status}`).not.toContain(base64);
      expect(text, `${status}`).not.toContain(ciphertext);
    }
  });

  it("is in no log line; nor is a token, in any form", () => {
    const { logLines } = server();
    expect(logLines.length).toBeGreaterThan(1000);
    // What a V8 or zod message quotes of it is enough to be too much.
    const pieces = [SECRET, base64, ciphertext, SECRET.slice(0, 10), ...credentials];
    for (const line of logLines)
      for (const piece of pieces) expect(line.includes(piece), line.slice(0, 400)).toBe(false);
  });

  it("is in no warning", () => {
    for (const { headers } of answers) expect(headers.get("x-pulumi-warning") ?? "").not.toContain(SECRET);
  });
});

import { describe, expect, it } from "vitest";
import { StackClient } from "../support/client.ts";
import { startTestServer } from "../support/server.ts";

const URN = "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev";
const stackResource = { urn: URN, custom: false, type: "pulumi:pulumi:Stack" };
const provider = {
  type: "service",
  state: { url: "http://x", owner: "main", project: "shop", stack: "dev" },
};
const entry = (sequenceID: number, kind: number, rest: Record<string, unknown> = {}) => ({
  version: 1,
  kind,
  sequenceID,
  operationID: 0,
  removeOld: null,
  removeNew: null,
  ...rest,
});

describe("an update from beginning to end", () => {
  it("keeps what its journal says as the stack's next version", async () => {
    const server = await startTestServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    const update = await stack.begin();
    expect(update.version).toBe(1);
    const batch = [
      entry(1, 6, { secretsProvider: provider }),
      entry(2, 0, { operationID: 1, operation: { resource: stackResource, type: "creating" } }),
      entry(3, 1, { operationID: 1, state: stackResource }),
    ];
    expect(await update.journal(batch)).toMatchObject({ status: 204 });
    expect(await update.journal(batch)).toMatchObject({ status: 204 });
    expect((await stack.deployment()).deployment.resources).toBeUndefined();
    expect(await update.complete()).toMatchObject({ status: 204 });
    expect(await update.complete()).toMatchObject({ status: 204 });
    const document = await stack.deployment();
    expect(document).toMatchObject({
      version: 3,
      deployment: { resources: [stackResource], secrets_providers: provider },
    });
    const info = (await stack.send("GET", "")).body;
    expect(info).toMatchObject({ version: 1, activeUpdate: update.id });
    expect(info.currentOperation).toBeUndefined();
    const history = (await stack.send("GET", "/updates?pageSize=10&page=1")).body;
    expect(history.updates).toMatchObject([
      { kind: "update", result: "succeeded", version: 1, message: "a message", resourceCount: 1 },
    ]);
  });
});

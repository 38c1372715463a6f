import { describe, expect, it } from "vitest";
import { openApiPath } from "../../server/admin/openapi.ts";
import { type Body, makeUpdate, startAdminApi, startWithPeople, type TestApi } from "./support.ts";

interface OperationDoc {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly security: readonly object[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required: boolean;
    readonly schema: object;
  }[];
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: object }>>;
}

interface Doc {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationDoc>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

async function documentOf(api: TestApi): Promise<Doc> {
  const { body } = await api.send("GET", "/openapi.json", undefined, { token: null });
  return body as Body & Doc;
}

function described(document: Doc): { path: string; method: string; operation: OperationDoc }[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
}

/** Every value of a member of this name, however deep. */
function valuesOf(name: string, value: unknown): unknown[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) => [
    ...(key === name ? [member] : []),
    ...valuesOf(name, member),
  ]);
}

describe("the OpenAPI document", () => {
  it("describes every endpoint once, and nothing else", async () => {
    const api = await startAdminApi();
    const document = await documentOf(api);
    expect(document.openapi).toBe("3.1.0");
    const served = api.operations.map((it) => `${it.method} ${openApiPath(it.path)}`);
    const listed = described(document).map((it) => `${it.method} ${it.path}`);
    expect(listed.toSorted()).toEqual(served.toSorted());
    expect(new Set(served).size).toBe(served.length);
    const ids = described(document).map((it) => it.operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("refers only to what it holds, and holds only what is referred to", async () => {
    const document = await documentOf(await startAdminApi());
    const refs = new Set(valuesOf("$ref", document));
    const names = Object.keys(document.components.schemas).map((it) => `#/components/schemas/${it}`);
    expect(refs).toEqual(new Set(names));
    expect(valuesOf("$defs", document)).toEqual([]);
    expect(valuesOf("$schema", document)).toEqual([]);
  });

  it("declares each path's parameters, and each operation's answers", async () => {
    const document = await documentOf(await startAdminApi());
    const tags = document.tags.map((it) => it.name);
    for (const { path, operation } of described(document)) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const parameters = operation.parameters ?? [];
      expect(parameters.filter((it) => it.in === "path").map((it) => it.name)).toEqual(inPath);
      expect(parameters.every((it) => it.in === "query" || it.required)).toBe(true);
      expect(tags).toEqual(expect.arrayContaining([...operation.tags]));
      expect(operation.summary).not.toBe("");
      const answers = Object.entries(operation.responses);
      expect(answers.filter(([status]) => /^2\d\d$/.test(status))).toHaveLength(1);
      for (const [status, answer] of answers) {
        expect(answer.description).not.toBe("");
        expect(answer.content === undefined).toBe(status === "204");
      }
      const isOpen = operation.security.length === 0;
      expect(isOpen).toBe(operation.operationId === "getOpenApi");
      expect("401" in operation.responses).toBe(!isOpen);
    }
  });

  it("has a name for every body, in and out", async () => {
    const document = await documentOf(await startAdminApi());
    const inline = described(document)
      .filter(({ operation }) => operation.operationId !== "getOpenApi")
      .flatMap(({ operation }) => valuesOf("application/json", operation))
      .filter((content) => valuesOf("$ref", content).length !== 1);
    expect(inline).toEqual([]);
  });

  // Support checks each answer against its operation; this makes sure that no operation is left out.
  it("is true of every endpoint's success", async () => {
    const api = await startWithPeople();
    await api.send("PUT", "/organizations/acme/members/alice", { role: "member" });
    const { body: token } = await api.send("POST", "/tokens", { name: "laptop", user: "alice" });
    const { updateId } = await makeUpdate(api);
    await api.send("POST", "/gc-runs", { dryRun: true });
    await api.send("PATCH", "/users/alice", { name: "Alice" });
    const lists = ["organizations", "organizations/acme/members", "users", "tokens", "leases", "gc-runs"];
    for (const path of [...lists, "audit-events", "organizations/acme", "users/alice", "status"]) {
      const { body } = await api.send("GET", `/${path}`);
      if ("items" in body) expect(body.items, path).not.toEqual([]);
    }
    await api.send("GET", "/openapi.json");
    await api.send("POST", `/updates/${updateId}/cancel`);
    await api.send("DELETE", `/tokens/${token.id}`);
    await api.send("DELETE", "/organizations/acme/members/alice");
    await api.send("DELETE", "/users/alice");
    await api.send("POST", "/organizations", { name: "short-lived" });
    await api.send("DELETE", "/organizations/short-lived");
    expect([...api.succeeded].toSorted()).toEqual(api.operations.map((it) => it.operationId).toSorted());
  });
});

import { describe, expect, it } from "vitest";
import { makeUpdate, shareWithPeople, startAdminApi, startWithPeople, type TestApi } from "./support.ts";

const COUNT = 5;

/** Follows the cursors to the end; the pages as lists of `key`. */
async function pagesOf(api: TestApi, path: string, key: string, limit: number): Promise<unknown[][]> {
  const pages: unknown[][] = [];
  let cursor: string | undefined;
  do {
    const query = new URLSearchParams({ limit: String(limit), ...(cursor === undefined ? {} : { cursor }) });
    const { body } = await api.send("GET", `${path}?${query}`);
    pages.push((body.items ?? []).map((it) => it[key]));
    cursor = body.nextCursor;
  } while (cursor !== undefined && pages.length < 20);
  return pages;
}

const LISTS: readonly {
  path: string;
  key: string;
  direction: "ascending" | "descending";
  fill: (api: TestApi, index: number) => Promise<unknown>;
}[] = [
  {
    path: "/organizations",
    key: "name",
    direction: "ascending",
    fill: (api, i) => api.send("POST", "/organizations", { name: `org-${i}` }),
  },
  {
    path: "/users",
    key: "login",
    direction: "ascending",
    fill: (api, i) => api.send("POST", "/users", { login: `user-${i}` }),
  },
  {
    path: "/organizations/acme/members",
    key: "login",
    direction: "ascending",
    fill: async (api, i) => {
      await api.send("POST", "/users", { login: `user-${i}` });
      await api.send("PUT", `/organizations/acme/members/user-${i}`, { role: "viewer" });
    },
  },
  {
    path: "/tokens",
    key: "id",
    direction: "ascending",
    fill: (api, i) => api.send("POST", "/tokens", { name: `token ${i}`, user: "alice" }),
  },
  {
    path: "/leases",
    key: "updateId",
    direction: "ascending",
    fill: (api, i) => makeUpdate(api, { stack: `stack-${i}` }),
  },
  {
    path: "/audit-events",
    key: "id",
    direction: "descending",
    fill: (api, i) => api.send("POST", "/organizations", { name: `org-${i}` }),
  },
];

const shared = shareWithPeople();

describe("lists", () => {
  it.each(LISTS)(
    "$path gives everything once, $direction by $key",
    async ({ path, key, direction, fill }) => {
      const api = await startWithPeople();
      for (let i = 0; i < COUNT; i++) await fill(api, i);
      const [all = []] = await pagesOf(api, path, key, 200);
      expect(all.length).toBeGreaterThanOrEqual(COUNT);
      const sorted = all.map(String).sort();
      expect(all).toEqual(direction === "ascending" ? sorted : sorted.reverse());
      for (const limit of [1, 2, all.length - 1, all.length, all.length + 1]) {
        const pages = await pagesOf(api, path, key, limit);
        expect(pages.flat()).toEqual(all);
        expect(pages).toHaveLength(Math.ceil(all.length / limit));
      }
    },
  );

  it("neither repeat nor skip when things come and go between pages", async () => {
    const api = await startAdminApi();
    for (const name of ["org-b", "org-d", "org-f"]) await api.send("POST", "/organizations", { name });
    const first = await api.send("GET", "/organizations?limit=2");
    await api.send("DELETE", "/organizations/org-d");
    await api.send("POST", "/organizations", { name: "org-a" });
    await api.send("POST", "/organizations", { name: "org-e" });
    const second = await api.send("GET", `/organizations?limit=2&cursor=${first.body.nextCursor}`);
    expect(second.body.items?.map((it) => it.name)).toEqual(["org-e", "org-f"]);
  });

  it("hold 50 items unless asked otherwise", async () => {
    const api = await startAdminApi();
    for (let i = 0; i < 51; i++) {
      await api.ctx.db.createOrganization({ id: `id-${i}`, name: `org-${i}`, nowMs: 0 });
    }
    expect((await api.send("GET", "/organizations")).body.items).toHaveLength(50);
  });

  it.each([
    "limit=0",
    "limit=201",
    "limit=1.5",
    "limit=many",
    "limit=",
    "limit=1&limit=2",
    "cursor=",
    "cursor=%2F%2F",
    "cursor=AAAA", // NUL bytes
    `cursor=${"a".repeat(1025)}`,
    "page=2",
  ])("refuse the query %.20s", async (query) => {
    const api = shared();
    expect(await api.send("GET", `/organizations?${query}`)).toMatchObject({ status: 400 });
  });
});

import { hostname } from "node:os";
import { expect, it } from "vitest";
import { readConfig } from "../../server/config/read.ts";
import { directUrl, shownUrl } from "../../server/config/urls.ts";
import { firstRunText, laterRunText, type WelcomeFacts } from "../../server/config/welcome.ts";
import { containerName } from "../../server/serve.ts";

const FACTS: WelcomeFacts = {
  url: "http://localhost:4000",
  adminToken: { kind: "file", path: "/home/ada/statehouse/data/admin.token" },
  encryptionKey: { kind: "file", path: "/home/ada/statehouse/data/encryption.key" },
  cwd: "/home/ada/statehouse",
};

it("says on the first start where the server is, what to type, and what to keep", () => {
  expect(firstRunText(FACTS)).toBe(`Statehouse is ready at http://localhost:4000

Sign in from another terminal:

  export PULUMI_ACCESS_TOKEN="$(cat data/admin.token)"
  pulumi login http://localhost:4000

That is the administrator. A token of one's own for each person:

  npm run -s statehouse -- token create --user ada --create-user

Keep a copy of data/encryption.key in a safe place: without it the data can't be read.
`);
});

it("shows paths that work in a shell", () => {
  const adminToken = { kind: "file", path: "/srv/ada's data/admin.token" } as const;
  expect(firstRunText({ ...FACTS, adminToken })).toContain(`"$(cat '/srv/ada'\\''s data/admin.token')"`);
});

it("reads the token of a server in a container from outside", () => {
  const adminToken = { kind: "file", path: "/data/admin.token" } as const;
  const text = firstRunText({ ...FACTS, adminToken, container: "3f2a" });
  expect(text).toContain('PULUMI_ACCESS_TOKEN="$(docker exec 3f2a cat /data/admin.token)"');
  expect(text).toContain("docker exec 3f2a statehouse token create --user ada");
});

it("takes whoever typed npm start in a container for somebody inside it", () => {
  const isDocker = (path: string) => path === "/.dockerenv";
  expect(containerName({}, isDocker)).toBe(hostname());
  expect(containerName({ npm_lifecycle_event: "start" }, isDocker)).toBeNull();
  expect(containerName({}, () => false)).toBeNull();
});

it("does not ask to keep what the settings hold", () => {
  const text = firstRunText({
    ...FACTS,
    adminToken: { kind: "setting", env: "STATEHOUSE_ADMIN_TOKEN" },
    encryptionKey: { kind: "setting", env: "STATEHOUSE_ENCRYPTION_KEY" },
  });
  expect(text).toContain('export PULUMI_ACCESS_TOKEN="$STATEHOUSE_ADMIN_TOKEN"');
  expect(text).not.toContain("Keep a copy");
});

it("is one short line on later starts", () => {
  expect(laterRunText({ url: FACTS.url, dataDir: "/srv/data", cwd: "/home/ada" })).toBe(
    "Statehouse is ready at http://localhost:4000 (data in /srv/data)\n",
  );
});

it.each([
  [{}, 4000, "http://localhost:4000", "http://127.0.0.1:4000"],
  [{ STATEHOUSE_HOST: "0.0.0.0" }, 4000, "http://localhost:4000", "http://127.0.0.1:4000"],
  [{ STATEHOUSE_HOST: "10.1.2.3" }, 4000, "http://10.1.2.3:4000", "http://10.1.2.3:4000"],
  [{ STATEHOUSE_HOST: "fd00::1" }, 4000, "http://[fd00::1]:4000", "http://[fd00::1]:4000"],
  [{ STATEHOUSE_PORT: "0" }, 41234, "http://localhost:41234", null],
  [{ STATEHOUSE_PUBLIC_URL: "https://s.example" }, 4000, "https://s.example", "http://127.0.0.1:4000"],
])("derives addresses from %o", (env: Record<string, string>, port, shown, direct) => {
  const config = readConfig(env);
  expect([shownUrl(config, port), directUrl(config)]).toEqual([shown, direct]);
});

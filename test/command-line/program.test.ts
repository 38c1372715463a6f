/** What every command has in common: helps, usage errors, the default. */
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { buildProgram } from "../../server/cli/index.ts";
import { freePort, run, startFakeServer } from "./support.ts";

const deps = { version: "1.2.3" } as Parameters<typeof buildProgram>[0];

/** Every command that can be typed, as the words one types. */
function commandPaths(command: Command, path: readonly string[] = []): string[][] {
  return command.commands.flatMap((child) => {
    const childPath = [...path, child.name()];
    return child.commands.length > 0 ? commandPaths(child, childPath) : [childPath];
  });
}

const PATHS = commandPaths(buildProgram(deps, () => {}));

describe("help", () => {
  it("lists every command", async () => {
    const { code, stdout, stderr } = await run(["--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(PATHS.map((path) => path.join(" "))).toEqual([
      "serve",
      "healthcheck",
      "doctor",
      "gc",
      "token create",
      "token list",
      "token revoke",
      "org create",
      "org list",
      "org delete",
      "org member set",
      "org member remove",
      "org member list",
      "user create",
      "user list",
      "user delete",
      "config print",
      "migrate",
      "artifact put",
      "artifact get",
      "artifact list",
      "artifact rm",
      "artifact pin",
      "transfer",
    ]);
    for (const [first] of PATHS) expect(stdout).toMatch(new RegExp(`^  ${first} `, "m"));
  });

  it.each(PATHS.map((path) => path.join(" ")))(
    "of %s says what it does, with an example of itself",
    async (path) => {
      const { code, stdout } = await run([...path.split(" "), "--help"]);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^Usage: statehouse [a-z]/);
      expect(stdout).toMatch(/Examples?:/);
      expect(stdout).toContain(`$ statehouse ${path}`);
      for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(110);
    },
  );
});

describe("the command line", () => {
  it("serves when no command is given, with the settings of the environment", async () => {
    const { code, served } = await run([], { STATEHOUSE_PORT: "4001" });
    expect(code).toBe(0);
    expect(served).toMatchObject([{ port: 4001 }]);
    expect((await run(["serve"])).served).toHaveLength(1);
  });

  it("prints its version", async () => {
    expect(await run(["--version"])).toMatchObject({ code: 0, stdout: "1.2.3\n" });
  });

  it("says what migrate did", async () => {
    expect(await run(["migrate"])).toMatchObject({ code: 0, stdout: "The schema is current.\n" });
  });

  it.each([
    [["tokn"], 'There is no command "tokn". Did you mean token?'],
    [["zzzzzz"], 'There is no command "zzzzzz". See statehouse --help.'],
    [["serve", "now"], 'There is no command "now".'],
    [["--port", "1"], "unknown option '--port'"],
    [["token"], "Usage: statehouse token"],
    [["token", "crate"], "unknown command 'crate'"],
    [["org", "create"], "missing required argument 'organization'"],
    [["org", "member", "set", "main", "ada"], "required option '--role <role>' not specified"],
    [["org", "member", "set", "main", "ada", "--role", "king"], "Allowed choices are viewer, member, admin"],
    [["token", "create"], "Say whose token it is: --user <login>, or --machine"],
    [["token", "create", "--user", "ada", "--machine"], "either --user or --machine"],
    [["token", "create", "--user", "ada", "--role", "admin"], "statehouse org member set"],
    [["token", "create", "--machine", "--create-user"], "--create-user goes with --user"],
    [["token", "create", "--user", "ada", "--expires", "soon"], "such as 90d"],
    [["org", "list", "--url", "localhost:4000"], "must be an http:// or https:// URL"],
  ])("answers %j with exit code 2 and a way on", async (argv, message) => {
    const { code, stdout, stderr, served } = await run(argv);
    expect({ code, stdout, served }).toEqual({ code: 2, stdout: "", served: [] });
    expect(stderr).toContain(message);
    expect(stderr).not.toContain("    at "); // no stack
  });

  it("reports every wrong setting, with exit code 2", async () => {
    const { code, stderr } = await run(["serve"], { STATEHOUSE_PORT: "x", STATEHOUSE_LOGLEVEL: "info" });
    expect(code).toBe(2);
    expect(stderr).toContain("STATEHOUSE_PORT must be");
    expect(stderr).toContain("did you mean STATEHOUSE_LOG_LEVEL?");
  });

  it("says what to do when the port is taken", async () => {
    const error = Object.assign(new Error("listen EADDRINUSE"), { code: "EADDRINUSE", port: 4000 });
    const { code, stderr } = await run(["serve"], {}, { serve: () => Promise.reject(error) });
    expect(code).toBe(1);
    expect(stderr).toBe(
      "statehouse: The port 4000 is taken by another program. Stop that one, or set STATEHOUSE_PORT to another port.\n",
    );
  });

  it("keeps the stack of its own slips", async () => {
    const serve = () => Promise.reject(new TypeError("x is not a function"));
    expect((await run(["serve"], {}, { serve })).stderr).toContain("    at ");
  });
});

describe("healthcheck", () => {
  it("is 0 and one line when the server is ready", async () => {
    const server = await startFakeServer();
    expect(await run(["healthcheck"], { STATEHOUSE_PORT: String(server.port) })).toMatchObject({
      code: 0,
      stdout: `ready: ${server.url}\n`,
      stderr: "",
    });
  });

  it("is 1 and one line when the server is not ready, or not there", async () => {
    const server = await startFakeServer({ "GET /readyz": { status: 503 } });
    const port = await freePort();
    expect(await run(["healthcheck"], { STATEHOUSE_PORT: String(server.port) })).toMatchObject({
      code: 1,
      stderr: `statehouse: not ready: ${server.url} answers 503\n`,
    });
    expect(await run(["healthcheck"], { STATEHOUSE_PORT: String(port) })).toMatchObject({
      code: 1,
      stderr: `statehouse: not ready: no answer from http://127.0.0.1:${port} (ECONNREFUSED)\n`,
    });
  });
});

describe("config print", () => {
  const env = { STATEHOUSE_PORT: "4001", STATEHOUSE_ADMIN_TOKEN: "an-admin-token-of-ours" };

  it("shows every setting, secrets masked", async () => {
    const { code, stdout } = await run(["config", "print"], env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^STATEHOUSE_PORT +4001$/m);
    expect(stdout).toMatch(/^STATEHOUSE_ADMIN_TOKEN +\*{8}$/m);
    expect(stdout).toMatch(/^STATEHOUSE_ENCRYPTION_KEY +\(not set\)$/m);
    expect(stdout).toMatch(/^STATEHOUSE_LOG_LEVEL +info +default$/m);
    expect(stdout).not.toContain("of-ours");
  });

  it("prints JSON that holds no secret either", async () => {
    const { stdout } = await run(["config", "print", "--json"], env);
    expect(JSON.parse(stdout)).toContainEqual({ env: "STATEHOUSE_PORT", value: "4001", isDefault: false });
    expect(stdout).not.toContain("of-ours");
  });
});

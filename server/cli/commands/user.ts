import type { Command } from "commander";
import { type ServerOptions, withAdminApi } from "../connect.ts";
import type { CommandLineDeps } from "../deps.ts";
import { examples, jsonOption, serverOptions } from "../options.ts";
import { columns, printList } from "../table.ts";

export function addUser(program: Command, deps: CommandLineDeps): void {
  const user = program.command("user").description("People");

  serverOptions(user.command("create <login>"))
    .description("Make a user")
    .option("--name <name>", "the name to show")
    .option("--email <email>", "an e-mail address")
    .addHelpText("after", examples('user create ada --name "Ada Lovelace"'))
    .action(async (login: string, options: ServerOptions & { name?: string; email?: string }) => {
      const { name, email } = options;
      const body = {
        login,
        ...(name === undefined ? {} : { name }),
        ...(email === undefined ? {} : { email }),
      };
      await withAdminApi(deps, options, async (api) => {
        await api.send("POST", ["users"], { body });
        deps.stdout.write(`Made user ${login}.\n`);
        deps.stderr.write(
          `Next: statehouse org member set <organization> ${login} --role member, ` +
            `then statehouse token create --user ${login}\n`,
        );
      });
    });

  jsonOption(serverOptions(user.command("list")))
    .description("List the users")
    .addHelpText("after", examples("user list --json"))
    .action(async (options: ServerOptions & { json: boolean }) => {
      await withAdminApi(deps, options, async (api) => {
        const shape = columns("Login", "Name", "Email", "Created:createdAt");
        const none = "There are no users yet: statehouse user create <login>";
        printList(deps, await api.list(["users"]), { columns: shape, json: options.json, none });
      });
    });

  serverOptions(user.command("delete <login>"))
    .description("Delete a user with all memberships and tokens")
    .addHelpText("after", examples("user delete ada"))
    .action(async (login: string, options: ServerOptions) => {
      await withAdminApi(deps, options, async (api) => {
        await api.send("DELETE", ["users", login]);
        deps.stdout.write(`Deleted user ${login}.\n`);
      });
    });
}

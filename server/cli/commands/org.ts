import type { Command } from "commander";
import { type ServerOptions, withAdminApi } from "../connect.ts";
import type { CommandLineDeps } from "../deps.ts";
import { examples, jsonOption, roleOption, serverOptions } from "../options.ts";
import { columns, printList } from "../table.ts";

type ListOptions = ServerOptions & { json: boolean };

export function addOrg(program: Command, deps: CommandLineDeps): void {
  const org = program.command("org").description("Organizations and who belongs to them");

  serverOptions(org.command("create <organization>"))
    .description("Make an organization")
    .addHelpText("after", examples("org create platform"))
    .action(async (name: string, options: ServerOptions) => {
      await withAdminApi(deps, options, async (api) => {
        await api.send("POST", ["organizations"], { body: { name } });
        deps.stdout.write(`Made organization ${name}.\n`);
      });
    });

  jsonOption(serverOptions(org.command("list")))
    .description("List the organizations")
    .addHelpText("after", examples("org list"))
    .action(async (options: ListOptions) => {
      await withAdminApi(deps, options, async (api) => {
        const shape = columns("Name", "Created:createdAt");
        const none = "There are no organizations yet: statehouse org create <name>";
        printList(deps, await api.list(["organizations"]), { columns: shape, json: options.json, none });
      });
    });

  serverOptions(org.command("delete <organization>"))
    .description("Delete an organization; it must have no stacks")
    .addHelpText("after", examples("org delete platform"))
    .action(async (name: string, options: ServerOptions) => {
      await withAdminApi(deps, options, async (api) => {
        await api.send("DELETE", ["organizations", name]);
        deps.stdout.write(`Deleted organization ${name}.\n`);
      });
    });

  addMembers(org, deps);
}

function addMembers(org: Command, deps: CommandLineDeps): void {
  const member = org.command("member").description("Who belongs to an organization, with which role");

  serverOptions(member.command("set <organization> <user>"))
    .description("Take a user into an organization, or change the role")
    .addOption(roleOption().makeOptionMandatory())
    .addHelpText("after", examples("org member set platform ada --role member"))
    .action(async (organization: string, login: string, options: ServerOptions & { role: string }) => {
      await withAdminApi(deps, options, async (api) => {
        const { role } = options;
        await api.send("PUT", ["organizations", organization, "members", login], { body: { role } });
        deps.stdout.write(`${login} is now ${role} of ${organization}.\n`);
      });
    });

  serverOptions(member.command("remove <organization> <user>"))
    .description("Take a user out of an organization")
    .addHelpText("after", examples("org member remove platform ada"))
    .action(async (organization: string, login: string, options: ServerOptions) => {
      await withAdminApi(deps, options, async (api) => {
        await api.send("DELETE", ["organizations", organization, "members", login]);
        deps.stdout.write(`${login} no longer belongs to ${organization}.\n`);
      });
    });

  jsonOption(serverOptions(member.command("list <organization>")))
    .description("List the members of an organization")
    .addHelpText("after", examples("org member list platform"))
    .action(async (organization: string, options: ListOptions) => {
      await withAdminApi(deps, options, async (api) => {
        const list = await api.list(["organizations", organization, "members"]);
        const shape = columns("Login", "Role", "Name", "Email");
        const none = `${organization} has no members yet: statehouse org member set ${organization} <user> --role member`;
        printList(deps, list, { columns: shape, json: options.json, none });
      });
    });
}

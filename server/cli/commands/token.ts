import type { Command } from "commander";
import { type ServerOptions, withAdminApi } from "../connect.ts";
import type { CommandLineDeps } from "../deps.ts";
import { duration, examples, jsonOption, roleOption, serverOptions } from "../options.ts";
import { columns, printList } from "../table.ts";
import { type CreateTokenOptions, createToken } from "./token-create.ts";

export function addToken(program: Command, deps: CommandLineDeps): void {
  const token = program.command("token").description("Access tokens of people and machines");

  jsonOption(serverOptions(token.command("create")))
    .summary("make a token; it is shown once")
    .description(
      "Make a token for a person (--user) or for a machine such as a CI job (--machine). " +
        "The token alone goes to standard output and is shown this once.",
    )
    .option("--user <login>", "whose token it is")
    .option("--create-user", "make the user, and a membership with --role in --org, if there is none", false)
    .option("--machine", "a token that belongs to no person, with --role in --org", false)
    .option("--org <organization>", "organization (default: STATEHOUSE_DEFAULT_ORG)")
    .addOption(roleOption().default(undefined, "member"))
    .option("--stack <project/stack>", "with --machine: for the artifacts of this stack alone")
    .option("--name <name>", "what the token is for")
    .option("--expires <duration>", "when it ends, such as 90d (default: never)", duration)
    .addHelpText(
      "after",
      examples(
        "token create --user ada --create-user",
        "token create --user ada --name laptop --expires 90d",
        "token create --machine --org main --role member --name ci",
        "export PULUMI_ACCESS_TOKEN=$(npm run -s statehouse -- token create --user ada)",
      ).replace("$ statehouse export", "$ export"),
    )
    .action(async (options: CreateTokenOptions) => {
      await createToken(deps, options);
    });

  jsonOption(serverOptions(token.command("list")))
    .description("List tokens; the tokens themselves are not stored and can't be shown")
    .option("--user <login>", "only this user's")
    .option("--org <organization>", "only this organization's machines")
    .addHelpText("after", examples("token list --user ada"))
    .action(async (options: ServerOptions & { json: boolean; user?: string; org?: string }) => {
      await withAdminApi(deps, options, async (api) => {
        const query = { user: options.user, organization: options.org };
        const shape = columns(
          "Id",
          "Name",
          "Owner:user|login|organization",
          "Role",
          "Created:createdAt",
          "Expires:expiresAt",
          "Last used:lastUsedAt",
          "Revoked:revokedAt",
        );
        const none = "There are no tokens: statehouse token create --user <login>";
        printList(deps, await api.list(["tokens"], query), { columns: shape, json: options.json, none });
      });
    });

  serverOptions(token.command("revoke <id>"))
    .description("Make a token useless, at once and for good; ids are in token list")
    .addHelpText("after", examples("token revoke 0198c0de-1234"))
    .action(async (id: string, options: ServerOptions) => {
      await withAdminApi(deps, options, async (api) => {
        await api.send("DELETE", ["tokens", id]);
        deps.stdout.write(`Revoked token ${id}.\n`);
      });
    });
}

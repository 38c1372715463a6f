/** Programs that need no plugin from elsewhere: Stash resources in YAML, dynamic ones in JavaScript. */
import { symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Project, Terminal } from "./terminal.ts";
import { waitFor } from "./terminal.ts";

export interface StashProgram {
  /** Name of a resource to what it keeps: any value, a `ref` included. */
  readonly stashes: Readonly<Record<string, unknown>>;
  readonly outputs?: Readonly<Record<string, unknown>>;
  /** Other resources, as YAML programs write them. */
  readonly resources?: Readonly<Record<string, unknown>>;
  readonly config?: Readonly<Record<string, unknown>>;
}

/** What a YAML program writes for another's property. */
export function ref(path: string): string {
  return `\${${path}}`;
}

/** JSON is YAML. */
export function stashYaml(name: string, program: StashProgram): string {
  const stashes = Object.entries(program.stashes).map(([stash, input]) => [
    stash,
    { type: "pulumi:index:Stash", properties: { input } },
  ]);
  const { outputs = {}, resources = {}, config = {} } = program;
  return JSON.stringify({
    name,
    runtime: "yaml",
    description: "a program",
    config,
    resources: { ...Object.fromEntries(stashes), ...resources },
    outputs,
  });
}

export async function stashProject(
  terminal: Terminal,
  name: string,
  program: StashProgram,
): Promise<Project> {
  const project = await terminal.project(name);
  await project.write("Pulumi.yaml", stashYaml(name, program));
  return project;
}

/** One resource of the JavaScript program; each waits for the one before it. */
export interface Thing {
  readonly name: string;
  readonly value?: string;
  /** Its creation and its updates wait until the gate is opened. */
  readonly gate?: string;
  readonly fail?: boolean;
}

/**
 * The provider as source, which is what the engine keeps of a dynamic provider. `pulumi.dynamic.Resource`
 * makes it out of closures with the API of TypeScript, which TypeScript 7 doesn't have.
 */
const PROVIDER = `
const fs = require("fs");
const note = (inputs, what) => fs.appendFileSync(inputs.ledger, what + " " + inputs.name + "\\n");
async function make(inputs) {
  if (inputs.fail) throw new Error("this thing cannot be made");
  if (!inputs.gate) return;
  fs.writeFileSync(inputs.gate + ".reached", "");
  const endMs = Date.now() + 60000;
  while (!fs.existsSync(inputs.gate + ".open")) {
    if (Date.now() > endMs) process.exit(1); // forgotten
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
exports.handler = () => ({
  async create(inputs) {
    await make(inputs);
    note(inputs, "created");
    return { id: "id-" + inputs.name, outs: inputs };
  },
  async update(id, olds, inputs) {
    await make(inputs);
    note(inputs, "updated");
    return { outs: inputs };
  },
  async delete(id, inputs) {
    note(inputs, "deleted");
  },
});
`;

const PROGRAM = `
const fs = require("fs");
const path = require("path");
const pulumi = require("@pulumi/pulumi");
const here = (name) => path.join(__dirname, name);
const provider = fs.readFileSync(here("provider.txt"), "utf8");
let before = [];
for (const { name, value = "", gate = "", fail = false } of JSON.parse(fs.readFileSync(here("things.json"), "utf8"))) {
  const inputs = { name, value, gate: gate && here(gate), fail, ledger: here("ledger.txt"), __provider: provider };
  const thing = new pulumi.CustomResource("pulumi-nodejs:dynamic:Resource", name, inputs, { dependsOn: before });
  before = [thing];
  exports[name] = thing.id;
}
exports.hush = pulumi.secret("quiet");
`;

export async function setThings(project: Project, things: readonly Thing[]): Promise<void> {
  await project.write("things.json", JSON.stringify(things));
}

/** A JavaScript program whose resources are read from a file, so that a test changes them by `setThings`. */
export async function thingProject(
  terminal: Terminal,
  name: string,
  things: readonly Thing[],
): Promise<Project> {
  const project = await terminal.project(name);
  const sdk = createRequire(import.meta.url).resolve("@pulumi/pulumi/package.json");
  await symlink(dirname(dirname(dirname(sdk))), join(project.dir, "node_modules"));
  const runtime = { name: "nodejs", options: { typescript: false } };
  await project.write("Pulumi.yaml", JSON.stringify({ name, runtime, description: "a program" }));
  await project.write("package.json", JSON.stringify({ name, main: "index.js" }));
  await project.write("index.js", PROGRAM);
  await project.write("provider.txt", PROVIDER);
  await project.write("ledger.txt", "");
  await setThings(project, things);
  return project;
}

/** What the provider really did, in order. */
export async function ledger(project: Project): Promise<string[]> {
  return (await project.read("ledger.txt")).split("\n").filter((line) => line !== "");
}

/** A running update has come to the resource behind the gate, and stays there. */
export async function gateReached(project: Project, gate: string): Promise<void> {
  await waitFor(`the update to reach ${gate}`, () =>
    project.read(`${gate}.reached`).then(
      () => true,
      () => null,
    ),
  );
}

export async function openGate(project: Project, gate: string): Promise<void> {
  await writeFile(join(project.dir, `${gate}.open`), "");
}

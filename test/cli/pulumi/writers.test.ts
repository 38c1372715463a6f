/**
 * The CLI has three ways to send a state: a journal, whole checkpoints, and what changed in a checkpoint. Which
 * one it takes is no business of the person's: the state is the same.
 */
import { beforeAll, expect, it } from "vitest";
import { ref, stashYaml } from "./programs.ts";
import { describePulumi } from "./pulumi.ts";
import type { Project } from "./terminal.ts";
import { useWorld, type World } from "./world.ts";

/**
 * A state without what differs from one run to the next: times, ciphertexts, names; ids by their order. A
 * journal with a refresh in it leaves out empty lists of property dependencies, here and in the engine's own
 * replayer.
 */
function normalised(text: string, stack: string): unknown {
  const ids = new Map<string, string>();
  const plain = text
    .replaceAll(stack, "STACK")
    .replaceAll(/\d{4}-\d\d-\d\dT[0-9:.]+Z/g, "TIME")
    .replaceAll(/"ciphertext": "[^"]+"/g, '"ciphertext": "SEALED"')
    .replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, "URL")
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, (id) => {
      const known = ids.get(id) ?? `ID ${ids.size}`;
      ids.set(id, known);
      return known;
    });
  return JSON.parse(plain, (key, value: unknown) => {
    if (key !== "propertyDependencies" || value === null || typeof value !== "object") return value;
    const kept = Object.entries(value).filter(([, urns]) => Array.isArray(urns) && urns.length > 0);
    return kept.length === 0 ? undefined : Object.fromEntries(kept);
  });
}

/** Each resource waits for the one before it, so that the order of the state is always the same. */
function chain(stashes: readonly (readonly [name: string, input: unknown])[]): string {
  const resources = Object.fromEntries(
    stashes.map(([name, input], index) => {
      const before = stashes[index - 1]?.[0];
      const options = before === undefined ? {} : { dependsOn: [ref(before)] };
      return [name, { type: "pulumi:index:Stash", properties: { input }, options }];
    }),
  );
  return stashYaml("shop", {
    stashes: {},
    resources,
    outputs: Object.fromEntries(stashes.map(([name]) => [name, ref(`${name}.input`)])),
  });
}

const secret = { "fn::secret": "quiet" };
const PROGRAMS = {
  first: chain([
    ["a", 1],
    ["b", secret],
    ["c", { deep: ["ü", "<&>", 1.5] }],
    ["d", "same"],
  ]),
  changed: chain([
    ["a", 2],
    ["b", secret],
    ["new", "one"],
    ["d", "same"],
  ]),
};

describePulumi("journals, checkpoints and deltas", () => {
  const plain = useWorld();
  const delta = useWorld({ STATEHOUSE_DELTA_CHECKPOINTS: "true", STATEHOUSE_DELTA_CUTOFF_BYTES: "0" });
  let projects: readonly Project[] = [];
  const stacks = ["byjournal", "bycheckpoint", "bydelta"];

  const open = async (world: World, stack: string): Promise<Project> => {
    const env = stack === "byjournal" ? {} : { PULUMI_DISABLE_JOURNALING: "true" };
    const project = (await world.terminal.project(stack)).with(env);
    await project.write("Pulumi.yaml", PROGRAMS.first);
    await project.ok("stack", "init", stack);
    return project;
  };

  beforeAll(async () => {
    projects = await Promise.all([
      open(plain(), "byjournal"),
      open(plain(), "bycheckpoint"),
      open(delta(), "bydelta"),
    ]);
  });

  /** Does the same with each stack; then all states are one. */
  const all = async (act: (project: Project) => Promise<unknown>): Promise<string> => {
    const states: unknown[] = [];
    for (const [index, project] of projects.entries()) {
      await act(project);
      states.push(normalised((await project.export()).text, stacks[index] ?? ""));
    }
    for (const state of states) expect(state).toEqual(states[0]);
    return JSON.stringify(states[0]);
  };

  it("agree on what was created", async () => {
    const state = await all((project) => project.up());
    expect(state).toContain('"SEALED"');
    for (const project of projects) {
      expect(await project.json("stack", "output", "--json", "--show-secrets")).toEqual({
        a: 1,
        b: "quiet",
        c: { deep: ["ü", "<&>", 1.5] },
        d: "same",
      });
    }
  });

  it("agree on changes, removals and additions", async () => {
    const state = await all(async (project) => {
      await project.write("Pulumi.yaml", PROGRAMS.changed);
      expect(await project.up()).toMatch(/\+ 1 created\s+~ 1 updated\s+- 1 deleted/);
    });
    expect(state).not.toContain("Stash::c");
  });

  it("agree on a replacement", async () => {
    await all(async (project) => {
      const said = await project.up(
        "--replace",
        `urn:pulumi:${project.dir.split("/").at(-1)}::shop::pulumi:index:Stash::new`,
      );
      expect(said).toMatch(/1 replaced/);
    });
  });

  it("agree on an update with a refresh", async () => {
    await all((project) => project.up("--refresh"));
  });

  it("agree on an update that fails", async () => {
    const state = await all(async (project) => {
      await project.write(
        "Pulumi.yaml",
        chain([
          ["a", 3],
          ["b", secret],
          ["new", "one"],
          ["bad", { "fn::fromBase64": "?" }],
        ]),
      );
      await project.fails("up", "--yes", "--skip-preview");
    });
    expect(state).toContain('"inputs":{"input":3}');
  });

  it("agree on an empty stack after destroy", async () => {
    const state = await all((project) => project.ok("destroy", "--yes", "--skip-preview"));
    expect(state).not.toContain("urn:pulumi");
  });

  it("were really used, and nothing that they sent was refused", () => {
    const requests = [...plain().logLines, ...delta().logLines].map(
      (line) => JSON.parse(line) as { method?: string; path?: string; status?: number },
    );
    const saves = requests.filter(({ method }) => method === "PATCH");
    expect(saves.every(({ status = 0 }) => status < 300)).toBe(true);
    const kinds = stacks.map((stack) => {
      const paths = saves.map(({ path = "" }) => path).filter((path) => path.includes(`/${stack}/`));
      return [...new Set(paths.map((path) => path.split("/").at(-1)))].toSorted();
    });
    expect(kinds).toEqual([["journalentries"], ["checkpoint"], ["checkpointdelta", "checkpointverbatim"]]);
  });
});

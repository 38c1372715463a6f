/** `sst dev` makes nothing; a change of mode is refused until the data has moved. */
import { expect, it } from "vitest";
import { acknowledgementOf } from "../../infra/mode-change.ts";
import { all, describeStage, one, unwrap } from "./support.ts";
import type { SynthInput } from "./synth/case.ts";

for (const mode of ["efs", "aurora"] as const) {
  describeStage({ stage: "ada", config: { mode }, dev: true }, `sst dev, ${mode}`, (made) => {
    it("makes nothing in AWS and starts the server here", () => {
      expect(made().errors).toEqual([]);
      expect(made().resources.filter((it) => it.type.startsWith("aws:"))).toEqual([]);
      expect(made().resources.map((it) => it.type)).toContain("sst:sst:DevCommand");
      expect(made().outputs).toMatchObject({ login: "pulumi login http://localhost:4000" });
    });
  });
}

function deployed(stage: string, mode: string): NonNullable<SynthInput["calls"]> {
  const name = `/statehouse/${stage}/guard/mode`;
  return {
    "aws:ssm/getParametersByPath:getParametersByPath": { names: [name], values: [mode], arns: [], types: [] },
  };
}
const CALLS = deployed("production", "efs");
const WORDS = { STATEHOUSE_MODE_CHANGE: acknowledgementOf("efs", "aurora") };

const REFUSED: readonly { when: string; input: Omit<SynthInput, "stage" | "calls"> }[] = [
  { when: "the mode alone changes", input: { config: { mode: "aurora" } } },
  { when: "only the words are there", input: { config: { mode: "aurora" }, environment: WORDS } },
  {
    when: "both storages are there, but not the words",
    input: { config: { mode: "aurora", bothStorages: true } },
  },
  {
    when: "the words are for the other way",
    input: {
      config: { mode: "aurora", bothStorages: true },
      environment: { STATEHOUSE_MODE_CHANGE: acknowledgementOf("aurora", "efs") },
    },
  },
];
for (const { when, input } of REFUSED) {
  describeStage({ ...input, stage: "production", calls: CALLS }, `a change of mode, when ${when}`, (made) => {
    it("is refused, names the way, and makes nothing", () => {
      expect(made().errors.join()).toContain("statehouse transfer");
      expect(made().resources.filter((it) => it.type.startsWith("aws:"))).toEqual([]);
    });
  });
}

describeStage(
  {
    stage: "production",
    calls: CALLS,
    config: { mode: "aurora", bothStorages: true },
    environment: WORDS,
  },
  "a change of mode that was prepared",
  (made) => {
    it("goes on, and keeps the storage that it leaves", () => {
      expect(made().errors).toEqual([]);
      expect(one(made(), "efs/fileSystem").protect).toBe(true);
      expect(one(made(), "rds/cluster").protect).toBe(true);
      expect(unwrap(one(made(), "ssm/parameter", "Mode").inputs.value)).toBe("aurora");
    });
  },
);

describeStage(
  { stage: "production", calls: CALLS, config: { mode: "efs" } },
  "the mode that is deployed already",
  (made) => {
    it("needs no words", () => {
      expect(made().errors).toEqual([]);
      expect(all(made(), "ecs/service")).toHaveLength(1);
    });
  },
);

describeStage(
  { stage: "production", config: { mode: "efs" }, secrets: {} },
  "a stage without its secrets",
  (made) => {
    it("says which one to set, and how", () => {
      expect(made().errors.join("\n")).toContain("sst secret set EncryptionKey");
    });
  },
);

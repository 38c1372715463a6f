/** `sst dev` makes nothing; a change of mode is refused until the data has moved. */
import { expect, it } from "vitest";
import { all, describeStage, one, unwrap } from "./support.ts";

for (const name of ["sst dev, efs", "sst dev, aurora"] as const) {
  describeStage(name, (made) => {
    it("makes nothing in AWS and starts the server here", () => {
      expect(made().errors).toEqual([]);
      expect(made().resources.filter((it) => it.type.startsWith("aws:"))).toEqual([]);
      expect(made().resources.map((it) => it.type)).toContain("sst:sst:DevCommand");
      expect(made().outputs).toMatchObject({ login: "pulumi login http://localhost:4000" });
    });
  });
}

for (const name of [
  "a change of mode, when the mode alone changes",
  "a change of mode, when only the words are there",
  "a change of mode, when both storages are there, but not the words",
  "a change of mode, when the words are for the other way",
] as const) {
  describeStage(name, (made) => {
    it("is refused, names the way, and makes nothing", () => {
      expect(made().errors.join()).toContain("statehouse transfer");
      expect(made().resources.filter((it) => it.type.startsWith("aws:"))).toEqual([]);
    });
  });
}

describeStage("a change of mode that was prepared", (made) => {
  it("goes on, and keeps the storage that it leaves", () => {
    expect(made().errors).toEqual([]);
    expect(one(made(), "efs/fileSystem").protect).toBe(true);
    expect(one(made(), "rds/cluster").protect).toBe(true);
    expect(unwrap(one(made(), "ssm/parameter", "Mode").inputs.value)).toBe("aurora");
  });
});

describeStage("the mode that is deployed already", (made) => {
  it("needs no words", () => {
    expect(made().errors).toEqual([]);
    expect(all(made(), "ecs/service")).toHaveLength(1);
  });
});

describeStage("a stage without its secrets", (made) => {
  it("says which one to set, and how", () => {
    expect(made().errors.join("\n")).toContain("sst secret set EncryptionKey");
  });
});

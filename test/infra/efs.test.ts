/** `efs`: never two tasks on one file, and no way to the file but the task's. */
import { expect, it } from "vitest";
import { STOP_TIMEOUT_SECONDS, USER_ID } from "../../infra/facts.ts";
import { casesOf, configOf, isProduction } from "./cases.ts";
import { all, describeCases, describeStage, one, serverOf, statementsOf } from "./support.ts";

describeCases(casesOf("efs"), (made, name) => {
  const production = isProduction(name);
  const config = configOf(name);

  it("stops the old task before it starts the new one", () => {
    const { inputs, deleteBeforeReplace, ignoreChanges } = one(made(), "ecs/service");
    expect(inputs).toMatchObject({
      desiredCount: 1,
      deploymentMinimumHealthyPercent: 0,
      deploymentMaximumPercent: 100,
      availabilityZoneRebalancing: "DISABLED",
      deploymentConfiguration: { strategy: "ROLLING" },
      launchType: "FARGATE",
    });
    expect(inputs).not.toHaveProperty("capacityProviderStrategies");
    expect(inputs).not.toHaveProperty("schedulingStrategy");
    expect(deleteBeforeReplace).toBe(true);
    expect(ignoreChanges).not.toContain("desiredCount");
  });

  it("never scales", () => {
    expect(one(made(), "appautoscaling/target").inputs).toMatchObject({ minCapacity: 1, maxCapacity: 1 });
    expect(all(made(), "appautoscaling/policy")).toEqual([]);
  });

  it("gives a new task time to wait for the old one", () => {
    const silenceSeconds = 30;
    const drainSeconds = all(made(), "lb/targetGroup")[0]?.inputs.deregistrationDelay ?? 0;
    const waitSeconds = drainSeconds + STOP_TIMEOUT_SECONDS + silenceSeconds;
    const { startPeriod, interval, retries } = serverOf(made()).healthCheck ?? {
      startPeriod: 0,
      interval: 0,
      retries: 0,
    };
    expect(startPeriod + interval * retries).toBeGreaterThan(waitSeconds);
    expect(startPeriod).toBeLessThanOrEqual(300);
    const { healthCheckGracePeriodSeconds } = one(made(), "ecs/service").inputs;
    if (config.edge === "api") expect(healthCheckGracePeriodSeconds).toBeUndefined();
    else expect(healthCheckGracePeriodSeconds).toBeGreaterThan(waitSeconds);
  });

  it("has a file system that is encrypted, and backed up every day", () => {
    expect(one(made(), "efs/fileSystem").inputs).toMatchObject({
      encrypted: true,
      performanceMode: "generalPurpose",
      throughputMode: "elastic",
    });
    expect(one(made(), "efs/fileSystem").inputs).not.toHaveProperty("lifecyclePolicies");
    expect(one(made(), "efs/backupPolicy").inputs.backupPolicy).toEqual({ status: "ENABLED" });
    expect(all(made(), "efs/mountTarget")).toHaveLength(2);
  });

  it("comes to it as the image's user, in a folder that is that user's", () => {
    const { inputs, retainOnDelete } = one(made(), "efs/accessPoint");
    expect(inputs.posixUser).toEqual({ uid: USER_ID, gid: USER_ID });
    expect(inputs.rootDirectory).toEqual({
      path: "/statehouse",
      creationInfo: { ownerUid: USER_ID, ownerGid: USER_ID, permissions: "0750" },
    });
    expect(retainOnDelete).toBe(production);
    expect(serverOf(made()).user).toBe(`${USER_ID}:${USER_ID}`);
  });

  it("mounts it with TLS, with IAM, through the access point", () => {
    const task = one(made(), "ecs/taskDefinition", "StatehouseTask");
    const volumes = (task.inputs.volumes as { efsVolumeConfiguration?: unknown }[]).filter(
      (it) => it.efsVolumeConfiguration,
    );
    expect(volumes.map((it) => it.efsVolumeConfiguration)).toEqual([
      {
        fileSystemId: "DataFileSystem-id",
        transitEncryption: "ENABLED",
        authorizationConfig: { accessPointId: "DataAccessPoint-id", iam: "ENABLED" },
      },
    ]);
    expect(serverOf(made()).mountPoints).toContainEqual({
      sourceVolume: "DataAccessPoint-id",
      containerPath: "/data",
    });
  });

  it("may mount and write through the access point, and nothing else", () => {
    const [mount, ...others] = statementsOf(one(made(), "iam/role", "StatehouseTaskRole"));
    expect(mount?.Action).toEqual(["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]);
    expect(mount?.Resource).toMatch(/FileSystem\/DataFileSystem$/);
    expect(mount?.Condition?.StringEquals).toEqual({
      "elasticfilesystem:AccessPointArn": expect.stringMatching(/AccessPoint\/DataAccessPoint$/),
    });
    expect(others.flatMap((it) => it.Action).filter((it) => !it.startsWith("ssmmessages:"))).toEqual([]);
    const policy = JSON.parse(one(made(), "efs/fileSystemPolicy").inputs.policy);
    expect(policy.Statement).toMatchObject([
      {
        Effect: "Allow",
        Action: ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"],
        Condition: { StringEquals: { "elasticfilesystem:AccessPointArn": expect.any(String) } },
      },
      { Effect: "Deny", Action: "*", Condition: { Bool: { "aws:SecureTransport": "false" } } },
    ]);
  });

  it("pays for nothing that it does not use", () => {
    if (config.bothStorages) return;
    for (const type of ["rds/", "elasticache/", "s3/", "secretsmanager/", "ec2/eip"])
      expect(
        made().resources.filter((it) => it.type.startsWith(`aws:${type}`)),
        type,
      ).toEqual([]);
  });
});

describeStage("efs with two replicas", (made) => {
  it("is refused before anything is made", () => {
    expect(made().errors.join()).toContain("replicas must be 1");
    expect(made().resources.filter((it) => it.type.startsWith("aws:"))).toEqual([]);
  });
});

describeStage("efs production, both storages", (made) => {
  it("has a transfer task that reaches both, and nobody starts it but a person", () => {
    const statements = statementsOf(one(made(), "iam/role", "TransferTaskRole"));
    const actions = statements.flatMap((it) => it.Action);
    expect(actions).toContain("elasticfilesystem:ClientMount");
    expect(actions).toContain("s3:PutObject");
    expect(all(made(), "ecs/service")).toHaveLength(1);
    expect(made().resources.filter((it) => /scheduler|cloudwatch\/event/.test(it.type))).toEqual([]);
    expect(made().outputs.transfer).toMatch(/^aws ecs run-task .*assignPublicIp=ENABLED\}$/);
  });
});

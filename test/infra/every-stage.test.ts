/** What holds in every mode and every stage. */
import { expect, it } from "vitest";
import { DATA_DIR, HEALTHCHECK_COMMAND, PORT, READINESS_PATH, USER_ID } from "../../infra/facts.ts";
import { CASE_NAMES, CASES, configOf, isProduction, modeOf } from "./cases.ts";
import {
  all,
  containersOf,
  describeCases,
  ingressOf,
  list,
  one,
  serverOf,
  statementsOf,
  unwrap,
} from "./support.ts";
import { IMAGE, SECRETS } from "./synth/synth.ts";

describeCases(CASE_NAMES, (made, name) => {
  const production = isProduction(name);
  const mode = modeOf(name);
  const config = configOf(name);

  it("is synthesised without an error or a warning", () => {
    const { errors, warnings, resources } = made();
    expect({ errors, warnings }).toEqual({ errors: [], warnings: [] });
    expect(resources.length).toBeGreaterThan(40);
  });

  it("is protected and kept in production, and goes away elsewhere", () => {
    expect(made().app).toEqual(
      production ? { removal: "retain", protect: true } : { removal: "remove", protect: false },
    );
    const stores = ["efs/fileSystem", "rds/cluster", "s3/bucket"].flatMap((type) => all(made(), type));
    expect(stores.length).toBeGreaterThan(0);
    for (const store of stores) {
      expect(store.protect, store.name).toBe(production);
      expect(store.retainOnDelete, store.name).toBe(production);
    }
    expect(one(made(), "ssm/parameter", "EncryptionKeyParameter").retainOnDelete).toBe(production);
    for (const balancer of all(made(), "lb/loadBalancer"))
      expect(balancer.inputs.enableDeletionProtection).toBe(production);
  });

  it("has no secret in clear text, in no resource", () => {
    const secrets = [...Object.values(SECRETS), "Generated-"];
    // SST's own records of what could be linked are not sent to AWS.
    const sent = made().resources.filter((it) => it.type.startsWith("aws:"));
    for (const { inputs, type, name: at } of sent) {
      const clear = JSON.stringify(inputs, (_, value) => (value?.$secret === undefined ? value : "(secret)"));
      for (const secret of secrets) expect(clear.includes(secret), `${type} ${at}`).toBe(false);
    }
    for (const { environment } of containersOf(made()))
      for (const { name: variable, value } of environment)
        for (const secret of secrets) expect(value.includes(secret), variable).toBe(false);
  });

  it("gives secrets by ARN, and the execution role reads those and no others", () => {
    for (const kind of ["Statehouse", ...(config.bothStorages ? ["Transfer"] : [])]) {
      const arns = containersOf(made(), `${kind}Task`).flatMap((it) => it.secrets.map((s) => s.valueFrom));
      const statements = statementsOf(one(made(), "iam/role", `${kind}ExecutionRole`));
      expect(arns.every((arn) => arn.startsWith("arn:aws:ssm:"))).toBe(true);
      expect(statements.map((it) => it.Action)).toEqual(["ssm:GetParameters"]);
      expect(statements.flatMap((it) => list(it.Resource)).sort()).toEqual(arns.sort());
    }
    for (const parameter of all(made(), "ssm/parameter").filter((it) => it.name !== "Mode")) {
      expect(parameter.inputs.type, parameter.name).toBe("SecureString");
      expect(parameter.inputs.value, parameter.name).toHaveProperty("$secret");
    }
  });

  it("allows nothing on everything in production, and elsewhere only ECS Exec", () => {
    const wide = all(made(), "iam/role")
      .flatMap(statementsOf)
      .filter((it) => it.Effect === "Allow" && list(it.Resource).includes("*"))
      .flatMap((it) => list(it.Action));
    const others = wide.filter((action) => !/^ssmmessages:(Create|Open)(Control|Data)Channel$/.test(action));
    expect(others).toEqual([]);
    if (production) expect(wide).toEqual([]);
    const actions = all(made(), "iam/role")
      .flatMap(statementsOf)
      .flatMap((it) => list(it.Action));
    expect(actions.filter((action) => action.includes("*"))).toEqual([]);
  });

  it("runs as the image's user, on one port, with time to stop", () => {
    const server = serverOf(made());
    expect(server.image).toBe(IMAGE);
    expect(server.portMappings).toEqual([{ containerPort: PORT }]);
    expect(server.linuxParameters.initProcessEnabled).toBe(true);
    for (const container of containersOf(made())) {
      expect(container.user).toBe(`${USER_ID}:${USER_ID}`);
      expect(container.stopTimeout).toBeGreaterThan(30);
      expect(container.stopTimeout).toBeLessThanOrEqual(120);
      // ECS Exec writes to the root file system.
      expect(container.readonlyRootFilesystem).toBe(production);
      expect(container.mountPoints.map((it) => it.containerPath)).toEqual([DATA_DIR]);
    }
    expect(one(made(), "ecs/service").inputs.enableExecuteCommand).toBe(!production);
  });

  it("is asked whether it is well, where the server answers", () => {
    const { healthCheck } = serverOf(made());
    expect(healthCheck?.command).toEqual(HEALTHCHECK_COMMAND);
    for (const target of all(made(), "lb/targetGroup")) {
      expect(target.inputs).toMatchObject({ port: PORT, protocol: "HTTP", targetType: "ip" });
      expect(target.inputs.healthCheck).toMatchObject({
        path: READINESS_PATH,
        matcher: "200",
        interval: 15,
        healthyThreshold: 2,
        unhealthyThreshold: 3,
      });
    }
  });

  it("uses Spot only where a lost task costs nothing", () => {
    const { inputs } = one(made(), "ecs/service");
    const strategies = (inputs.capacityProviderStrategies ?? []) as {
      capacityProvider: string;
      weight: number;
    }[];
    const spot = strategies.some((it) => it.capacityProvider === "FARGATE_SPOT" && it.weight > 0);
    expect(spot).toBe(mode === "aurora" && !production);
    if (!spot) expect(inputs.launchType).toBe("FARGATE");
  });

  it("keeps logs for as long as the stage deserves", () => {
    const groups = all(made(), "cloudwatch/logGroup");
    expect(groups.length).toBeGreaterThan(0);
    for (const group of groups) expect(group.inputs.retentionInDays, group.name).toBe(production ? 90 : 7);
  });

  it("lets in who is meant, where it is meant", () => {
    const { edge, bothStorages } = config;
    const balancer = "StatehouseLoadBalancerSecurityGroup";
    const hasDomain = configOf(name).domain !== undefined;
    const expected = [
      ...(edge === undefined ? [`${balancer}: pl-cloudfront tcp/80`] : []),
      ...(edge === "alb" ? [`${balancer}: 0.0.0.0/0 tcp/80`] : []),
      ...(edge === "alb" && hasDomain ? [`${balancer}: 0.0.0.0/0 tcp/443`] : []),
      edge === "api" ? `AppGroup: ApiLinkGroup-id tcp/${PORT}` : `AppGroup: ${balancer}-id tcp/${PORT}`,
      ...(mode === "efs" || bothStorages ? ["DataSecurityGroup: AppGroup-id tcp/2049"] : []),
      ...(mode === "aurora" || bothStorages ? ["DatabaseGroup: AppGroup-id tcp/5432"] : []),
    ];
    if (configOf(name).redis) expected.push("RedisGroup: AppGroup-id tcp/6379");
    // SST's tunnel reaches the bastion by SSH. With NAT machines the first of them is the bastion, too.
    if (config.nat === "ec2") expected.push("VpcNatInstanceSecurityGroup: 10.0.0.0/16 -1/0");
    if (config.bastion) {
      const bastion = `Vpc${config.nat === "ec2" ? "NatInstance" : "Bastion"}SecurityGroup`;
      expected.push(`${bastion}: 0.0.0.0/0 tcp/22`, `DatabaseGroup: ${bastion}-id tcp/5432`);
    }
    expect(ingressOf(made())).toEqual(expected.sort());
    expect(one(made(), "ec2/defaultSecurityGroup").inputs).toMatchObject({ ingress: [], egress: [] });
  });

  it("has no NAT, no address and no machine that nobody asked for", () => {
    const asked = config.nat !== undefined;
    for (const type of ["ec2/natGateway", "ec2/eip"]) if (!asked) expect(all(made(), type), type).toEqual([]);
    expect(all(made(), "ec2/instance")).toHaveLength(asked ? 2 : config.bastion ? 1 : 0);
    expect(one(made(), "ecs/service").inputs.networkConfiguration).toMatchObject({
      assignPublicIp: !asked,
      securityGroups: ["AppGroup-id"],
      subnets: asked
        ? ["VpcPrivateSubnet1-id", "VpcPrivateSubnet2-id"]
        : ["VpcPublicSubnet1-id", "VpcPublicSubnet2-id"],
    });
  });

  it("ends with the address, the line that signs a CLI in, and where the data is", () => {
    const { outputs } = made();
    const { url } = outputs;
    expect(url).toMatch(/^https?:\/\/[a-z0-9.-]+$/);
    if (production) expect(url).toMatch(/^https:/);
    expect(outputs.login).toBe(`pulumi login ${String(url)}`);
    expect(outputs.adminToken).toContain(`--name /statehouse/${CASES[name].stage}/AdminToken`);
    expect(JSON.stringify(outputs)).not.toContain(SECRETS.AdminToken);
    const places = mode === "efs" ? ["fileSystem"] : ["databaseHost", "bucket"];
    for (const place of places) expect(outputs).toHaveProperty(place);
  });

  it("remembers its mode where the guard looks", () => {
    const { inputs } = one(made(), "ssm/parameter", "Mode");
    expect(inputs.name).toBe(`/statehouse/${CASES[name].stage}/guard/mode`);
    expect(unwrap(inputs.value)).toBe(mode);
  });
});

/** `aurora`: many tasks, a database that is not lost, a bucket that nobody else reads. */
import { expect, it } from "vitest";
import { DATA_DIR } from "../../infra/facts.ts";
import { casesOf, configOf, isProduction } from "./cases.ts";
import { all, describeCases, one, serverOf, statementsOf, unwrap } from "./support.ts";

describeCases(casesOf("aurora"), (made, name) => {
  const production = isProduction(name);
  const config = configOf(name);

  it("starts new tasks before it stops old ones, and scales", () => {
    const { inputs, ignoreChanges } = one(made(), "ecs/service");
    expect(inputs).toMatchObject({
      desiredCount: production ? 2 : 1,
      deploymentMinimumHealthyPercent: 100,
      deploymentMaximumPercent: 200,
      availabilityZoneRebalancing: "ENABLED",
      deploymentCircuitBreaker: { enable: true, rollback: true },
    });
    expect(ignoreChanges).toContain("desiredCount");
    expect(one(made(), "appautoscaling/target").inputs).toMatchObject(
      production ? { minCapacity: 2, maxCapacity: 6 } : { minCapacity: 1, maxCapacity: 2 },
    );
    const targets = all(made(), "appautoscaling/policy").map(
      (it) => it.inputs.targetTrackingScalingPolicyConfiguration.targetValue,
    );
    expect(targets.sort()).toEqual([60, 70]);
  });

  it("has a database that survives a mistake in production", () => {
    const { inputs } = one(made(), "rds/cluster");
    expect(inputs).toMatchObject({
      engine: "aurora-postgresql",
      engineVersion: "17",
      storageEncrypted: true,
      allowMajorVersionUpgrade: false,
      deletionProtection: production,
      skipFinalSnapshot: !production,
      applyImmediately: !production,
      backupRetentionPeriod: production ? 14 : 1,
      vpcSecurityGroupIds: ["DatabaseGroup-id"],
    });
    if (production) expect(inputs.finalSnapshotIdentifier).toBe("statehouse-production-final");
    for (const instance of all(made(), "rds/clusterInstance"))
      expect(instance.inputs).toMatchObject({ instanceClass: "db.serverless", publiclyAccessible: false });
    expect(all(made(), "rds/clusterInstance")).toHaveLength(name.includes("foreign") ? 2 : 1);
  });

  it("has bounds, and pauses outside production only", () => {
    expect(one(made(), "rds/cluster").inputs.serverlessv2ScalingConfiguration).toEqual(
      production
        ? { minCapacity: 0.5, maxCapacity: 8 }
        : { minCapacity: 0, maxCapacity: 2, secondsUntilAutoPause: 900 },
    );
  });

  it("takes no connection without TLS, and makes none without checking the certificate", () => {
    expect(one(made(), "rds/clusterParameterGroup").inputs.parameters).toEqual([
      { name: "rds.force_ssl", value: "1" },
    ]);
    const url = unwrap(one(made(), "ssm/parameter", "DatabaseUrlParameter").inputs.value);
    expect(new URL(url).searchParams.get("sslmode")).toBe("verify-full");
    expect(new URL(url).hostname).toBe("writer.cluster.example");
    expect(all(made(), "rds/proxy")).toEqual([]);
  });

  it("has a private, versioned bucket that is emptied by nobody", () => {
    const bucket = one(made(), "s3/bucket");
    expect(bucket.inputs.forceDestroy).toBe(!production);
    expect(one(made(), "s3/bucketPublicAccessBlock").inputs).toMatchObject({
      blockPublicAcls: true,
      blockPublicPolicy: true,
      ignorePublicAcls: true,
      restrictPublicBuckets: true,
    });
    expect(one(made(), "s3/bucketVersioning").inputs.versioningConfiguration).toEqual({ status: "Enabled" });
    expect(all(made(), "s3/bucketCorsConfiguration")).toEqual([]);
    const policy = JSON.parse(one(made(), "s3/bucketPolicy").inputs.policy);
    expect(policy.Statement).toMatchObject([
      {
        Effect: "Deny",
        Principal: "*",
        Action: "s3:*",
        Condition: { Bool: { "aws:SecureTransport": "false" } },
      },
    ]);
    const rules = one(made(), "s3/bucketLifecycleConfiguration").inputs.rules as Record<string, unknown>[];
    expect(rules).toMatchObject([
      { noncurrentVersionExpiration: { noncurrentDays: production ? 90 : 7 } },
      { abortIncompleteMultipartUpload: { daysAfterInitiation: 3 } },
    ]);
    // States live as long as a row names them; no rule may end a current one.
    for (const rule of rules) expect(rule.expiration ?? {}).not.toHaveProperty("days");
  });

  it("may do with that bucket what the server does", () => {
    const statements = statementsOf(one(made(), "iam/role", "StatehouseTaskRole"));
    const storage = statements.filter((it) => [it.Action].flat().some((action) => action.startsWith("s3:")));
    expect(storage).toEqual([
      {
        Effect: "Allow",
        Action: ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
        Resource: "arn:aws:s3:::statesbucket-bucket",
      },
      {
        Effect: "Allow",
        Action: [
          "s3:GetObject",
          "s3:PutObject",
          "s3:DeleteObject",
          "s3:AbortMultipartUpload",
          "s3:ListMultipartUploadParts",
        ],
        Resource: "arn:aws:s3:::statesbucket-bucket/*",
      },
    ]);
    expect(statements.length - storage.length).toBe(production ? 0 : 1);
  });

  it("has a Valkey where it is asked for, with TLS and a password, for the tasks alone", () => {
    if (config.redis === undefined) {
      expect(made().resources.filter((it) => it.type.startsWith("aws:elasticache/"))).toEqual([]);
      return;
    }
    expect(one(made(), "elasticache/replicationGroup").inputs).toMatchObject({
      engine: "valkey",
      nodeType: "cache.t4g.micro",
      clusterMode: "disabled",
      transitEncryptionEnabled: true,
      transitEncryptionMode: "required",
      atRestEncryptionEnabled: true,
      authToken: { $secret: expect.any(String) },
      securityGroupIds: ["RedisGroup-id"],
    });
    const url = new URL(unwrap(one(made(), "ssm/parameter", "RedisUrlParameter").inputs.value));
    expect(url).toMatchObject({ protocol: "rediss:", username: "default", host: "cache.example:6379" });
    expect(decodeURIComponent(url.password)).toMatch(/^Generated-RedisAuthToken/);
  });

  it("keeps a browser on one task while it lives, and lets go in time", () => {
    if (config.edge === "api") return;
    expect(one(made(), "lb/targetGroup").inputs).toMatchObject({
      stickiness: { type: "lb_cookie", enabled: true, cookieDuration: 86_400 },
      loadBalancingAlgorithmType: "least_outstanding_requests",
    });
  });

  it("has no folder of its own that matters", () => {
    const { environment, mountPoints } = serverOf(made());
    expect(environment).toContainEqual({ name: "STATEHOUSE_DATA_DIR", value: DATA_DIR });
    expect(mountPoints).toEqual([{ sourceVolume: "scratch", containerPath: DATA_DIR }]);
    const [task] = all(made(), "ecs/taskDefinition");
    expect(task?.inputs.volumes).toEqual([{ name: "scratch" }]);
    expect(all(made(), "efs/fileSystem")).toEqual([]);
  });
});

/** The `efs` storage: one encrypted file system, reached only as the image's user, only with IAM and TLS. */
import { DATA_DIR, USER_ID } from "./facts.ts";
import type { Network } from "./network.ts";
import type { Settings } from "./settings.ts";
import type { Storage } from "./storage.ts";

const NFS_PORT = 2049;

export function makeEfs(settings: Settings, network: Network): Storage {
  const efs = new sst.aws.Efs("Data", {
    vpc: network.vpc,
    throughput: "elastic",
    performance: "general-purpose",
    transform: {
      fileSystem: (args, opts) => {
        args.encrypted = true;
        // SST's own list of what is retained does not know file systems.
        opts.protect = settings.protectData;
        opts.retainOnDelete = settings.production;
      },
      accessPoint: (args, opts) => {
        args.posixUser = { uid: USER_ID, gid: USER_ID };
        args.rootDirectory = {
          path: "/statehouse",
          creationInfo: { ownerUid: USER_ID, ownerGid: USER_ID, permissions: "0750" },
        };
        opts.retainOnDelete = settings.production;
      },
      securityGroup: (args) => {
        args.ingress = [
          { protocol: "tcp", fromPort: NFS_PORT, toPort: NFS_PORT, securityGroups: [network.appGroup.id] },
        ];
        args.egress = [];
      },
    },
  });
  const { fileSystem, accessPoint } = efs.nodes;
  new aws.efs.BackupPolicy("DataBackups", { fileSystemId: efs.id, backupPolicy: { status: "ENABLED" } });
  const throughAccessPoint = {
    test: "StringEquals",
    variable: "elasticfilesystem:AccessPointArn",
    values: [accessPoint.arn],
  };
  const mount = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"];
  new aws.efs.FileSystemPolicy("DataPolicy", {
    fileSystemId: efs.id,
    policy: fileSystemPolicy(fileSystem.arn, mount, throughAccessPoint),
  });
  return {
    environment: { STATEHOUSE_DATA_DIR: DATA_DIR },
    secrets: {},
    permissions: [{ actions: mount, resources: [fileSystem.arn], conditions: [throughAccessPoint] }],
    volumes: [{ efs, path: DATA_DIR }],
    outputs: { fileSystem: efs.id },
  };
}

function fileSystemPolicy(
  arn: $util.Output<string>,
  mount: string[],
  throughAccessPoint: { test: string; variable: string; values: $util.Input<string>[] },
): $util.Output<string> {
  const account = aws.getCallerIdentityOutput().accountId;
  const partition = aws.getPartitionOutput().partition;
  return aws.iam.getPolicyDocumentOutput({
    statements: [
      {
        effect: "Allow",
        principals: [{ type: "AWS", identifiers: [$interpolate`arn:${partition}:iam::${account}:root`] }],
        actions: mount,
        resources: [arn],
        conditions: [throughAccessPoint],
      },
      {
        effect: "Deny",
        principals: [{ type: "AWS", identifiers: ["*"] }],
        actions: ["*"],
        resources: [arn],
        conditions: [{ test: "Bool", variable: "aws:SecureTransport", values: ["false"] }],
      },
    ],
  }).json;
}

/** The `aurora` storage: Aurora Serverless v2 Postgres for the rows, a private bucket for the states. */
import { DATA_DIR, RDS_CA_FILE } from "./facts.ts";
import { type Network, storeGroup } from "./network.ts";
import { secretParameter } from "./secrets.ts";
import type { Settings } from "./settings.ts";
import type { Storage } from "./storage.ts";

const POSTGRES_PORT = 5432;
const DATABASE = "statehouse";

export function makeAurora(settings: Settings, network: Network): Storage {
  const database = makeDatabase(settings, network);
  const bucket = makeBucket(settings);
  const { vpc } = network;
  new aws.ec2.VpcEndpoint("S3Endpoint", {
    vpcId: vpc.id,
    serviceName: $interpolate`com.amazonaws.${settings.region}.s3`,
    vpcEndpointType: "Gateway",
    routeTableIds: $util
      .all([vpc.nodes.publicRouteTables, vpc.nodes.privateRouteTables])
      .apply(([open, closed]) => [...open, ...closed].map((table) => table.id)),
  });
  const url = $interpolate`postgres://${database.username}:${database.password.apply(encodeURIComponent)}@${database.host}:${database.port}/${database.database}?sslmode=verify-full`;
  return {
    environment: {
      STATEHOUSE_DATA_DIR: DATA_DIR,
      STATEHOUSE_DATABASE_CA_FILE: RDS_CA_FILE,
      STATEHOUSE_S3_BUCKET: bucket.name,
      STATEHOUSE_S3_REGION: settings.region,
    },
    secrets: { STATEHOUSE_DATABASE_URL: secretParameter(settings, "DatabaseUrl", url).arn },
    permissions: [
      { actions: ["s3:ListBucket", "s3:ListBucketMultipartUploads"], resources: [bucket.arn] },
      {
        actions: [
          "s3:GetObject",
          "s3:PutObject",
          "s3:DeleteObject",
          "s3:AbortMultipartUpload",
          "s3:ListMultipartUploadParts",
        ],
        resources: [$interpolate`${bucket.arn}/*`],
      },
    ],
    volumes: [],
    outputs: { databaseHost: database.host, bucket: bucket.name },
  };
}

function makeDatabase(settings: Settings, network: Network): sst.aws.Aurora {
  const { minAcu, maxAcu, pauseAfterMinutes, readers } = settings.database;
  const group = storeGroup(settings, network, "DatabaseGroup", POSTGRES_PORT);
  return new sst.aws.Aurora("Database", {
    engine: "postgres",
    version: "17",
    username: DATABASE,
    database: DATABASE,
    scaling: {
      min: `${minAcu} ACU`,
      max: `${maxAcu} ACU`,
      ...(pauseAfterMinutes === null ? {} : { pauseAfter: `${pauseAfterMinutes} minutes` as const }),
    },
    replicas: readers,
    vpc: { subnets: network.vpc.privateSubnets, securityGroups: [group.id] },
    transform: {
      clusterParameterGroup: (args) => {
        args.parameters = [{ name: "rds.force_ssl", value: "1" }];
      },
      cluster: (args, opts) => {
        args.deletionProtection = settings.protectData;
        args.skipFinalSnapshot = !settings.production;
        if (settings.production) args.finalSnapshotIdentifier = `${$app.name}-${settings.stage}-final`;
        args.backupRetentionPeriod = settings.production ? 14 : 1;
        args.copyTagsToSnapshot = true;
        args.storageEncrypted = true;
        args.allowMajorVersionUpgrade = false;
        args.applyImmediately = !settings.production;
        args.enabledCloudwatchLogsExports = ["postgresql"];
        opts.protect = settings.protectData;
      },
      instance: (args) => {
        args.performanceInsightsEnabled = settings.production;
        args.publiclyAccessible = false;
      },
    },
  });
}

function makeBucket(settings: Settings): sst.aws.Bucket {
  const bucket = new sst.aws.Bucket("States", {
    cors: false,
    versioning: true,
    transform: {
      bucket: (args, opts) => {
        args.forceDestroy = !settings.protectData && !settings.production;
        opts.protect = settings.protectData;
      },
    },
  });
  // SST's `lifecycle` can't expire old versions.
  new aws.s3.BucketLifecycleConfiguration("StatesLifecycle", {
    bucket: bucket.name,
    rules: [
      {
        id: "old-versions",
        status: "Enabled",
        filter: { prefix: "" },
        noncurrentVersionExpiration: { noncurrentDays: settings.production ? 90 : 7 },
        expiration: { expiredObjectDeleteMarker: true },
      },
      {
        id: "abandoned-uploads",
        status: "Enabled",
        filter: { prefix: "" },
        abortIncompleteMultipartUpload: { daysAfterInitiation: 3 },
      },
    ],
  });
  return bucket;
}

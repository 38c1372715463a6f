/** The server: the rules of how tasks come and go, and how they are asked whether they are well. */
import type { Door } from "./edge.ts";
import { HEALTHCHECK_COMMAND, PORT, PROXY_HOPS, READINESS_PATH } from "./facts.ts";
import type { Network } from "./network.ts";
import type { Secrets } from "./secrets.ts";
import type { Settings } from "./settings.ts";
import type { Storage } from "./storage.ts";
import { taskArgs } from "./task.ts";

/** A new task waits for the old one: its drain, its stop, half a minute of silence on the file. Also for a paused database. */
const GRACE_SECONDS = 240;
/** Requests under way at a task that goes: longer than the server itself would wait for them, or they'd be cut here. */
const DRAIN_SECONDS = 30;
const STICKY_SECONDS = 86_400;

export interface ServiceParts {
  network: Network;
  storage: Storage;
  secrets: Secrets;
  door: Door;
}

export function makeService(settings: Settings, parts: ServiceParts): sst.aws.Service {
  const { network, storage, secrets, door } = parts;
  const isEfs = settings.mode === "efs";
  const common = taskArgs(settings, {
    environment: { ...settings.environment, ...serverEnvironment(settings, storage) },
    lateEnvironment: { STATEHOUSE_PUBLIC_URL: door.publicUrl },
    ssm: { ...secrets.ssm, ...storage.secrets },
    permissions: storage.permissions,
    volumes: storage.volumes,
    portMappings: [{ containerPort: PORT }],
  });
  return new sst.aws.Service("Statehouse", {
    ...common,
    cluster: network.cluster,
    ...(settings.spot ? { capacity: "spot" as const } : {}),
    scaling: isEfs
      ? { min: 1, max: 1, cpuUtilization: false, memoryUtilization: false }
      : {
          ...settings.replicas,
          cpuUtilization: 60,
          memoryUtilization: 70,
          scaleInCooldown: "300 seconds",
          scaleOutCooldown: "60 seconds",
        },
    health: {
      command: HEALTHCHECK_COMMAND,
      startPeriod: "240 seconds",
      interval: "30 seconds",
      timeout: "5 seconds",
      retries: 3,
    },
    ...(door.loadBalancer === null
      ? { serviceRegistry: { port: PORT } }
      : {
          loadBalancer: {
            ...door.loadBalancer,
            health: {
              "4000/http": {
                path: READINESS_PATH,
                interval: "15 seconds",
                timeout: "5 seconds",
                healthyThreshold: 2,
                unhealthyThreshold: 3,
                successCodes: "200",
              },
            },
          },
        }),
    wait: settings.production,
    transform: {
      ...common.transform,
      service: (args, opts) => rollout(settings, network, door, args, opts),
      loadBalancer: (args) => {
        args.idleTimeout = settings.idleTimeoutSeconds;
        args.dropInvalidHeaderFields = true;
        args.enableDeletionProtection = settings.production;
      },
      loadBalancerSecurityGroup: (args) => {
        args.ingress = door.ingress;
        args.egress = [
          { protocol: "tcp", fromPort: PORT, toPort: PORT, securityGroups: [network.appGroup.id] },
        ];
      },
      listener: (args) => {
        if (args.protocol === "HTTPS") args.sslPolicy = "ELBSecurityPolicy-TLS13-1-2-2021-06";
      },
      target: (args) => {
        args.deregistrationDelay = DRAIN_SECONDS;
        args.stickiness = isEfs
          ? { type: "lb_cookie", enabled: false }
          : { type: "lb_cookie", enabled: true, cookieDuration: STICKY_SECONDS };
        if (!isEfs) args.loadBalancingAlgorithmType = "least_outstanding_requests";
      },
    },
  });
}

/** What the server reads; docs/configuration.md has the list. */
function serverEnvironment(settings: Settings, storage: Storage): Record<string, $util.Input<string>> {
  return {
    STATEHOUSE_MODE: settings.mode,
    STATEHOUSE_REPLICAS: String(settings.replicas.max),
    STATEHOUSE_HOST: "0.0.0.0",
    STATEHOUSE_PORT: String(PORT),
    STATEHOUSE_TRUSTED_PROXY_HOPS: String(PROXY_HOPS[settings.edge]),
    ...storage.environment,
  };
}

/** In efs mode two tasks must never meet on the file: the old one goes before the new one comes. */
function rollout(
  settings: Settings,
  network: Network,
  door: Door,
  args: aws.ecs.ServiceArgs,
  opts: $util.CustomResourceOptions,
): undefined {
  const isEfs = settings.mode === "efs";
  args.deploymentMinimumHealthyPercent = isEfs ? 0 : 100;
  args.deploymentMaximumPercent = isEfs ? 100 : 200;
  args.availabilityZoneRebalancing = isEfs ? "DISABLED" : "ENABLED";
  args.deploymentConfiguration = { strategy: "ROLLING" };
  opts.deleteBeforeReplace = true;
  // In aurora mode the autoscaler owns the number; in efs mode it is one, whoever changed it.
  if (!isEfs) opts.ignoreChanges = [...(opts.ignoreChanges ?? []), "desiredCount"];
  args.enableExecuteCommand = !settings.production;
  if (door.loadBalancer !== null) args.healthCheckGracePeriodSeconds = GRACE_SECONDS;
  // With a vpc of our own SST leaves the address out, and the image could not be pulled.
  args.networkConfiguration = $util
    .output(args.networkConfiguration)
    .apply((given) => ({ subnets: [], ...given, assignPublicIp: network.assignPublicIp }));
}

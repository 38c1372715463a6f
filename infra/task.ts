/** What the service's task and the transfer task share: image, environment, secrets, and no right too many. */
import { DATA_DIR, STOP_TIMEOUT_SECONDS, USER_ID } from "./facts.ts";
import type { Settings } from "./settings.ts";
import type { Permission, Storage } from "./storage.ts";

/** A volume that lives and dies with its task, for the folder that the server wants in any case. */
const SCRATCH = "scratch";

export interface TaskParts {
  environment: Record<string, $util.Input<string>>;
  ssm: Record<string, $util.Input<string>>;
  permissions: Permission[];
  volumes: Storage["volumes"];
  portMappings: { containerPort: number }[];
  /** Variables that follow from the balancer: it waits for SST's own `environment`, so they are put in later. */
  lateEnvironment: Record<string, $util.Input<string>>;
}

interface Container {
  environment?: { name: string; value: string }[];
  mountPoints?: { sourceVolume: string; containerPath: string }[];
}

/** The arguments that sst.aws.Service and sst.aws.Task have in common. */
export function taskArgs(settings: Settings, parts: TaskParts) {
  return {
    architecture: settings.architecture,
    cpu: settings.cpu,
    memory: settings.memory,
    image: settings.image ?? { context: ".", dockerfile: "Dockerfile" },
    environment: parts.environment,
    ssm: parts.ssm,
    volumes: parts.volumes,
    logging: { retention: settings.logRetention },
    transform: {
      taskRole: (args: aws.iam.RoleArgs): undefined => {
        args.inlinePolicies = [{ name: "storage", policy: policyOf(taskStatements(settings, parts)) }];
      },
      executionRole: (args: aws.iam.RoleArgs): undefined => {
        const arns = Object.values(parts.ssm);
        const statement = { actions: ["ssm:GetParameters"], resources: arns };
        args.inlinePolicies = [{ name: "secrets", policy: policyOf([statement]) }];
      },
      taskDefinition: (args: aws.ecs.TaskDefinitionArgs) => hardenTask(settings, args, parts),
    },
  };
}

function taskStatements(settings: Settings, parts: TaskParts): Permission[] {
  if (settings.production) return parts.permissions;
  // ECS Exec; these actions know no resources.
  const channels = ["CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel"];
  const exec = { actions: channels.map((name) => `ssmmessages:${name}`), resources: ["*"] };
  return [...parts.permissions, exec];
}

function policyOf(statements: Permission[]): $util.Output<string> {
  return aws.iam.getPolicyDocumentOutput({
    statements: statements.map((statement) => ({ effect: "Allow", ...statement })),
  }).json;
}

/** SST has no properties for these, so its task definition is edited as text. */
function hardenTask(settings: Settings, args: aws.ecs.TaskDefinitionArgs, parts: TaskParts): undefined {
  const hasDisk = parts.volumes.length > 0;
  const harden = (container: Container, late: Record<string, string>) => ({
    ...container,
    environment: [
      ...(container.environment ?? []),
      ...Object.entries(late).map(([name, value]) => ({ name, value })),
    ],
    user: `${USER_ID}:${USER_ID}`,
    // ECS Exec needs to write; where it is off, only /data is writable.
    readonlyRootFilesystem: settings.production,
    pseudoTerminal: false,
    stopTimeout: STOP_TIMEOUT_SECONDS,
    portMappings: parts.portMappings,
    mountPoints: hasDisk ? container.mountPoints : [{ sourceVolume: SCRATCH, containerPath: DATA_DIR }],
  });
  args.containerDefinitions = $util
    .all([args.containerDefinitions, parts.lateEnvironment])
    .apply(([text, late]) =>
      JSON.stringify((JSON.parse(text) as Container[]).map((container) => harden(container, late))),
    );
  args.volumes = $util.output(args.volumes).apply((volumes) => [
    ...(volumes ?? []).map((volume) => ({
      ...volume,
      efsVolumeConfiguration: volume.efsVolumeConfiguration && {
        ...volume.efsVolumeConfiguration,
        transitEncryption: "ENABLED",
        authorizationConfig: { ...volume.efsVolumeConfiguration.authorizationConfig, iam: "ENABLED" },
      },
    })),
    ...(hasDisk ? [] : [{ name: SCRATCH }]),
  ]);
}

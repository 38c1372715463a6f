/** A task for moving data between the two storages of a stage; nobody starts it but a person. */
import { DATA_DIR } from "./facts.ts";
import type { Network } from "./network.ts";
import type { Secrets } from "./secrets.ts";
import type { Settings } from "./settings.ts";
import type { Storage } from "./storage.ts";
import { taskArgs } from "./task.ts";

export interface TransferParts {
  network: Network;
  /** Where the service answers; clients stay there. */
  url: $util.Output<string>;
  efs: Storage;
  aurora: Storage;
  secrets: Secrets;
}

/**
 * Away from the storage that the service has. Its environment names the database and the bucket, and the file system
 * is at /data: as the target that is a folder; as the source it is read through the server that holds it.
 */
function commandOf({ mode }: Settings, url: $util.Output<string>): $util.Input<string>[] {
  const places = mode === "efs" ? ["--from-url", url, "--to", "env"] : ["--from", "env", "--to", DATA_DIR];
  return ["transfer", ...places, "--wait", "--new-url", url];
}

/** Returns the command that starts it. */
export function makeTransfer(settings: Settings, parts: TransferParts): $util.Output<string> {
  const { network, url, efs, aurora, secrets } = parts;
  const task = new sst.aws.Task("Transfer", {
    ...taskArgs(settings, {
      environment: { STATEHOUSE_MODE: "aurora", ...aurora.environment },
      lateEnvironment: {},
      ssm: { ...secrets.ssm, ...aurora.secrets },
      permissions: [...efs.permissions, ...aurora.permissions],
      volumes: efs.volumes,
      portMappings: [],
    }),
    command: commandOf(settings, url),
    cluster: network.cluster,
  });
  const subnets = $util.output(network.taskSubnets).apply((ids) => ids.join(","));
  const address = network.assignPublicIp ? "ENABLED" : "DISABLED";
  return $interpolate`aws ecs run-task --region ${settings.region} --launch-type FARGATE --cluster ${network.cluster.nodes.cluster.name} --task-definition ${task.taskDefinition} --network-configuration awsvpcConfiguration={subnets=[${subnets}],securityGroups=[${network.appGroup.id}],assignPublicIp=${address}}`;
}

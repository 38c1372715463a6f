/** A task for moving data between the two storages of a stage; nobody starts it but a person. */
import type { Network } from "./network.ts";
import type { Secrets } from "./secrets.ts";
import type { Settings } from "./settings.ts";
import type { Storage } from "./storage.ts";
import { taskArgs } from "./task.ts";

export interface TransferParts {
  network: Network;
  efs: Storage;
  aurora: Storage;
  secrets: Secrets;
}

/** Returns the command that starts it. */
export function makeTransfer(settings: Settings, parts: TransferParts): $util.Output<string> {
  const { network, efs, aurora, secrets } = parts;
  const task = new sst.aws.Task("Transfer", {
    ...taskArgs(settings, {
      // The environment names the database and the bucket; /data is the file system.
      environment: { STATEHOUSE_MODE: "aurora", ...aurora.environment },
      lateEnvironment: {},
      ssm: { ...secrets.ssm, ...aurora.secrets },
      permissions: [...efs.permissions, ...aurora.permissions],
      volumes: efs.volumes,
      portMappings: [],
    }),
    command: ["transfer", "--help"],
    cluster: network.cluster,
  });
  const subnets = $util.output(network.taskSubnets).apply((ids) => ids.join(","));
  const address = network.assignPublicIp ? "ENABLED" : "DISABLED";
  return $interpolate`aws ecs run-task --region ${settings.region} --launch-type FARGATE --cluster ${network.cluster.nodes.cluster.name} --task-definition ${task.taskDefinition} --network-configuration awsvpcConfiguration={subnets=[${subnets}],securityGroups=[${network.appGroup.id}],assignPublicIp=${address}}`;
}

/** Everything that a stage is made of, in the order in which it is made. */
import { makeAurora } from "./aurora.ts";
import { runLocally } from "./dev.ts";
import { makeDoor } from "./edge.ts";
import { makeEfs } from "./efs.ts";
import { guardMode, rememberMode } from "./guard.ts";
import { makeNetwork } from "./network.ts";
import { withRedis } from "./redis.ts";
import { makeSecrets } from "./secrets.ts";
import { makeService } from "./service.ts";
import type { Settings } from "./settings.ts";
import type { Storage } from "./storage.ts";
import { makeTransfer } from "./transfer.ts";

export async function statehouse(settings: Settings): Promise<Record<string, unknown>> {
  if ($dev) return runLocally(settings);
  await guardMode(settings);
  const network = makeNetwork(settings);
  const makers = { efs: makeEfs, aurora: makeAurora };
  const storage = withRedis(settings, network, makers[settings.mode](settings, network));
  const secrets = makeSecrets(settings);
  const door = makeDoor(settings, network);
  const service = makeService(settings, { network, storage, secrets, door });
  const target = door.connect(service);
  rememberMode(settings, service);
  const moving = settings.bothStorages
    ? otherStorage(settings, network, storage, secrets, door.publicUrl)
    : {};
  return {
    url: door.publicUrl,
    login: $interpolate`pulumi login ${door.publicUrl}`,
    adminToken: $interpolate`aws ssm get-parameter --with-decryption --query Parameter.Value --output text --region ${settings.region} --name ${secrets.adminTokenParameter}`,
    ...(settings.domain?.dns === "none" ? { cname: target } : {}),
    ...storage.outputs,
    ...moving,
  };
}

/** The storage that the mode does not name, and the task that moves data between the two. */
function otherStorage(
  settings: Settings,
  network: ReturnType<typeof makeNetwork>,
  storage: Storage,
  secrets: ReturnType<typeof makeSecrets>,
  url: $util.Output<string>,
): Record<string, unknown> {
  const other = settings.mode === "efs" ? makeAurora(settings, network) : makeEfs(settings, network);
  const [efs, aurora] = settings.mode === "efs" ? [storage, other] : [other, storage];
  return { ...other.outputs, transfer: makeTransfer(settings, { network, url, efs, aurora, secrets }) };
}

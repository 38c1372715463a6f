/** An optional Valkey beside the database: what tasks count together without asking Postgres. All of it may go. */
import { type Network, storeGroup } from "./network.ts";
import { secretParameter } from "./secrets.ts";
import type { Settings } from "./settings.ts";
import type { Storage } from "./storage.ts";

const REDIS_PORT = 6379;

/** The storage with the address added, as a secret: the password is in it. */
export function withRedis(settings: Settings, network: Network, storage: Storage): Storage {
  if (settings.redis === null) return storage;
  const group = storeGroup(settings, network, "RedisGroup", REDIS_PORT);
  const redis = new sst.aws.Redis("Redis", {
    engine: "valkey",
    version: "8.0",
    instance: settings.redis.instance,
    // The other way wants a client that knows about clusters.
    cluster: false,
    vpc: { subnets: network.vpc.privateSubnets, securityGroups: [group.id] },
    transform: {
      cluster: (args) => {
        args.description = `Statehouse ${settings.stage}`;
        args.transitEncryptionEnabled = true;
        args.transitEncryptionMode = "required";
        args.atRestEncryptionEnabled = true;
      },
    },
  });
  // The password that SST makes has characters that a URL doesn't take. AWS's certificates are known to Node.
  const password = $util.output(redis.password).apply((text) => encodeURIComponent(text ?? ""));
  const url = $interpolate`rediss://${redis.username}:${password}@${redis.host}:${redis.port}`;
  return {
    ...storage,
    secrets: { ...storage.secrets, STATEHOUSE_REDIS_URL: secretParameter(settings, "RedisUrl", url).arn },
    outputs: { ...storage.outputs, redisHost: redis.host },
  };
}

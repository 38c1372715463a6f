/**
 * Secrets of the server as SSM parameters. A linked secret would stand in clear text in the task definition;
 * a parameter's ARN does not, and costs nothing.
 */
import type { Settings } from "./settings.ts";

export interface Secrets {
  /** Environment name → ARN. */
  ssm: Record<string, $util.Input<string>>;
  adminTokenParameter: $util.Input<string>;
}

export function makeSecrets(settings: Settings): Secrets {
  // Without the key the data is noise: it outlives the stage.
  const encryptionKey = secretParameter(settings, "EncryptionKey", new sst.Secret("EncryptionKey").value, {
    retainOnDelete: settings.production,
  });
  const adminToken = secretParameter(settings, "AdminToken", new sst.Secret("AdminToken").value);
  const ssm: Secrets["ssm"] = {
    STATEHOUSE_ENCRYPTION_KEY: encryptionKey.arn,
    STATEHOUSE_ADMIN_TOKEN: adminToken.arn,
    STATEHOUSE_METRICS_TOKEN: metricsToken(settings).arn,
  };
  if (settings.previousEncryptionKeys) {
    const previous = new sst.Secret("PreviousEncryptionKeys").value;
    ssm.STATEHOUSE_PREVIOUS_ENCRYPTION_KEYS = secretParameter(
      settings,
      "PreviousEncryptionKeys",
      previous,
    ).arn;
  }
  return { ssm, adminTokenParameter: adminToken.name };
}

export function secretParameter(
  settings: Settings,
  name: string,
  value: $util.Input<string>,
  options: $util.CustomResourceOptions = {},
): aws.ssm.Parameter {
  return new aws.ssm.Parameter(
    `${name}Parameter`,
    { name: `/${$app.name}/${settings.stage}/${name}`, type: "SecureString", value },
    options,
  );
}

/** Without it /metrics would answer whoever asks. Nobody has to choose it, so nobody is asked. */
function metricsToken(settings: Settings): aws.ssm.Parameter {
  const token = new random.RandomPassword("MetricsToken", { length: 40, special: false });
  return secretParameter(settings, "MetricsToken", token.result);
}

/** What a storage gives the tasks; the service need not know which of the two it is. */

export interface Permission {
  actions: string[];
  resources: $util.Input<string>[];
  conditions?: { test: string; variable: string; values: $util.Input<string>[] }[];
}

export interface Storage {
  environment: Record<string, $util.Input<string>>;
  /** Environment name → ARN of an SSM parameter. */
  secrets: Record<string, $util.Input<string>>;
  permissions: Permission[];
  volumes: { efs: sst.aws.Efs; path: string }[];
  outputs: Record<string, $util.Input<string>>;
}

/** What people may write in statehouse.config.ts. Everything but `mode` has a default (settings.ts). */

export type Mode = "efs" | "aurora";

/** How the world reaches the server: CloudFront, a public load balancer, or API Gateway (no streams, 10 MB, 30 s). */
export type Edge = "cdn" | "alb" | "api";

export interface DomainInput {
  readonly name: string;
  /** Who answers for the name. With `none` you make the record yourself, and `cert` is needed. */
  readonly dns?: "route53" | "cloudflare" | "none";
  /** The zone's id, when the name alone does not say which. */
  readonly zone?: string;
  /** ARN of a certificate that exists: in us-east-1 for `cdn`, in the stage's region for `alb`. */
  readonly cert?: string;
}

export interface StageConfig {
  /** Where rows and states are: SQLite and files on EFS with one task, or Aurora Postgres and S3 with many. */
  readonly mode?: Mode;
  /** Keeps its data whatever happens. By default only the stage called `production`. */
  readonly production?: boolean;
  readonly region?: string;
  readonly edge?: Edge;
  readonly domain?: string | DomainInput;
  /** An image that exists, such as one that CI built. Unset: STATEHOUSE_IMAGE, or built from the Dockerfile here. */
  readonly image?: string;
  readonly architecture?: "arm64" | "x86_64";
  readonly cpu?: "0.25 vCPU" | "0.5 vCPU" | "1 vCPU" | "2 vCPU" | "4 vCPU";
  readonly memory?: `${number} GB`;
  /** Tasks, `aurora` only: efs has exactly one. */
  readonly replicas?: { readonly min: number; readonly max: number };
  /** Fargate Spot: in `aurora` outside production. */
  readonly spot?: boolean;
  /** Aurora's capacity. `minAcu: 0` lets it pause after `pauseAfterMinutes` without a connection. */
  readonly database?: {
    readonly minAcu?: number;
    readonly maxAcu?: number;
    readonly pauseAfterMinutes?: number;
    /** Further instances, for a failover within a minute. */
    readonly readers?: number;
  };
  /** A small Valkey that the tasks count failed sign-ins in; `aurora` only. Without it they do so in Postgres. */
  readonly redis?: boolean | { readonly instance?: `${string}.${string}` };
  /** Both storages at once, and a task that moves data between them: for a change of mode. */
  readonly bothStorages?: boolean;
  /** Deleting data is refused by the deploy itself. By default as `production`. */
  readonly protectData?: boolean;
  /** The way out for tasks; `none` gives them public addresses that admit only the balancer. */
  readonly nat?: "none" | "ec2" | "managed";
  /** A machine to tunnel through to the database: `npm run sst -- tunnel`. */
  readonly bastion?: boolean;
  readonly idleTimeoutSeconds?: number;
  readonly logRetention?: "1 week" | "1 month" | "3 months" | "1 year" | "forever";
  /** A second secret, PreviousEncryptionKeys, for the time of a change of key. */
  readonly previousEncryptionKeys?: boolean;
  /** Further settings of docs/configuration.md. Not for secrets: they would be readable in the task definition. */
  readonly environment?: Readonly<Record<`STATEHOUSE_${string}`, string>>;
}

export interface StatehouseConfig extends StageConfig {
  readonly mode: Mode;
  /** What differs in one stage. */
  readonly stages?: Readonly<Record<string, StageConfig>>;
}

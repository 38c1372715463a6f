/** One synthesis: what goes in, and what comes out. */
import type { StatehouseConfig } from "../../../infra/input.ts";

export interface SynthInput {
  readonly stage: string;
  readonly config: StatehouseConfig;
  readonly dev?: boolean;
  /** Secrets as `sst secret set` would hold them. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Answers to single calls of the provider, by token. */
  readonly calls?: Readonly<Record<string, unknown>>;
  readonly environment?: Readonly<Record<string, string>>;
}

/** A resource as Pulumi's engine would have been told of it. Inputs are the provider's own words. */
export interface Resource {
  readonly type: string;
  readonly name: string;
  readonly id: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the provider takes; the tests say what must be there
  readonly inputs: any;
  readonly custom: boolean;
  readonly protect: boolean;
  readonly retainOnDelete: boolean;
  readonly deleteBeforeReplace: boolean;
  readonly ignoreChanges: readonly string[];
}

export interface Synthesis {
  readonly resources: readonly Resource[];
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly app: { readonly removal: string; readonly protect: boolean };
  /** Each text once; empty when all went well. */
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

/** A secret value, so that a test can see that it is one. */
export interface SecretValue {
  readonly $secret: unknown;
}

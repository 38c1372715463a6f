/** The made-up program of the benches: a stack of N objects behind one provider. Nothing here is random. */
import { createHash } from "node:crypto";

export const PROJECT = "bench";
const TYPE = "aws:s3/bucketObject:BucketObject";
const PROVIDER_TYPE = "pulumi:providers:aws";
const PROVIDER_ID = "0f4c8a57-4f5e-4d6b-9c0e-6a6a8f1b2c3d";
const CREATED = "2026-11-21T07:20:27.813585148Z";

/** A ResourceV3 (protocol reference 11.2). */
export type ResourceState = Readonly<Record<string, unknown>> & {
  readonly urn: string;
  readonly custom: boolean;
  readonly type: string;
};

/** What a step knows before it runs, and what it has made. */
export interface Resource {
  readonly planned: ResourceState;
  readonly made: ResourceState;
}

function urnOf(stack: string, type: string, name: string): string {
  return `urn:pulumi:${stack}::${PROJECT}::${type}::${name}`;
}

export function rootOf(stack: string): Resource {
  const type = "pulumi:pulumi:Stack";
  const planned = { urn: urnOf(stack, type, `${PROJECT}-${stack}`), custom: false, type };
  return { planned, made: { ...planned, created: CREATED, modified: CREATED } };
}

/** The root once the program's outputs are known. */
export function rootWithOutputs(stack: string, count: number): ResourceState {
  return { ...rootOf(stack).made, outputs: { bucket: "statehouse-bench", count } };
}

export function providerOf(stack: string): Resource {
  const planned = {
    urn: urnOf(stack, PROVIDER_TYPE, "default_7_8_0"),
    custom: true,
    type: PROVIDER_TYPE,
    inputs: { region: "eu-central-1", version: "7.8.0" },
  };
  const made = {
    ...planned,
    id: PROVIDER_ID,
    outputs: { region: "eu-central-1", version: "7.8.0" },
    created: CREATED,
    modified: CREATED,
  };
  return { planned, made };
}

/** Object `index`: about 420 bytes of JSON planned, 690 made. */
export function objectOf(stack: string, index: number): Resource {
  const digest = createHash("sha256").update(`object ${index}`).digest("hex");
  const inputs = {
    bucket: "statehouse-bench",
    key: `objects/${digest.slice(0, 8)}.json`,
    contentType: "application/json",
  };
  const planned = {
    urn: urnOf(stack, TYPE, `object-${index}`),
    custom: true,
    type: TYPE,
    inputs,
    parent: rootOf(stack).planned.urn,
    provider: `${providerOf(stack).planned.urn}::${PROVIDER_ID}`,
  };
  const outputs = {
    bucket: inputs.bucket,
    key: inputs.key,
    etag: digest.slice(8, 40),
    versionId: digest.slice(40),
  };
  const made = { ...planned, id: inputs.key, outputs, created: CREATED, modified: CREATED };
  return { planned, made };
}

/** The resources after an `up` of `count`, in the order in which the engine leaves them. */
export function resourcesAfterUp(stack: string, count: number): ResourceState[] {
  const objects = Array.from({ length: count }, (_, index) => objectOf(stack, index).made);
  return [rootWithOutputs(stack, count), providerOf(stack).made, ...objects];
}

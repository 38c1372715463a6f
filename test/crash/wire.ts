/** Requests by plain node:http, where a test has to see connections or needs many requests for little. */
import { type Agent, request } from "node:http";
import { PROJECT, resourceOf } from "./state-model.ts";

export interface Call {
  readonly agent: Agent;
  readonly url: string;
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly authorization: string;
}

/** The status, or null when the connection was refused or broke. */
export function statusOf({ agent, url, method, path, body, authorization }: Call): Promise<number | null> {
  return new Promise((resolve) => {
    const headers = {
      ...{ authorization, "content-type": "application/json" },
      "content-length": Buffer.byteLength(body),
    };
    const call = request(`${url}${path}`, { agent, method, headers }, (answer) => {
      answer.resume();
      answer.once("end", () => resolve(answer.statusCode ?? null));
      answer.once("error", () => resolve(null));
    });
    call.once("error", () => resolve(null));
    call.end(body);
  });
}

/** A journal entry that begins to create the resource `r<number>`. */
export function begunEntry(stack: string, number: number): Record<string, unknown> {
  const operation = { resource: resourceOf(stack, `r${number}`, 0), type: "creating" };
  const ids = { sequenceID: number, operationID: number, removeOld: null, removeNew: null };
  return { version: 1, kind: 0, ...ids, operation };
}

/** Numbers of the resources whose creation a deployment says is pending, in order. */
export function pendingNumbers(deployment: {
  readonly pending_operations?: readonly { resource: { urn: string } }[];
}): number[] {
  const { pending_operations: pending = [] } = deployment;
  const prefix = new RegExp(`^urn:pulumi:[^:]+::${PROJECT}::.*::r(\\d+)$`);
  return pending.map((it) => Number(prefix.exec(it.resource.urn)?.[1])).sort((a, b) => a - b);
}

export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

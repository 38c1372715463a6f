/** Before the tests of infra/: the bundle and every synthesis, once, or loud words that there will be none. */
import type { TestProject } from "vitest/node";
import { ALL_CASES } from "../cases.ts";
import { type Bundle, bundle, isPrepared } from "./bundle.ts";
import type { SynthInput } from "./case.ts";
import { synthesiseAll } from "./synth.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Null where SST's platform was not prepared. */
    infraBundle: string | null;
  }
}

let made: Bundle | null = null;

export async function setup(project: TestProject): Promise<void> {
  if (!isPrepared()) {
    project.provide("infraBundle", null);
    console.error(
      "\n!!! NOT TESTED: infra/ (deployment to AWS). SST's platform is not here: npm run infra:prepare\n",
    );
    return;
  }
  // Set by scripts/infra-mutate.ts: a copy with one rule broken, and the one case that shows it.
  made = await bundle(process.env.STATEHOUSE_TEST_INFRA_ROOT || undefined);
  const only = process.env.STATEHOUSE_TEST_INFRA_CASE ?? "";
  const cases: [string, SynthInput][] = Object.entries(ALL_CASES);
  const wanted = cases.filter(([name]) => only === "" || only === name).map(([, input]) => input);
  await synthesiseAll(wanted, made.path);
  project.provide("infraBundle", made.path);
}

export async function teardown(): Promise<void> {
  await made?.remove();
}

/** Engine events of an `up`, as the CLI posts them (protocol reference 4.9): for display only, but not small. */
import { objectOf, type ResourceState } from "./resources.ts";

const EVENTS_A_BATCH = 50;
const TIMESTAMP = 1_795_245_628;

function shown(state: ResourceState): Record<string, unknown> {
  const { urn, custom, type, parent = "", provider = "", id = "", inputs = {}, outputs = {} } = state;
  return { type, urn, custom, id, parent, inputs, outputs, provider };
}

function stepEvent(name: string, state: ResourceState, sequence: number): unknown {
  const { urn, type, provider = "" } = state;
  const metadata = {
    op: "create",
    urn,
    type,
    old: null,
    new: shown(state),
    detailedDiff: null,
    logical: true,
    provider,
  };
  return { sequence, timestamp: TIMESTAMP, [name]: { metadata } };
}

/** The body of one `POST events/batch` in the middle of a run: begin and end of 25 steps. */
export function eventBatch(stack: string, batchIndex: number): unknown {
  const firstSequence = batchIndex * EVENTS_A_BATCH;
  const events: unknown[] = [];
  for (let index = 0; index < EVENTS_A_BATCH / 2; index++) {
    const { planned, made } = objectOf(stack, firstSequence / 2 + index);
    const sequence = firstSequence + events.length;
    events.push(stepEvent("resourcePreEvent", planned, sequence));
    events.push(stepEvent("resOutputsEvent", made, sequence + 1));
  }
  return { events };
}

/** The last batch: what is left, which is the summary. */
export function summaryBatch(batchIndex: number, count: number): unknown {
  const summaryEvent = {
    maybeCorrupt: false,
    durationSeconds: 1,
    resourceChanges: { create: count + 1 },
    PolicyPacks: {},
    isPreview: false,
    result: "succeeded",
  };
  return { events: [{ sequence: batchIndex * EVENTS_A_BATCH, timestamp: TIMESTAMP, summaryEvent }] };
}

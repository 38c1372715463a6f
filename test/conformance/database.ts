import { describe } from "vitest";
import { describeArtifacts } from "./database/artifacts.ts";
import { describeCheckpoints } from "./database/checkpoints.ts";
import { describeEvents } from "./database/events.ts";
import { describeFinish } from "./database/finish.ts";
import { describeHistory } from "./database/history.ts";
import { describeJournal } from "./database/journal.ts";
import { describeLeases } from "./database/leases.ts";
import { describePeople } from "./database/people.ts";
import { describePurge } from "./database/purge.ts";
import { describeRecords } from "./database/records.ts";
import { describeRetention } from "./database/retention.ts";
import { describeStacks } from "./database/stacks.ts";
import { describeStates } from "./database/states.ts";
import type { MakeDatabase } from "./database/support.ts";
import { describeSweeps } from "./database/sweeps.ts";
import { describeTokens } from "./database/tokens.ts";
import { describeUpdates } from "./database/updates.ts";

export type { MakeDatabase, TestDatabase } from "./database/support.ts";

/** What every Database does, whatever the engine. `make` gives an empty one, new for each test. */
export function describeDatabase(label: string, make: MakeDatabase): void {
  describe(`Database: ${label}`, () => {
    describePeople(make);
    describeTokens(make);
    describeStacks(make);
    describeStates(make);
    describeUpdates(make);
    describeLeases(make);
    describeJournal(make);
    describeCheckpoints(make);
    describeEvents(make);
    describeFinish(make);
    describeHistory(make);
    describeSweeps(make);
    describeRetention(make);
    describePurge(make);
    describeRecords(make);
    describeArtifacts(make);
  });
}

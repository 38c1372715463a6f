import type { JournalBatch } from "../../contract.ts";
import type { Sql } from "../sql.ts";
import { contradiction, HELD, HOT, type HotRow, hotValues, refusalOf } from "./leases.ts";
import type { StepsOf } from "./types.ts";

export function journalSteps(sql: Sql): StepsOf<"appendJournal" | "listJournalBatches"> {
  return {
    async appendJournal({ ref, tokenHash, digest, entryCount, sizeBytes, body, journalBytesMax }) {
      // Batches of one update take turns at its row: ids ascend as they commit, and the sums are exact.
      const row = await sql.change<HotRow & { is_added: boolean }>(
        `with u as (${HOT} for no key update of u),
           added as (
             insert into journal_batch (update_id, digest, entry_count, size_bytes, body)
             select u.id, $6, $7, $8, $9 from u where ${HELD} and u.journal_stored_bytes + $8 <= $10
             on conflict (update_id, digest) do nothing returning update_id),
           noted as (
             update stack_update t set revision = t.revision + 1, journal_count = t.journal_count + 1,
               journal_bytes = t.journal_bytes + $8, journal_stored_bytes = t.journal_stored_bytes + $8
             from added where t.id = added.update_id)
         select u.*, exists (select from added) as is_added from u`,
        ...hotValues(ref, tokenHash),
        ...[digest, entryCount, sizeBytes, body, journalBytesMax],
      );
      if (row?.is_added === true) return { kind: "appended" };
      const refusal = refusalOf(row, tokenHash);
      if (refusal !== null) return refusal;
      if (row === null) throw contradiction("appendJournal");
      // The lease is held, so it was there already or didn't fit; both may be true.
      if (row.journal_stored_bytes + sizeBytes <= journalBytesMax) return { kind: "already_appended" };
      const known = "select 1 from journal_batch where update_id = $1 and digest = $2";
      const isKnown = (await sql.get(known, ref.updateId, digest)) !== null;
      return { kind: isKnown ? "already_appended" : "journal_full" };
    },

    listJournalBatches(updateId, afterId, limit) {
      return sql.all<JournalBatch>(
        "select id, body from journal_batch where update_id = $1 and id > $2 order by id limit $3",
        ...[updateId, afterId, limit],
      );
    },
  };
}

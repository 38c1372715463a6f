import type { JournalBatch } from "../../contract.ts";
import type { Sql } from "../sql.ts";
import { findHotRow, refusalOf, refuse } from "./leases.ts";
import type { StepsOf } from "./sync.ts";

export function journalSteps(sql: Sql): StepsOf<"appendJournal" | "listJournalBatches"> {
  return {
    appendJournal({ ref, tokenHash, digest, entryCount, sizeBytes, body, journalBytesMax }) {
      const update = findHotRow(sql, ref);
      if (update === null) return refuse("unknown_update");
      const refusal = refusalOf(update, tokenHash);
      if (refusal !== null) return refusal;
      if (update.journal_stored_bytes + sizeBytes > journalBytesMax) {
        const text = "select 1 from journal_batch where update_id = ? and digest = ?";
        return { kind: sql.get(text, update.id, digest) === null ? "journal_full" : "already_appended" };
      }
      const added = sql.run(
        `insert into journal_batch (update_id, digest, entry_count, size_bytes, body) values (?, ?, ?, ?, ?)
         on conflict (update_id, digest) do nothing`,
        update.id,
        digest,
        entryCount,
        sizeBytes,
        body,
      );
      if (added === 0) return { kind: "already_appended" };
      sql.run(
        `update stack_update set revision = revision + 1, journal_count = journal_count + 1,
         journal_bytes = journal_bytes + ?, journal_stored_bytes = journal_stored_bytes + ? where id = ?`,
        sizeBytes,
        sizeBytes,
        update.id,
      );
      return { kind: "appended" };
    },

    listJournalBatches(updateId, afterId, limit) {
      return sql.all<JournalBatch>(
        "select id, body from journal_batch where update_id = ? and id > ? order by id limit ?",
        updateId,
        afterId,
        limit,
      );
    },
  };
}

import type { RateCount, RateCounter } from "../contract.ts";
import type { Sql } from "./sql.ts";

/** Rows of ended windows that go when a new one begins: more than come, so that they don't pile up. */
const CLEARED_A_WINDOW = 100;

/** One row a key. A database where nothing is counted is not asked. */
export function sharedRates(sql: Sql): RateCounter {
  const count = async (key: string, lengthMs: number, nowMs: number): Promise<RateCount | null> => {
    const row = await sql.changeOnce<{ count: number; ends_ms: number }>(
      `insert into rate_count as r (key, count, ends_ms) values ($1, 1, $2)
       on conflict (key) do update set
         count = case when r.ends_ms <= $3 then 1 else r.count + 1 end,
         ends_ms = case when r.ends_ms <= $3 then excluded.ends_ms else r.ends_ms end
       returning count, ends_ms`,
      ...[key, nowMs + lengthMs, nowMs],
    );
    if (row === null) return null;
    // Waits for nobody, so that it can't be part of a deadlock.
    const clear = `delete from rate_count where key in (
      select key from rate_count where ends_ms <= $1 order by ends_ms limit ${CLEARED_A_WINDOW}
      for update skip locked)`;
    if (row.count === 1) await sql.change(clear, nowMs);
    return { count: row.count, endsMs: row.ends_ms };
  };
  return {
    // Whoever asks has just been answered by this database: what is wrong with it is said elsewhere.
    countRate: (key, { lengthMs, nowMs }) => count(key, lengthMs, nowMs).catch(() => null),
  };
}

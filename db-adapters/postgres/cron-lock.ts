import type { CronLock } from "../contract.ts";
import { type ClientConfig, connect, end } from "./connection.ts";
import { unavailable } from "./errors.ts";

/** A holder whose machine is gone is noticed within about a minute; one that merely died, at once. */
const KEEPALIVE =
  "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3";

/** A session's advisory lock on a connection of its own, which is there only while the lock is held. */
export function advisoryCronLock(config: ClientConfig): CronLock {
  return {
    async tryCronLock(name) {
      try {
        const client = await connect(config);
        try {
          const text =
            "select pg_try_advisory_lock(hashtextextended('statehouse cron ' || $1, 0)) as is_held";
          const { rows } = await client.query<{ is_held: boolean }>(text, [name]);
          if (rows[0]?.is_held === true) {
            await client.query(KEEPALIVE);
            return { release: () => end(client) };
          }
        } catch (error) {
          await end(client);
          throw error;
        }
        await end(client);
        return null;
      } catch (error) {
        throw unavailable(error);
      }
    },
  };
}

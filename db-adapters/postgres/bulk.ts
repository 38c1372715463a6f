/** Whole tables, by what the catalogue says of them: a new table is moved without a change here. */
import {
  type CatalogTable,
  countQuery,
  deleteQuery,
  fittingKey,
  inOrder,
  isAlwaysWritable,
  isDataTable,
  literal,
  pageQuery,
  quoted,
  refusalText,
  SERVING_SETTING,
  selectRows,
  selectSizes,
  servingStateOf,
  upsertQuery,
} from "../bulk-tables.ts";
import type { BulkRow, BulkStore, BulkValue, ServingState } from "../contract.ts";
import { sqlStateOf } from "./errors.ts";
import type { Sql, Transaction } from "./sql.ts";
import type { StepsOf } from "./steps/types.ts";

const TRIGGER = "transfer_refuses";
const START_TRIGGER = "transfer_refuses_start";
const STANDS_IN_THE_WAY = /^23/;

const marks = (first: number, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `$${first + index}`);

const CATALOG = `select c.relname as name,
    array_agg(a.attname::text order by a.attname::text collate "C") as columns,
    array_agg(a.attname::text) filter (where a.atttypid = 'bytea'::regtype) as bytes,
    array_agg(a.attname::text) filter (where a.attidentity <> '') as generated,
    (select array_agg(k.attname::text order by array_position(i.indkey::int2[], k.attnum))
      from pg_index i join pg_attribute k on k.attrelid = i.indrelid and k.attnum = any (i.indkey)
      where i.indrelid = c.oid and i.indisprimary) as key,
    (select array_agg(distinct p.relname::text) from pg_constraint f join pg_class p on p.oid = f.confrelid
      where f.conrelid = c.oid and f.contype = 'f') as parents
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace
  group by c.oid, c.relname`;

interface CatalogRow {
  readonly name: string;
  readonly columns: readonly string[];
  readonly bytes: readonly string[] | null;
  readonly generated: readonly string[] | null;
  readonly key: readonly string[] | null;
  readonly parents: readonly string[] | null;
}

type GeneratedTable = CatalogTable & { readonly generated: readonly string[] };

async function catalog(sql: Pick<Sql, "all">): Promise<GeneratedTable[]> {
  const rows = await sql.all<CatalogRow>(CATALOG);
  const tables = rows
    .filter((row) => isDataTable(row.name))
    .map((row) => ({
      name: row.name,
      columns: row.columns,
      key: row.key ?? [],
      parents: row.parents ?? [],
      bytes: row.bytes ?? [],
      generated: row.generated ?? [],
    }));
  const byName = new Map(tables.map((table) => [table.name, table]));
  return inOrder(tables).flatMap(({ name }) => byName.get(name) ?? []);
}

function pick(row: Readonly<Record<string, BulkValue>>, names: readonly string[]): BulkRow {
  return names.map((name) => row[name] ?? null);
}

/** All in one transaction; when another row stands in the way of one of them, each on its own. */
async function refused(sql: Sql, text: string, items: readonly BulkRow[]): Promise<number> {
  if (items.length === 0) return 0;
  try {
    await sql.transaction(async (tx) => {
      for (const item of items) tx.post(text, ...item);
    });
    return 0;
  } catch (error) {
    if (!STANDS_IN_THE_WAY.test(sqlStateOf(error))) throw error;
  }
  let count = 0;
  for (const item of items)
    try {
      await sql.change(text, ...item);
    } catch (error) {
      if (!STANDS_IN_THE_WAY.test(sqlStateOf(error))) throw error;
      count += 1;
    }
  return count;
}

/** CREATE TRIGGER waits for writers under way and keeps new ones waiting: after the commit nobody is in between. */
function refusalStatements(state: ServingState, tables: readonly string[]): string[] {
  const raise = `create or replace function ${TRIGGER}() returns trigger language plpgsql as $refuse$ begin
      raise exception using errcode = 'SH001', message = ${literal(refusalText(state)).replaceAll("$", "")};
    end $refuse$`;
  const refuse = (name: string, when: string) =>
    `create trigger ${name} ${when} execute function ${TRIGGER}()`;
  switch (state.mode) {
    case "open":
      return [];
    case "draining":
      return [
        raise,
        refuse(TRIGGER, "before insert on stack_update for each statement"),
        refuse(
          START_TRIGGER,
          `before update of status on stack_update for each row
            when (new.status = 'running' and old.status <> 'running')`,
        ),
      ];
    case "read_only":
    case "moved":
      return [
        raise,
        ...tables.map((table) =>
          refuse(TRIGGER, `before insert or update or delete on ${quoted(table)} for each statement`),
        ),
      ];
    default:
      return state.mode satisfies never;
  }
}

const PUT_SETTING = `insert into setting (key, value) values ($1, $2)
  on conflict (key) do update set value = excluded.value`;
const DELETE_SETTING = "delete from setting where key = $1";

async function changeServing(
  tx: Transaction,
  state: ServingState,
): Promise<{ kind: "set" } | { kind: "updates_running"; count: number }> {
  const closed = [...(await catalog(tx)).map(({ name }) => name), "counter"].filter(
    (name) => !isAlwaysWritable(name),
  );
  // In one order, and before the look at what runs.
  for (const table of [...closed].sort())
    await tx.run(`lock table ${quoted(table)} in share row exclusive mode`);
  const running = await tx.get<{ value: number }>(
    "select count(*) as value from stack_update where status = 'running'",
  );
  const count = running?.value ?? 0;
  const isClosing = state.mode === "read_only" || state.mode === "moved";
  if (isClosing && count > 0) return { kind: "updates_running", count };
  const present = await tx.all<{ name: string; table: string }>(
    `select t.tgname as name, c.relname as "table" from pg_trigger t join pg_class c on c.oid = t.tgrelid
     where t.tgname in ('${TRIGGER}', '${START_TRIGGER}')
       and c.relnamespace = current_schema()::regnamespace`,
  );
  for (const { name, table } of present) await tx.run(`drop trigger ${quoted(name)} on ${quoted(table)}`);
  for (const text of refusalStatements(state, closed)) await tx.run(text);
  if (state.mode === "open") await tx.run(DELETE_SETTING, SERVING_SETTING);
  else await tx.run(PUT_SETTING, SERVING_SETTING, JSON.stringify(state));
  return { kind: "set" };
}

export function bulkSteps(sql: Sql): StepsOf<keyof BulkStore> {
  let tables: Promise<GeneratedTable[]> | null = null;
  const tableOf = async (name: string): Promise<GeneratedTable> => {
    tables ??= catalog(sql);
    const table = (await tables).find((it) => it.name === name);
    if (table === undefined) throw new RangeError(`no table ${JSON.stringify(name)}`);
    return table;
  };
  const findSetting = async (key: string) =>
    (await sql.get<{ value: string }>("select value from setting where key = $1", key))?.value ?? null;

  return {
    async describeBulk() {
      tables = catalog(sql);
      const known = await tables;
      const counters = await sql.all<{ name: string; value: number }>(
        "select name, sum(value)::bigint as value from counter group by name",
      );
      const generated = known.flatMap((table) =>
        table.generated.map((column) => [table.name, column] as const),
      );
      const sequences = await Promise.all(
        generated.map(async ([table, column]) => {
          const text = `select coalesce(pg_sequence_last_value(pg_get_serial_sequence($1, $2)::regclass), 0) as value`;
          const last = await sql.get<{ value: number }>(text, quoted(table), column);
          return [table, last?.value ?? 0] as const;
        }),
      );
      return {
        tables: known.map(({ name, columns, key }) => ({ name, columns, key })),
        counters: Object.fromEntries(counters.map(({ name, value }) => [name, value])),
        sequences: Object.fromEntries(sequences),
      };
    },

    async readRows({ table: name, after, through, limit, bytesMax }) {
      const table = await tableOf(name);
      let range = { after, through, limit };
      if (table.bytes.length > 0) {
        const sizes = pageQuery(table, selectSizes(table, "octet_length"), range, marks);
        const rows = await sql.all<Record<string, BulkValue>>(sizes.text, ...sizes.values);
        const end = fittingKey(
          rows.map((row) => ({ key: pick(row, table.key), sizeBytes: Number(row.bulk_bytes) })),
          bytesMax,
        );
        if (end !== null) range = { ...range, through: end };
      }
      const page = pageQuery(table, selectRows(table), range, marks);
      const rows = await sql.all<Record<string, BulkValue>>(page.text, ...page.values);
      return rows.map((row) => pick(row, table.columns));
    },

    async countRows(name) {
      return (await sql.get<{ value: number }>(countQuery(await tableOf(name))))?.value ?? 0;
    },

    writeRows: async (name, rows) => refused(sql, upsertQuery(await tableOf(name), marks), rows),
    deleteRows: async (name, keys) => refused(sql, deleteQuery(await tableOf(name), marks), keys),

    async writeTotals({ counters, sequences }) {
      const known = await (tables ?? catalog(sql));
      await sql.transaction(async (tx) => {
        await tx.run("delete from counter");
        for (const [name, value] of Object.entries(counters))
          await tx.run("insert into counter (name, slot, value) values ($1, 0, $2)", name, value);
        for (const table of known)
          for (const column of table.generated)
            await tx.run(
              `select setval(pg_get_serial_sequence($1, $2)::regclass, greatest(1, $3::bigint,
                (select coalesce(max(${quoted(column)}), 0) from ${quoted(table.name)})))`,
              ...[quoted(table.name), column, sequences[table.name] ?? 0],
            );
      });
    },

    findSetting,
    async putSetting(key, value) {
      if (value === null) await sql.change(DELETE_SETTING, key);
      else await sql.change(PUT_SETTING, key, value);
    },
    findServingState: async () => servingStateOf(await findSetting(SERVING_SETTING)),
    setServingState: (state) => sql.transaction((tx) => changeServing(tx, state)),
  };
}

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
import type { Sql } from "./sql.ts";
import type { StepsOf } from "./steps/sync.ts";

const TRIGGER_PREFIX = "transfer_refuses_";
const STANDS_IN_THE_WAY = /^SQLITE_CONSTRAINT(?!_TRIGGER)/;

const marks = (_first: number, count: number): string[] => new Array<string>(count).fill("?");

interface ColumnInfo {
  readonly name: string;
  readonly type: string;
  readonly pk: number;
}

function catalogTable(sql: Sql, name: string): CatalogTable {
  const columns = sql.all<ColumnInfo>("select name, type, pk from pragma_table_info(?)", name);
  const parents = sql.all<{ name: string }>(
    `select distinct "table" as name from pragma_foreign_key_list(?)`,
    name,
  );
  const keys = columns.filter((column) => column.pk > 0).sort((a, b) => a.pk - b.pk);
  return {
    name,
    columns: columns.map((column) => column.name).sort(),
    key: keys.map((column) => column.name),
    parents: parents.map((parent) => parent.name),
    bytes: columns.filter((column) => /blob/i.test(column.type)).map((column) => column.name),
  };
}

function catalog(sql: Sql): CatalogTable[] {
  const names = sql.all<{ name: string }>("select name from sqlite_schema where type = 'table'");
  const data = names.map(({ name }) => name).filter(isDataTable);
  return inOrder(data.map((name) => catalogTable(sql, name)));
}

function hasTable(sql: Sql, name: string): boolean {
  return sql.get("select 1 from sqlite_schema where type = 'table' and name = ?", name) !== null;
}

function pick(row: Readonly<Record<string, BulkValue>>, names: readonly string[]): BulkRow {
  return names.map((name) => row[name] ?? null);
}

/** Runs `change` for each; how many of them other rows stand in the way of. */
function refused(items: readonly BulkRow[], change: (item: BulkRow) => void): number {
  let count = 0;
  for (const item of items)
    try {
      change(item);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      if (!STANDS_IN_THE_WAY.test(code)) throw error;
      count += 1;
    }
  return count;
}

/** The triggers that refuse what a mode refuses, as statements. */
function triggersFor(state: ServingState, tables: readonly string[]): string[] {
  const raise = `begin select raise(abort, ${literal(refusalText(state))}); end`;
  const trigger = (name: string, when: string) =>
    `create trigger ${quoted(TRIGGER_PREFIX + name)} ${when} ${raise}`;
  switch (state.mode) {
    case "open":
      return [];
    case "draining":
      return [
        trigger("new", "before insert on stack_update"),
        trigger(
          "start",
          "before update of status on stack_update when new.status = 'running' and old.status <> 'running'",
        ),
      ];
    case "read_only":
    case "moved":
      return tables.flatMap((table) =>
        ["insert", "update", "delete"].map((change) =>
          trigger(`${change}_${table}`, `before ${change} on ${quoted(table)}`),
        ),
      );
    default:
      return state.mode satisfies never;
  }
}

export function bulkSteps(sql: Sql): StepsOf<keyof BulkStore> {
  const tableOf = (name: string): CatalogTable => {
    if (isDataTable(name) && hasTable(sql, name)) return catalogTable(sql, name);
    throw new RangeError(`no table ${JSON.stringify(name)}`);
  };
  const storedSetting = (key: string) =>
    sql.get<{ value: string }>("select value from setting where key = ?", key)?.value ?? null;
  const putSetting = (key: string, value: string | null) => {
    if (value === null) sql.run("delete from setting where key = ?", key);
    else
      sql.run(
        "insert into setting (key, value) values (?, ?) on conflict (key) do update set value = excluded.value",
        key,
        value,
      );
  };

  return {
    describeBulk() {
      const counters = sql.all<{ name: string; value: number }>("select name, value from counter");
      const sequences = hasTable(sql, "sqlite_sequence")
        ? sql.all<{ name: string; seq: number }>("select name, seq from sqlite_sequence")
        : [];
      return {
        tables: catalog(sql).map(({ name, columns, key }) => ({ name, columns, key })),
        counters: Object.fromEntries(counters.map(({ name, value }) => [name, value])),
        sequences: Object.fromEntries(sequences.map(({ name, seq }) => [name, seq])),
      };
    },

    readRows({ table: name, after, through, limit, bytesMax }) {
      const table = tableOf(name);
      let range = { after, through, limit };
      if (table.bytes.length > 0) {
        const sizes = pageQuery(table, selectSizes(table, "length"), range, marks);
        const rows = sql.all<Record<string, BulkValue>>(sizes.text, ...sizes.values);
        const end = fittingKey(
          rows.map((row) => ({ key: pick(row, table.key), sizeBytes: Number(row.bulk_bytes) })),
          bytesMax,
        );
        if (end !== null) range = { ...range, through: end };
      }
      const page = pageQuery(table, selectRows(table), range, marks);
      const rows = sql.all<Record<string, BulkValue>>(page.text, ...page.values);
      return rows.map((row) => pick(row, table.columns));
    },

    countRows(name) {
      return sql.get<{ value: number }>(countQuery(tableOf(name)))?.value ?? 0;
    },

    writeRows(name, rows) {
      const text = upsertQuery(tableOf(name), marks);
      return refused(rows, (row) => void sql.run(text, ...row));
    },

    deleteRows(name, keys) {
      const text = deleteQuery(tableOf(name), marks);
      return refused(keys, (key) => void sql.run(text, ...key));
    },

    writeTotals({ counters, sequences }) {
      sql.run("delete from counter");
      for (const [name, value] of Object.entries(counters)) sql.insert("counter", { name, value });
      if (!hasTable(sql, "sqlite_sequence")) return;
      for (const [name, last] of Object.entries(sequences)) {
        if (sql.run("update sqlite_sequence set seq = max(seq, ?) where name = ?", last, name) > 0) continue;
        sql.run("insert into sqlite_sequence (name, seq) values (?, ?)", name, last);
      }
    },

    findSetting: storedSetting,
    putSetting,
    findServingState: () => servingStateOf(storedSetting(SERVING_SETTING)),

    setServingState(state) {
      const isClosing = state.mode === "read_only" || state.mode === "moved";
      const running = sql.get<{ value: number }>(
        "select count(*) as value from stack_update where status = 'running'",
      );
      const count = running?.value ?? 0;
      if (isClosing && count > 0) return { kind: "updates_running", count };
      const names = sql.all<{ name: string }>("select name from sqlite_schema where type = 'trigger'");
      for (const { name } of names)
        if (name.startsWith(TRIGGER_PREFIX)) sql.connection.exec(`drop trigger ${quoted(name)}`);
      const closed = [...catalog(sql).map(({ name }) => name), "counter"].filter(
        (it) => !isAlwaysWritable(it),
      );
      for (const text of triggersFor(state, closed)) sql.connection.exec(text);
      putSetting(SERVING_SETTING, state.mode === "open" ? null : JSON.stringify(state));
      return { kind: "set" };
    },
  };
}

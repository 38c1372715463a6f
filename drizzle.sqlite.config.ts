import { defineConfig } from "drizzle-kit";

/** `drizzle-kit generate --config drizzle.sqlite.config.ts --name <what>` writes the next migration. */
export default defineConfig({
  dialect: "sqlite",
  schema: "./db-adapters/sqlite/schema.ts",
  out: "./db-adapters/sqlite/migrations",
});

import { defineConfig } from "drizzle-kit";

/** `drizzle-kit generate --config drizzle.postgres.config.ts --name <what>` writes the next migration. */
export default defineConfig({
  dialect: "postgresql",
  schema: "./db-adapters/postgres/schema.ts",
  out: "./db-adapters/postgres/migrations",
});

/** Writes docs/configuration.md from the schema; with --check only says whether it is current. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { configMarkdown } from "../server/config/markdown.ts";

const path = join(import.meta.dirname, "../docs/configuration.md");
const wanted = configMarkdown();

if (!process.argv.includes("--check")) {
  writeFileSync(path, wanted);
} else if (currentText() !== wanted) {
  process.stderr.write("docs/configuration.md is not current: run node scripts/config-docs.ts\n");
  process.exitCode = 1;
}

function currentText(): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null; // absent is not current either
  }
}

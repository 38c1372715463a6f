/** Both shapes for a bench: rows put in through the adapter first, then a server over them. */
import { join } from "node:path";
import type { SharedDatabase } from "../../db-adapters/contract.ts";
import { openDatabase } from "../../db-adapters/open.ts";
import { type Child, ORG, startServer } from "./child.ts";
import { type Services, startServices } from "./services.ts";

export type ShapeName = "sqlite" | "postgres";

export interface ShapeOptions {
  readonly name: ShapeName;
  readonly dir: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeFlags?: readonly string[];
  /** Before the server starts; `place` is the database's file or URL, for what goes faster in bulk. */
  readonly fill?: (db: SharedDatabase, place: string) => Promise<void>;
}

export interface Shape {
  readonly name: ShapeName;
  readonly server: Child;
  stop(): Promise<void>;
}

export function shapeNames(text: string): ShapeName[] {
  return text.split(",").map((name) => {
    if (name === "sqlite" || name === "postgres") return name;
    throw new Error(`--shapes: ${name}`);
  });
}

export async function startShape(options: ShapeOptions): Promise<Shape> {
  const { name, fill } = options;
  const dataDir = join(options.dir, name);
  let services: Services | null = null;
  if (name === "postgres") {
    services = await startServices();
    console.error(services.description);
  }
  const place = services?.databaseUrl ?? join(dataDir, "statehouse.db");
  if (fill !== undefined) {
    const db = await openDatabase(
      name === "sqlite" ? { kind: "sqlite", path: place } : { kind: "postgres", url: place },
    );
    await db.createOrganization({ id: "o-main", name: ORG, nowMs: Date.now() });
    await fill(db, place);
    await db.close();
  }
  const server = await startServer({
    dataDir,
    // Given, since a folder that holds rows is not given a new key.
    env: { STATEHOUSE_ENCRYPTION_KEY: "b5".repeat(32), ...services?.env, ...options.env },
    helperPids: services?.pids ?? [],
    ...(options.nodeFlags === undefined ? {} : { nodeFlags: options.nodeFlags }),
  });
  const stop = async () => {
    await server.stop();
    await services?.stop();
  };
  return { name, server, stop };
}

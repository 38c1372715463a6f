/** What the container tests share: the files, a compose file as an engine would see it, its environments. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { load } from "js-yaml";
import { z } from "zod";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export function textOf(path: string): string {
  return readFileSync(`${ROOT}${path}`, "utf8");
}

export type Variables = Readonly<Record<string, string>>;

const Health = z.looseObject({ test: z.array(z.string()), interval: z.string(), timeout: z.string() });
const Dependencies = z.record(z.string(), z.looseObject({ condition: z.string() }));
const Service = z.looseObject({
  image: z.string(),
  build: z.string().optional(),
  profiles: z.array(z.string()).default([]),
  environment: z.record(z.string(), z.string()).default({}),
  depends_on: Dependencies.default({}),
  volumes: z.array(z.string()).default([]),
  tmpfs: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  networks: z.array(z.string()).default(["default"]),
  healthcheck: Health.optional(),
  restart: z.string(),
  read_only: z.boolean().default(false),
  deploy: z.looseObject({ replicas: z.coerce.number().int() }).optional(),
});
const ComposeFile = z.looseObject({
  services: z.record(z.string(), Service),
  volumes: z.record(z.string(), z.unknown()),
  networks: z.record(z.string(), z.looseObject({ internal: z.boolean().optional() }).nullable()),
});
export type Service = z.output<typeof Service>;
export type ComposeFile = z.output<typeof ComposeFile>;

/** docker-compose.yml with its variables put in, as compose does it: after YAML, in values only. */
export function readCompose(variables: Variables = {}): ComposeFile {
  return ComposeFile.parse(interpolated(load(textOf("docker-compose.yml")), variables));
}

/** The services that `docker compose up` starts with these profiles. */
export function servicesOf(compose: ComposeFile, profile?: string): [string, Service][] {
  return Object.entries(compose.services).filter(
    ([, { profiles, deploy }]) =>
      deploy?.replicas !== 0 &&
      (profiles.length === 0 || (profile !== undefined && profiles.includes(profile))),
  );
}

/** Names of the variables that the compose file asks for. */
export function variablesAskedFor(): string[] {
  const text = textOf("docker-compose.yml").replaceAll("$$", "");
  return [...new Set([...text.matchAll(/\$\{([A-Z0-9_]+)/g)].map((match) => match[1] ?? ""))].sort();
}

function interpolated(value: unknown, variables: Variables): unknown {
  if (typeof value === "string") return interpolatedText(value, variables);
  if (Array.isArray(value)) return value.map((item) => interpolated(item, variables));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, interpolated(inner, variables)]),
  );
}

/** `${NAME:-fallback}` and `$$`; every other form fails, so that this can't quietly differ from compose. */
function interpolatedText(text: string, variables: Variables): string {
  return text.replace(/\$\$|\$\{([A-Z0-9_]+):-([^${}]*)\}|\$/g, (form, name?: string, fallback?: string) => {
    if (form === "$$") return "$";
    if (name === undefined) throw new Error(`a form of variable that this parser doesn't know: ${text}`);
    return variables[name] || (fallback ?? "");
  });
}

/** .env.example: the names it explains, in the order of its lines, with the values written there. */
export function exampleSettings(): [name: string, value: string][] {
  return [...textOf(".env.example").matchAll(/^#([A-Z][A-Z0-9_]*)=(.*)$/gm)].map((match) => [
    match[1] ?? "",
    match[2] ?? "",
  ]);
}

export interface Instruction {
  readonly word: string;
  readonly rest: string;
}

/** A Dockerfile as stages of instructions; lines that go on are joined, comments are gone. */
export function readDockerfile(): { globals: Instruction[]; stages: Instruction[][] } {
  const lines = textOf("Dockerfile")
    .replace(/^\s*#.*\n/gm, "")
    .replace(/\\\n/g, " ")
    .split("\n")
    .filter((line) => line.trim() !== "");
  const globals: Instruction[] = [];
  const stages: Instruction[][] = [];
  for (const line of lines) {
    const [, word = "", rest = ""] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
    if (word === "FROM") stages.push([]);
    (stages.at(-1) ?? globals).push({ word, rest: rest.replace(/\s+/g, " ").trim() });
  }
  return { globals, stages };
}

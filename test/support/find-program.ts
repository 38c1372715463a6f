/** Programs that npm doesn't bring: tests that need one look for it here. */
import { accessSync, constants } from "node:fs";
import { delimiter, join, resolve } from "node:path";

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * What the variable names (the program itself), or the first of that name on PATH; null when there is none.
 * @throws Error when the variable names something that can't be run
 */
export function findProgram(name: string, variable: string): string | null {
  const named = process.env[variable] ?? "";
  if (named !== "") {
    if (isExecutable(named)) return resolve(named);
    throw new Error(`${variable} is ${named}, which is not a program that can be run`);
  }
  const folders = (process.env.PATH ?? "").split(delimiter).filter((it) => it !== "");
  return folders.map((it) => join(it, name)).find(isExecutable) ?? null;
}

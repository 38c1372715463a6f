/** One thing wrong with the configuration; `name` is the environment variable. Never holds a secret's value. */
export interface ConfigProblem {
  readonly name: string;
  readonly problem: string;
}

/** Everything that is wrong with the configuration, at once. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly ConfigProblem[];
  constructor(problems: readonly ConfigProblem[]) {
    const head = problems.length === 1 ? "One setting is wrong" : `${problems.length} settings are wrong`;
    const lines = problems.map(({ name, problem }) => `  ${name} ${problem}`);
    super([`${head}:`, ...lines].join("\n"));
    this.problems = problems;
  }
}

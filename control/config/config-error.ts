import { BallastError, formatPosition, type Position } from "../../common/errors.ts";

/** One mistake in a configuration file. */
export interface ConfigProblem {
  position: Position;
  /** What stands there, for example `"12 apples"`. */
  found: string;
  /** What would be right, for example `a percent such as 20%`. */
  expected: string;
}

/** All mistakes of one file at once, so that a person mends them in one round. Code CONFIG_INVALID. */
export class ConfigError extends BallastError {
  readonly problems: readonly ConfigProblem[];

  constructor(file: string, problems: readonly ConfigProblem[]) {
    const first = problems[0];
    if (first === undefined) throw new Error("a ConfigError needs at least one problem");
    const sorted = [...problems].sort(
      (a, b) => (a.position.line ?? 0) - (b.position.line ?? 0) || (a.position.column ?? 0) - (b.position.column ?? 0),
    );
    const head = sorted.length === 1 ? "one mistake" : `${sorted.length} mistakes`;
    super("CONFIG_INVALID", [`${head} in ${file}`, ...sorted.map((p) => `  ${formatProblem(p)}`)].join("\n"));
    this.name = "ConfigError";
    this.problems = sorted;
  }
}

export function formatProblem(problem: ConfigProblem): string {
  return `${formatPosition(problem.position)}: found ${problem.found}, expected ${problem.expected}`;
}

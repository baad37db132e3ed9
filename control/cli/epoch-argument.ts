import { BallastError } from "../../common/errors.ts";

/** The one positional argument of a command, as an epoch. Throws USAGE. */
export function epochArgument(positionals: readonly string[]): number {
  const [text = ""] = positionals;
  const epoch = /^\d{1,16}$/.test(text) ? Number(text) : 0;
  if (positionals.length !== 1 || !Number.isSafeInteger(epoch) || epoch < 1) {
    throw new BallastError(
      "USAGE",
      `expected one EPOCH, found ${positionals.length === 0 ? "nothing" : positionals.join(" ")}`,
    );
  }
  return epoch;
}

/** Where a command writes. Results go to `out`, everything for people (progress, warnings) to `err`. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** ANSI colours and in-place refresh are allowed only when true: a terminal, and NO_COLOR is not set. */
  color: boolean;
}

export const processIo: Io = {
  out: (text) => void process.stdout.write(`${text}\n`),
  err: (text) => void process.stderr.write(`${text}\n`),
  color: process.stdout.isTTY === true && process.env.NO_COLOR === undefined,
};

/** A command: returns the exit code of the process. */
export type Command = (args: string[], io: Io) => Promise<number>;

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

/**
 * Ends the process without a word when nobody reads `stream` any more (`| head`, a closed terminal). A command that handles
 * SIGTERM is asked to end that way, for it may have children or sessions to close.
 */
export function endWhenUnread(stream: NodeJS.WriteStream): void {
  let ending = false;
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
    if (ending) return;
    ending = true;
    if (process.listenerCount("SIGTERM") === 0) process.exit();
    process.emit("SIGTERM", "SIGTERM");
  });
}

/** A command: returns the exit code of the process. */
export type Command = (args: string[], io: Io) => Promise<number>;

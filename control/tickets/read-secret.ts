import { open } from "node:fs/promises";
import { BallastError } from "../../common/errors.ts";
import type { SecretRef } from "../config/tickets.ts";

const MAX_SECRET_BYTES = 8192;

/**
 * The secret that a reference of ballast.yaml names: one line, without the line's end. Throws TICKET_SECRET_UNREADABLE, which
 * never carries any of it.
 */
export async function readSecret(
  ref: SecretRef,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<string> {
  if ("env" in ref) {
    const value = env[ref.env] ?? "";
    if (value === "")
      throw new BallastError("TICKET_SECRET_UNREADABLE", `the environment variable ${ref.env} is empty`);
    return oneLine(value, `the environment variable ${ref.env}`);
  }
  const unsafe = (what: string, cause?: unknown) =>
    new BallastError("TICKET_SECRET_UNREADABLE", what, { position: { file: ref.file }, cause });
  // One handle for both, so that what was checked is what is read.
  const file = await open(ref.file, "r").catch((cause: Error) => Promise.reject(unsafe(cause.message, cause)));
  try {
    const { mode, size } = await file.stat();
    if ((mode & 0o077) !== 0) throw unsafe(`its mode is ${(mode & 0o777).toString(8)}: others can read or write it`);
    if (size === 0 || size > MAX_SECRET_BYTES) throw unsafe(`${size} bytes; 1 to ${MAX_SECRET_BYTES} are read`);
    return oneLine(await file.readFile("utf8"), ref.file);
  } finally {
    await file.close();
  }
}

/** A header cannot carry more, and a second line is mostly a key or a note that does not belong there. */
function oneLine(text: string, where: string): string {
  const line = text.replace(/\r?\n$/, "");
  if (line === "" || /[\r\n\0]/.test(line)) {
    throw new BallastError("TICKET_SECRET_UNREADABLE", `${where} is not one line of text`);
  }
  return line;
}

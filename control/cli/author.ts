import { userInfo } from "node:os";

/** With a token or certificate the server knows who calls; without, the local user is said to. */
export function author(given: string | undefined): { author?: string } {
  if (given !== undefined) return { author: given };
  const known = (process.env.BALLAST_TOKEN ?? "") !== "" || (process.env.BALLAST_CERT ?? "") !== "";
  return known ? {} : { author: userInfo().username };
}

/** The same for the field `by` of an approval, which must be named: an approval by default would be none. */
export function approver(given: string | undefined): { by?: string } {
  return given === undefined ? {} : { by: given };
}

import { moduleBytes } from "./fixtures.ts";

/** In the keys of shared data, and in what the node says of itself (filter/assembly/sync-keys.ts, sync-wire.ts). */
const PLACES = ["ballast/1/", "0.1.0/1/"];

/** The released module as another version of it with another layout of shared data would be: it shares no key with the released one. */
export function otherLayout(): Uint8Array<ArrayBuffer> {
  let text = moduleBytes.toString("latin1");
  for (const place of PLACES) {
    if (!text.includes(place)) throw new Error(`the module does not contain ${place}`);
    text = text.replaceAll(place, place.replace("/1/", "/9/"));
  }
  return Uint8Array.from(Buffer.from(text, "latin1"));
}

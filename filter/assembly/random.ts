// xorshift32 (Marsaglia 2003), seeded once per VM by the host: phases and jitter, nothing secret.

import { randomU64 } from "./host";

let state: u32 = 1;

export function seedRandom(): void {
  // Zero is the one state that it never leaves.
  state = (<u32>randomU64()) | 1;
}

export function randomU32(): u32 {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

// SplitMix64 (Steele, Lea, Flood 2014), seeded once per VM by the host: phases and jitter, nothing secret.

import { randomU64 } from "./host";

let state: u64 = 0;

export function seedRandom(): void {
  state = randomU64();
}

export function randomU32(): u32 {
  state += 0x9e3779b97f4a7c15;
  let z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return <u32>((z ^ (z >> 31)) >> 32);
}

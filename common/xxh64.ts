import xxhash from "xxhash-wasm";

// Initialised once for the whole process: the WebAssembly module takes about a millisecond to compile, and every caller
// may then hash synchronously.
const { h64Raw } = await xxhash();

const MASK_64 = 0xffff_ffff_ffff_ffffn;

/** XXH64 of `bytes` as an unsigned 64-bit integer. `seed` is taken modulo 2^64. https://github.com/Cyan4973/xxHash */
export function xxh64(bytes: Uint8Array, seed = 0n): bigint {
  return BigInt.asUintN(64, h64Raw(bytes, seed & MASK_64));
}

/** A 64-bit digest as Ballast writes it in names, versions and records: 16 lower-case hex digits. */
export function digestHex(digest: bigint): string {
  return digest.toString(16).padStart(16, "0");
}

/** The inverse of {@link digestHex}; null for anything but 16 lower-case hex digits. */
export function parseDigestHex(text: string): bigint | null {
  return /^[0-9a-f]{16}$/.test(text) ? BigInt(`0x${text}`) : null;
}

// Envoy's own price of steering by a header: one write, the route is resolved a second time. Every request goes to payments_a.
// @ts-ignore: decorator
@external("env", "proxy_replace_header_map_value")
declare function replaceHeader(map: u32, key: usize, keyBytes: usize, value: usize, valueBytes: usize): u32;

const ARENA = memory.data(65536, 16);
const KEY = memory.data<u8>([0x78,0x2d,0x62,0x61,0x6c,0x6c,0x61,0x73,0x74,0x2d,0x74,0x61,0x72,0x67,0x65,0x74]); // x-ballast-target
const VALUE = memory.data<u8>([0x70,0x61,0x79,0x6d,0x65,0x6e,0x74,0x73,0x5f,0x61]); // payments_a

export function malloc(bytes: usize): usize {
  return bytes <= 65536 ? ARENA : 0;
}
export function proxy_abi_version_0_2_1(): void {}
export function proxy_on_configure(_root: u32, _bytes: u32): u32 {
  return 1;
}
export function proxy_on_request_headers(_stream: u32, _headers: u32, _end: u32): u32 {
  replaceHeader(0, KEY, 16, VALUE, 10);
  return 0;
}

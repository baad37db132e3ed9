#!/bin/sh
# Rebuilds steer.wasm. The SDK was written for AssemblyScript 0.14: three of its lines name library files that no longer exist.
set -eu
cd "$(dirname "$0")"
here=$(pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent -E @solo-io/proxy-runtime@0.1.8 assemblyscript@0.28.20
sdk=node_modules/@solo-io/proxy-runtime/assembly
cat >"$sdk/malloc.ts" <<'AS'
export function malloc(size: i32): usize {
  return __pin(changetype<usize>(new ArrayBuffer(size)));
}
export function free(ptr: usize): void {
  __unpin(ptr);
}
AS
sed -i 's|^import { proc_exit } from "bindings/wasi_unstable";|@external("wasi_unstable", "proc_exit") declare function proc_exit(code: u32): void;|' "$sdk/runtime.ts"
cp "$here/steer.ts" .
npx asc steer.ts -o "$here/steer.wasm" --path node_modules --runtime incremental -O3 --use abort=abort_proc_exit --exportStart _initialize

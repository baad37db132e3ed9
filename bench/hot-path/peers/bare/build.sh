#!/bin/sh
# Rebuilds empty.wasm and write.wasm with the project's own AssemblyScript.
set -eu
cd "$(dirname "$0")"
for name in empty write; do
  npx asc "$name.ts" -o "$name.wasm" --runtime stub -O3 --noAssert --use abort= --exportStart _initialize
done

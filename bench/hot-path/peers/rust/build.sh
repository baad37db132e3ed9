#!/bin/sh
# Rebuilds steer.wasm. Debian 12: apt-get install rustc-web rust-web-src lld-19 (they ship no std for wasm32, so it is built from source).
set -eu
cd "$(dirname "$0")"
out=${CARGO_TARGET_DIR:-../../../../build/bench/rust-target}
RUSTC=${RUSTC:-/usr/bin/rustc} RUSTC_BOOTSTRAP=1 RUSTFLAGS="-C linker=wasm-ld-19 -C linker-flavor=wasm-ld --remap-path-prefix=$HOME=/_" CARGO_TARGET_DIR="$out" \
  cargo build --release -Z build-std=std,panic_abort --target wasm32-unknown-unknown
cp "$out/wasm32-unknown-unknown/release/steer_rust_sdk.wasm" steer.wasm

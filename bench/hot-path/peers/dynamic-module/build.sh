#!/bin/sh
# Builds the shared object into the folder given (it is not committed: it is native code).
set -eu
cd "$(dirname "$0")"
${CC:-cc} -O2 -Wall -shared -fPIC -o "$1/libsteer.so" steer.c

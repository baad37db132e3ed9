#!/bin/sh
# Builds the service into the folder given (it is not committed: it is a native program of several megabytes).
set -eu
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
go build -trimpath -ldflags='-s -w' -o "$out/steer-ext-proc" .

#!/bin/sh
# Builds steer.wasm (2.4 MB, so it is not committed) into the folder given, with Go's own compiler: TinyGo, which this SDK is
# written for, comes from no package registry.
set -eu
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
here=$(pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cp main.go go.mod "$work"
cd "$work"
go mod download github.com/tetratelabs/proxy-wasm-go-sdk
cp -r "$(go list -m -f '{{.Dir}}' github.com/tetratelabs/proxy-wasm-go-sdk)" sdk
chmod -R u+w sdk
python3 "$here/port.py" sdk
go mod edit -replace github.com/tetratelabs/proxy-wasm-go-sdk=./sdk
go mod tidy
GOOS=wasip1 GOARCH=wasm go build -trimpath -buildmode=c-shared -ldflags='-s -w' -o "$out/steer.wasm" .

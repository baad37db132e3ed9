#!/usr/bin/env bash
# Builds `docker compose` v2 from its Go module into ~/.docker/cli-plugins, where the plugin is missing. About four minutes on two cores.
# `go install …@latest` refuses, because the module has exclude directives; a module that requires it does not.
set -euo pipefail
version=${COMPOSE_VERSION:-v2.40.3}
if docker compose version >/dev/null 2>&1; then
  docker compose version
  exit 0
fi
command -v go >/dev/null || { echo "neither the compose plugin nor Go is here" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
printf 'module ballast.example/compose\n\ngo 1.24\n\nrequire github.com/docker/compose/v2 %s\n' "$version" >go.mod
printf '//go:build tools\n\npackage tools\n\nimport _ "github.com/docker/compose/v2/cmd"\n' >tools.go
go mod tidy
go build -o docker-compose github.com/docker/compose/v2/cmd
mkdir -p ~/.docker/cli-plugins
mv docker-compose ~/.docker/cli-plugins/docker-compose
docker compose version

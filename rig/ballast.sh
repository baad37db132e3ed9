#!/usr/bin/env bash
# A command against the server of the rig that leads, whichever it is: rig/ballast.sh status
set -euo pipefail
cd "$(dirname "$0")/.."
run='BALLAST_TOKEN=$(cat /rig/token) BALLAST_CA=/rig/ca.pem exec node control/cli/main.ts "$@" --server "https://$(hostname):18001"'
for server in control-1 control-2; do
  if docker compose exec -T "$server" node rig/probe.ts "https://localhost:18001/readyz" 2>/dev/null; then
    exec docker compose exec -T "$server" sh -c "$run" ballast "$@"
  fi
done
echo "no server leads" >&2
exit 4

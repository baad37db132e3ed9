#!/usr/bin/env bash
# Makes the base image of the rig, ballast-base:trixie, from Debian's own archive: for machines that reach no image registry. Where one is
# reached nothing of this is needed: BASE_IMAGE=debian:trixie-slim docker compose build.
# Needs root, debootstrap and a Docker daemon. DEBIAN_MIRROR names another mirror than debootstrap's own default.
set -euo pipefail
image=${1:-ballast-base:trixie}
if docker image inspect "$image" >/dev/null 2>&1; then
  echo "$image is there"
  exit 0
fi
command -v debootstrap >/dev/null || { echo "debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase trixie "$root/debian" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$root/log" || { tail -5 "$root/log" >&2; exit 1; }
rm -rf "$root"/debian/var/cache/apt/archives/*.deb "$root"/debian/var/lib/apt/lists/*
tar -C "$root/debian" -c . | docker import - "$image" >/dev/null
echo "$image is made"

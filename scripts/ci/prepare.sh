#!/usr/bin/env bash
# Gives the machine what `npm run test:full` needs beside Node and Python, where we may. Each part by itself says what to
# install when it is missing, so that nothing here must succeed on every machine.
set -euo pipefail

has() { command -v "$1" >/dev/null; }
may_install() { has apt-get && [ "$(id -u)" = 0 ]; }

if ! has "${ASGARD_CHROMIUM:-chromium}" && may_install; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium
fi

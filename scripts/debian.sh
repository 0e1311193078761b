#!/usr/bin/env bash
# Install Debian packages that tests can use, as root or by a sudo that asks nothing.
#
#   scripts/debian.sh PACKAGE...
set -euo pipefail

root=()
if [ "$(id -u)" != 0 ]; then root=(sudo -n); fi
if ! type apt-get >/dev/null 2>&1 || ! "${root[@]}" true 2>/dev/null; then
  echo "debian.sh: needs the Debian packages $*, and root to install them" >&2
  exit 1
fi
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "$@" >/dev/null

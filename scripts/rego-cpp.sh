#!/usr/bin/env bash
# Installs rego-cpp's Python package, to compare with, in a virtual environment of its own. Prints that environment's Python;
# everything else goes to stderr, and fails if there is no Python, no network or no package for this machine.
#
#   MESHGUARD_CACHE   where it is kept (default: $XDG_CACHE_HOME/meshguard, else ~/.cache/meshguard)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly requirements=tests/oracles/rego-cpp/requirements.txt
cache=${MESHGUARD_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or MESHGUARD_CACHE}/.cache}/meshguard}
[[ $cache == /* ]] || cache=$PWD/$cache

main() {
  command -v python3 >/dev/null || die "no python3"
  local version environment
  version=$(sed -n 's/^regopy==//p' "$requirements")
  environment=$cache/oracles/rego-cpp-$version
  if [[ ! -f $environment/complete ]]; then install "$environment" >&2; fi
  printf '%s\n' "$environment/bin/python"
}

die() { printf 'rego-cpp: %s\n' "$*" >&2; exit 1; }

install() {
  mkdir -p "$cache/oracles"
  rm -rf "$1"
  python3 -m venv "$1" || die "python3 can't make a virtual environment; on Debian: apt-get install python3-venv"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: -r "$requirements" \
    || die "pip can't install $requirements; its message is above"
  "$1/bin/python" -c 'import regopy' || die "the package can't be loaded here"
  touch "$1/complete"
}

main

#!/usr/bin/env bash
# Builds what answers are held against: tests/oracles/opa, a program over OPA's own library, and with it OPA's conformance
# cases as JSON lines. Prints the folder that has them as `opa` and `opa-cases.jsonl`; everything else goes to stderr.
#
#   --find            only print the folder; fails if it isn't there yet
#   MESHGUARD_CACHE   where the folder is kept (default: $XDG_CACHE_HOME/meshguard, else ~/.cache/meshguard)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly source=tests/oracles/opa
cache=${MESHGUARD_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or MESHGUARD_CACHE}/.cache}/meshguard}
[[ $cache == /* ]] || cache=$PWD/$cache

main() {
  folder=$cache/oracles/$(name)
  if [[ ${1:-} != --find ]] && ! is_built; then build_alone; fi
  is_built || die "not built yet; run: make oracles"
  printf '%s\n' "$folder"
}

say() { printf 'oracles: %s\n' "$*" >&2; }
die() { printf 'oracles: error: %s\n' "$*" >&2; exit 1; }

# Other sources are another folder, so that clones of different age don't answer for each other.
name() {
  local version digest
  version=$(sed -n 's/^require github.com\/open-policy-agent\/opa v//p' "$source/go.mod")
  digest=$(cat "$source"/go.mod "$source"/go.sum "$source"/*.go | sha256sum | cut -c 1-12)
  printf 'opa-%s-%s' "$version" "$digest"
}

# The folder is moved into place whole.
is_built() { [[ -d $folder ]]; }

build_alone() {
  command -v go >/dev/null || die "go is missing; install Go $(sed -n 's/^go //p' "$source/go.mod") or later from https://go.dev/dl"
  mkdir -p "$cache/oracles"
  exec 9>"$folder.lock"
  flock 9
  is_built || build
  exec 9>&-
}

# Called with the lock held.
build() {
  local scratch=$folder.scratch
  rm -rf "$scratch"
  mkdir "$scratch"
  say "building $source (a minute or two the first time; kept in $folder)"
  # Without the caller's flags, and inside the module, where `cases` asks the Go command for OPA's source.
  (
    cd "$source"
    unset GOFLAGS GOOS GOARCH
    go build -trimpath -o "$scratch/opa" . >&2 || die "it did not compile; the compiler's message is above"
    "$scratch/opa" cases >"$scratch/opa-cases.jsonl"
  )
  mv "$scratch" "$folder"
}

main "$@"

#!/usr/bin/env bash
# Builds what is measured, sets up the peers, and runs them all: see benches/README.md. A peer that can't be had is left out,
# and said so. Arguments are the harness's own, such as --quick or --rows many.
#
#   MESHGUARD_CACHE   where peers are kept (default: $XDG_CACHE_HOME/meshguard, else ~/.cache/meshguard)
#   MESHGUARD_DATA    the folder of outside data, with AGT's policy of regexes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly source=benches/peers
cache=${MESHGUARD_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or MESHGUARD_CACHE}/.cache}/meshguard}
[[ $cache == /* ]] || cache=$PWD/$cache
target=${CARGO_TARGET_DIR:-${CARGO_BUILD_TARGET_DIR:-target}}/bench-peers

main() {
  local peers=() path
  say "building the harness, regorus and Cedar (ten minutes or more the first time: fat LTO)"
  cargo build -q --release --locked --manifest-path $source/Cargo.toml --target-dir "$target"
  # Each of these in a subshell: one that fails has said why, and the others are measured.
  if path=$(agentmesh); then peers+=(--agentmesh "$path"); else skipped "AGT in Rust"; fi
  if path=$(opa); then peers+=(--opa "$path"); else skipped "OPA"; fi
  if path=$(agt); then peers+=(--python "$path"); else skipped "AGT in Python"; fi
  if [[ -d ${MESHGUARD_DATA:-} ]]; then
    peers+=(--data "$MESHGUARD_DATA")
  else
    skipped "AGT's policy of regexes: no folder ${MESHGUARD_DATA:-of outside data}; set MESHGUARD_DATA"
  fi
  command -v valgrind >/dev/null || skipped "instruction counts: no valgrind"
  say "measuring (a quarter of an hour or more; a minute or two with --quick)"
  "$target/release/bench-peers" "${peers[@]}" "$@"
}

say() { printf 'bench-peers: %s\n' "$*" >&2; }
skipped() { say "skipped: $*"; }
die() { printf 'bench-peers: %s\n' "$*" >&2; exit 1; }

# Each prints the path of what it set up; everything else goes to stderr.

agentmesh() {
  cargo build -q --release --locked --manifest-path $source/agentmesh/Cargo.toml --target-dir "$target/agentmesh" >&2 \
    || die "agentmesh did not compile; the compiler's message is above"
  printf '%s\n' "$target/agentmesh/release/agentmesh-peer"
}

opa() {
  command -v go >/dev/null || die "no Go; install $(sed -n 's/^go //p' $source/opa/go.mod) or later from https://go.dev/dl"
  mkdir -p "$target"
  local program
  program=$(cd "$target" && pwd)/opa-peer
  # Without the caller's flags. Go's own cache says what is up to date.
  (cd $source/opa && unset GOFLAGS GOOS GOARCH && go build -trimpath -o "$program" . >&2) \
    || die "OPA did not compile; the compiler's message is above"
  printf '%s\n' "$program"
}

agt() {
  command -v python3 >/dev/null || die "no python3"
  local requirements=$source/agt/requirements.txt environment
  environment=$cache/peers/agt-$(sed -n 's/^agent-governance-toolkit-core==//p' $requirements)
  if [[ ! -f $environment/complete ]]; then
    rm -rf "$environment"
    mkdir -p "$cache/peers"
    python3 -m venv "$environment" >&2 \
      || die "python3 can't make a virtual environment; on Debian: apt-get install python3-venv"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: -r $requirements >&2 \
      || die "pip can't install $requirements; its message is above"
    "$environment/bin/python" -W ignore -c 'import agent_os.policies' >&2 || die "AGT can't be loaded here"
    touch "$environment/complete"
  fi
  printf '%s\n' "$environment/bin/python"
}

main "$@"

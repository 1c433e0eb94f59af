#!/usr/bin/env bash
# Runs each fuzz target for a while, as `make fuzz` does: fuzz.sh FOLDER [SECONDS]. FOLDER is where Cargo builds, and where
# what the targets learn is kept. Fails if one finds something; what it found lies in fuzz/artifacts.
#
#   MESHGUARD_CACHE   where cargo-fuzz is kept (default: $XDG_CACHE_HOME/meshguard, else ~/.cache/meshguard)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly CARGO_FUZZ=0.13.2
cache=${MESHGUARD_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or MESHGUARD_CACHE}/.cache}/meshguard}
[[ $cache == /* ]] || cache=$PWD/$cache
folder=$(realpath -m "${1:?which folder}")
seconds=${2:-60}

main() {
  install
  # Coverage is all that is needed of the compiler, and a stable one has it: there is no unsafe code here that a sanitizer
  # would watch.
  cargo fuzz build --sanitizer none --target-dir "$folder"
  together policy input
  together bundle manifest
}

install() {
  local tools=$cache/cargo-fuzz-$CARGO_FUZZ
  export PATH=$tools/bin:$PATH
  [[ ! -x $tools/bin/cargo-fuzz ]] || return 0
  echo "fuzz: installing cargo-fuzz $CARGO_FUZZ into $tools (a minute or two)"
  cargo install -q --locked --root "$tools" --target-dir "$folder/cargo-fuzz" "cargo-fuzz@$CARGO_FUZZ"
  rm -rf "$folder/cargo-fuzz"
}

# Each takes one core.
together() {
  local target pids=() status=0
  echo "fuzz: $*, $seconds seconds"
  for target in "$@"; do
    run "$target" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || status=1; done
  return "$status"
}

run() {
  local target=$1 log
  mkdir -p "$folder/corpus/$target"
  log=$(mktemp)
  # An answer takes 100 ms at most; a hundred times that is a finding on any machine. What is learned goes to the first of
  # the two corpora.
  if ! cargo fuzz run --sanitizer none --target-dir "$folder" "$target" "$folder/corpus/$target" "fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 >"$log" 2>&1; then
    grep -v '^[[:space:]]*\[[0-9]' "$log" | cut -c 1-300 | tail -n 60
    rm -f "$log"
    echo "fuzz: $target found something; see fuzz/artifacts/$target" >&2
    return 1
  fi
  awk -v target="$target" '/^stat::number_of_executed_units/ { tried = $2 } /^stat::peak_rss_mb/ { most = $2 }
    END { printf "fuzz: %s: %d inputs tried, at most %d MB of memory\n", target, tried, most }' "$log"
  rm -f "$log"
}

main

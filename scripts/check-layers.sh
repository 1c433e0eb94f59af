#!/usr/bin/env bash
# Who may depend on whom: the arrows between the rooms of this workspace, and what must stay out of the deciding one.
# Fails with one line per forbidden arrow. Needs jq.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Room -> what it may use. Arrows not written here don't exist.
declare -A may_use=(
  [proto]=""
  [proto-codegen]=""
  [engine]=""
  [policy]="engine"
  [sync]="proto engine"
  [pdp]="proto engine policy"
  [ffi]="engine sync"
  [cli]="engine sync pdp policy"
  [tests]="proto engine policy sync pdp ffi cli"
  [conformance]="engine"
  [differential]="engine"
  [benches]="proto engine policy sync pdp ffi cli"
)
# The network has no way into a decision.
readonly not_in_engine='tokio|tonic|prost|hyper|axum'

main() {
  # Into variables first: a cargo that fails must fail this check, not leave it with nothing to complain about.
  metadata=$(cargo metadata --format-version 1 --no-deps --locked)
  engine_tree=$(cargo tree --locked -p meshguard-engine --all-features --prefix none --format '{p}')
  bad=0
  check_rooms
  check_arrows
  check_engine
  [[ $bad == 0 ]] || exit 1
  echo "layers: ok"
}

complain() { printf 'layers: %s\n' "$*" >&2; bad=1; }

check_rooms() {
  local rooms room
  rooms=$(jq -r '.packages[].name | ltrimstr("meshguard-")' <<<"$metadata")
  for room in $rooms; do
    [[ -v may_use[$room] ]] || complain "$room is a new crate: say in scripts/check-layers.sh what it may use"
  done
}

# A room's own tests may use other rooms too, but nothing uses `tests`, `conformance`, `differential` and `benches`.
check_arrows() {
  local query arrows from to kind
  # shellcheck disable=SC2016 # the $ is jq's
  query='.packages[] | .name as $from | .dependencies[] | select(.path)
    | [($from, .name | ltrimstr("meshguard-")), .kind // "normal"] | join(" ")'
  arrows=$(jq -r "$query" <<<"$metadata")
  while read -r from to kind; do
    case $kind:$to in
      :) ;;
      *:tests | *:conformance | *:differential | *:benches) complain "$from uses $to: nothing may" ;;
      dev:*) ;;
      *) [[ " ${may_use[$from]-} " == *" $to "* ]] || complain "$from uses $to: it may use only '${may_use[$from]-}'" ;;
    esac
  done <<<"$arrows"
}

check_engine() {
  local found
  found=$(awk '{ print $1 }' <<<"$engine_tree" | { grep -E "^($not_in_engine)(-|\$)" || true; } | sort -u | tr '\n' ' ')
  [[ -z $found ]] || complain "engine reaches $found: run cargo tree -p meshguard-engine -i ${found%% *}"
}

main

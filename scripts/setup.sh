#!/usr/bin/env bash
# Everything a clone needs before `cargo build` works. Run it as often as you like: it does what is missing, and never asks.
#
#   MESHGUARD_CACHE   where the RocksDB archive is kept (default: $XDG_CACHE_HOME/meshguard, else ~/.cache/meshguard)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly RUST_NEEDED=1.95
cache=${MESHGUARD_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or MESHGUARD_CACHE}/.cache}/meshguard}
[[ $cache == /* ]] || cache=$PWD/$cache

main() {
  packages
  rust
  rocksdb
  cargo_config
  say "ready: RocksDB from $archive_dir"
}

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }

# === Debian packages ===

packages() {
  local missing=() wanted=()
  # build-essential for what Cargo compiles in C (aws-lc, lz4, blake3) and for linking RocksDB's C++.
  { has cc && has g++ && has make; } || missing+=(build-essential)
  has curl || missing+=(curl)
  has_libclang || missing+=(libclang-dev)
  # Only checks use them, so a machine where nobody may install goes without.
  has jq || wanted+=(jq)
  has openssl || wanted+=(openssl)
  [[ ${#missing[@]} -gt 0 || ${#wanted[@]} -gt 0 ]] || return 0

  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq)
  if [[ $(id -u) != 0 ]]; then
    # -n: a password prompt would be asking.
    if has sudo && sudo -n true 2>/dev/null; then apt=(sudo -n "${apt[@]}"); else apt=(); fi
  fi
  if ! has apt-get || [[ ${#apt[@]} -eq 0 ]]; then
    [[ ${#missing[@]} -eq 0 ]] && return 0
    die "missing packages, and this user can't install them; as root: apt-get install ${missing[*]}"
  fi

  missing+=("${wanted[@]}")
  say "installing ${missing[*]} with apt-get (a download, usually under a minute)"
  "${apt[@]}" update || say "apt-get update failed; trying with the package lists that are there"
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null </dev/null \
    || die "apt-get could not install ${missing[*]}; see its message above"
}

has() { command -v "$1" >/dev/null 2>&1; }

# bindgen loads libclang and needs the headers beside it, which the library's package alone doesn't bring.
has_libclang() {
  [[ -n ${LIBCLANG_PATH:-} ]] && return 0
  compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null && compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null
}

# === Rust ===

rust() {
  has cargo || die "cargo is missing; install Rust $RUST_NEEDED or later from https://rustup.rs"
  local about found
  about=$(cargo -vV)
  found=$(sed -n 's/^release: //p' <<<"$about")
  target=$(sed -n 's/^host: //p' <<<"$about")
  [[ $(printf '%s\n' "$RUST_NEEDED" "$found" | sort -V | head -n 1) == "$RUST_NEEDED" ]] \
    || die "cargo is $found, and this workspace needs $RUST_NEEDED or later; run: rustup update stable"
}

# === RocksDB ===

# Cargo would compile RocksDB's C++ again for each profile, target folder and sanitizer. One archive serves them all.
rocksdb() {
  [[ -f Cargo.lock ]] || cargo generate-lockfile
  local version dependency
  version=$(locked librocksdb-sys)
  dependency=$(grep -E '^rocksdb = ' Cargo.toml) || die "Cargo.toml has no 'rocksdb = ' line on which to build"
  [[ -n $version ]] || die "Cargo.lock has no librocksdb-sys; run: cargo update -p rocksdb"

  archive_dir=$cache/rocksdb-$version-$target
  is_built "$dependency" && return 0
  mkdir -p "$cache"
  exec 9>"$archive_dir.lock"
  if ! flock -n 9; then
    say "another set-up is building RocksDB; waiting for it (up to 15 minutes on two cores)"
    flock 9
  fi
  is_built "$dependency" || build_rocksdb "$version" "$dependency"
  exec 9>&-
}

# The version that Cargo.lock has of package $1.
locked() {
  awk -v name="\"$1\"" '$1 == "name" { here = ($3 == name) } here && $1 == "version" { gsub(/"/, "", $3); print $3; exit }' Cargo.lock
}

# True if the archive was built from dependency line $1: other features are other C++.
is_built() { [[ -f $archive_dir/librocksdb.a && $(cat "$archive_dir/built-from" 2>/dev/null) == "$1" ]]; }

# Called with the lock held.
build_rocksdb() {
  local version=$1 dependency=$2
  scratch=$archive_dir.scratch
  trap 'rm -rf "$scratch"' EXIT
  trap 'exit 130' INT TERM
  rm -rf "$scratch"
  mkdir -p "$scratch/src" "$scratch/out"
  # The same lock, so that the C++ compiler is driven by the same `cc` crate as in the workspace.
  cp Cargo.lock "$scratch/Cargo.lock"
  cat >"$scratch/Cargo.toml" <<EOF
[package]
name = "rocksdb-archive"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
$dependency

# What the C++ gets: -O2, no -g. -fPIC and NDEBUG are there anyway.
[profile.release]
opt-level = 2
debug = false
EOF
  cat >"$scratch/src/main.rs" <<'EOF'
//! Linked with the new archive: only one that opens, writes, compresses and reads goes into the cache.
use rocksdb::{DB, DBCompressionType, Options};

fn main() {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_compression_type(DBCompressionType::Lz4);
    let db = DB::open(&options, std::env::args().nth(1).expect("a folder")).expect("open");
    db.put(b"key", vec![7; 100_000]).expect("put");
    db.flush().expect("flush");
    assert_eq!(db.get(b"key").expect("get").map(|value| value.len()), Some(100_000));
}
EOF

  say "compiling RocksDB $version, once for every profile (340 C++ files: 10 to 15 minutes on two cores; kept in $archive_dir)"
  compile_rocksdb
  local archive
  archive=$(find "$scratch/target" -path '*/librocksdb-sys-*/out/librocksdb.a' -print -quit)
  [[ -n $archive ]] || die "the build left no librocksdb.a in $scratch/target"
  "$scratch/target/release/rocksdb-archive" "$scratch/db" || die "a program linked with the new archive can't open a database"

  cp "$archive" "$scratch/out/librocksdb.a"
  printf '%s\n' "$dependency" >"$scratch/out/built-from"
  rm -rf "$archive_dir"
  mv "$scratch/out" "$archive_dir"
  rm -rf "$scratch"
  trap - EXIT INT TERM
}

# Without the caller's flags: the archive must not depend on who happened to build it.
compile_rocksdb() (
  cd "$scratch"
  unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CFLAGS CXXFLAGS CPPFLAGS CARGO_BUILD_TARGET CARGO_BUILD_BUILD_DIR ROCKSDB_LIB_DIR ROCKSDB_STATIC
  ROCKSDB_COMPILE=1 cargo build --release --target-dir "$scratch/target" </dev/null \
    || die "RocksDB did not compile; the compiler's message is above. Run scripts/setup.sh again when that is repaired"
)

# === .cargo/config.toml ===

# So that a plain `cargo test` finds the archive too. Written only when different: Cargo rebuilds what reads these.
cargo_config() {
  local file=.cargo/config.toml mark='# Written by scripts/setup.sh; git ignores it.' text
  text="$mark
[env]
ROCKSDB_LIB_DIR = '$archive_dir'
ROCKSDB_STATIC = '1'
# Only the locked source of aws-lc, never a libcrypto that happens to be installed.
AWS_LC_SYS_USE_SYSTEM = '0'"
  [[ -f $file && $(cat "$file") == "$text" ]] && return 0
  if [[ -f $file ]] && ! grep -qxF "$mark" "$file"; then
    grep -qF "'$archive_dir'" "$file" && return 0
    die "$file is your own; merge these lines into it, then run this again:${text#"$mark"}"
  fi
  mkdir -p .cargo
  printf '%s\n' "$text" >"$file.new"
  mv "$file.new" "$file"
  say "wrote $file, which points Cargo at the archive (the next build compiles what depends on it)"
}

main "$@"

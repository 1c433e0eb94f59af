# Two commands matter: `make demo` and `make test`. Both set up what is missing, and ask nothing.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Cargo runs on all cores by itself; two of them would only wait for each other.
.NOTPARALLEL:

TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CARGO_BUILD_TARGET_DIR),target)
MESHGUARD := $(TARGET_DIR)/release/meshguard
# Arguments for `make demo`, such as DEMO_ARGS=--json.
DEMO_ARGS ?=
# Arguments for `make conformance`: --list, --others.
CONFORMANCE_ARGS ?=
# Arguments for `make differential`: --seed, --vectors.
DIFFERENTIAL_ARGS ?=
# Arguments for `make bench-peers`: --quick, --rows.
BENCH_ARGS ?=
# How long `make fuzz` runs each target.
FUZZ_SECONDS ?= 60
# Real policies and answers that some tests read. Absolute, because Cargo runs each test in its crate's folder.
override MESHGUARD_DATA := $(abspath $(or $(MESHGUARD_DATA),../shared/data))
export MESHGUARD_DATA

comma := ,
say = @printf '==> %s\n' "$(1)"
# $(call skip,WHAT,WHY): a line for people; a failure in CI, where nothing may be left out unseen.
skip = { echo "skipped: $(1) ($(2))"; [[ "$${CI:-}" != true ]]; }

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## Install and build what a clone needs (first time: 10 to 15 minutes, for RocksDB)
	@scripts/setup.sh

.PHONY: build
build: setup ## Build the meshguard command, optimised
	$(call say,building the meshguard command (optimised; some minutes the first time))
	@cargo build --release -p meshguard-cli

.PHONY: demo
demo: build ## Run the whole product on this machine, from publishing a policy to deciding offline
	$(call say,running the demo (under a minute))
	@"$(MESHGUARD)" demo $(DEMO_ARGS)

.PHONY: test
test: lint check-generated check-layers check-data cargo-test check-demo ## What CI checks, but for the fuzz targets

.PHONY: cargo-test
cargo-test: setup oracles ## The tests alone
	$(call say,building and running the tests (some minutes the first time))
	@cargo test --workspace --no-fail-fast

.PHONY: oracles
oracles: # Tests find what is built here by themselves, and skip themselves without it.
	@if command -v go >/dev/null; then scripts/oracles.sh >/dev/null; else $(call skip,tests against OPA,no Go: https://go.dev/dl); fi

.PHONY: conformance
conformance: setup oracles ## OPA's conformance cases through ours, regorus and rego-cpp, as a table
	$(call say,building regorus to compare with (some minutes the first time))
	@cargo build -q --release --locked --manifest-path tests/oracles/regorus/Cargo.toml --target-dir "$(TARGET_DIR)/oracles"
	$(call say,building the runner (some minutes the first time))
	@cargo build -q --release -p meshguard-conformance
	$(call say,running the cases (a minute or two))
	@peers=(--regorus "$(TARGET_DIR)/oracles/release/regorus-oracle"); \
	if python=$$(scripts/rego-cpp.sh); then peers+=(--rego-cpp "$$python"); else echo "skipped: rego-cpp"; fi; \
	"$(TARGET_DIR)/release/conformance" "$${peers[@]}" $(CONFORMANCE_ARGS)

.PHONY: differential
differential: setup oracles ## Generated policies, held against OPA: 1,000,000 evaluations and 100,000 certain answers
	$(call say,building the runner (some minutes the first time))
	@cargo build -q --release -p meshguard-differential
	$(call say,comparing 1$(comma)000$(comma)000 evaluations (about five minutes))
	@"$(TARGET_DIR)/release/differential" --evaluations 1000000 $(DIFFERENTIAL_ARGS)
	$(call say,checking 100$(comma)000 certain answers against 200 documents each (about fifteen minutes))
	@"$(TARGET_DIR)/release/differential" --unknowns 100000 $(DIFFERENTIAL_ARGS)

.PHONY: fuzz
fuzz: setup ## The fuzz targets, a minute each (FUZZ_SECONDS=60)
	$(call say,building the fuzz targets (some minutes the first time))
	@scripts/fuzz.sh "$(TARGET_DIR)/fuzz" $(FUZZ_SECONDS)

.PHONY: lint
lint: setup ## Formatting and clippy, with warnings as errors
	$(call say,checking the formatting)
	@cargo fmt --all --check
	$(call say,running clippy (checks every crate; some minutes the first time))
	@cargo clippy --workspace --all-targets -- -D warnings

.PHONY: check-layers
check-layers: setup ## Check who depends on whom, and that the engine reaches no network crate
	$(call say,checking the arrows between crates)
	@if command -v jq >/dev/null; then scripts/check-layers.sh; else $(call skip,arrows between crates,no jq); fi

.PHONY: check-data
check-data: # Tests on outside data skip themselves; here it is said once, and CI insists.
	@[[ -d "$(MESHGUARD_DATA)" ]] || $(call skip,tests on outside data,no folder $(MESHGUARD_DATA); set MESHGUARD_DATA)

.PHONY: check-demo
check-demo: build # The demo as data: it fails by itself if a step doesn't hold; jq checks that it says so in the promised form.
	$(call say,running the demo as a test (under a minute))
	@out=$$(mktemp); trap 'rm -f "$$out"' EXIT; \
	"$(MESHGUARD)" demo --json >"$$out" || { cat "$$out"; exit 1; }; \
	if ! command -v jq >/dev/null; then $(call skip,the form of the demo's output,no jq); exit; fi; \
	jq -e '.ok and (.steps | length > 0 and all(.ok)) and .decisions.n > 0 and .audit.edge == .audit.server' "$$out" >/dev/null \
	|| { echo "the demo ran, but its output isn't what is promised:"; cat "$$out"; exit 1; }; \
	jq -r '"demo: ok, \(.steps | length) steps, \(.decisions.n) decisions, p50 \(.decisions.p50_ns) ns, p99 \(.decisions.p99_ns) ns"' "$$out"

.PHONY: proto
proto: setup ## Generate proto's Rust code again, after a change of a .proto file
	@cargo run -q -p meshguard-proto-codegen

.PHONY: header
header: setup ## Generate ffi/include/meshguard.h again, after a change of the C interface
	@cargo run -q -p meshguard-ffi --example header

.PHONY: check-generated
check-generated: setup ## Check that generated files are what the generators make
	$(call say,comparing generated code and header with their sources)
	@cargo run -q -p meshguard-proto-codegen -- --check
	@cargo run -q -p meshguard-ffi --example header -- --check

.PHONY: deny
deny: ## Licences, advisories and banned crates (needs cargo-deny)
	@if command -v cargo-deny >/dev/null; then cargo deny check; else $(call skip,licences and advisories,no cargo-deny: cargo install cargo-deny); fi

.PHONY: bench
bench: setup ## Run the benchmarks (see benches/README.md)
	@cargo bench -p meshguard-benches

.PHONY: bench-peers
bench-peers: setup ## Ours beside regorus, Cedar, OPA and AGT: benches/RESULTS.md (BENCH_ARGS=--quick)
	@scripts/bench-peers.sh $(BENCH_ARGS)

.PHONY: clean
clean: ## Delete what Cargo built here; the RocksDB archive stays
	@cargo clean

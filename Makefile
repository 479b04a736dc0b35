# The development tasks of this repository. `make` without a target lists them.
#
# Variables, each with the targets that use it: PORT (run); IMAGE (image, image-oci, job-name); RUST_IMAGE (image);
# TEST_DATABASE_URL (test, test-storage); PG (all targets that start PostgreSQL); DATABASE_URL (migrate, seed); FILTER and
# RESULTS (bench); N and FILTER (stress); CHAOS_SECONDS and SEED (chaos); RESTARTS (chaos-restart); COMPANIES
# (restore-drill); OTHER_FORMS (test-engines); OLD (upgrade-drill); FUZZ_CASES, FUZZ_SECONDS and SEED (fuzz). PORT and the
# URLs can be set on the command line of make or in the environment.

CARGO ?= cargo
IMAGE ?= iam-http:0.1.0
RUST_IMAGE ?= rust:1.95-bookworm
RESULTS ?= bench/results.json
N ?= 20
CHAOS_SECONDS ?= 600
RESTARTS ?= 100
# The tests that `make test-engines` runs.
OTHER_FORMS ?= http:: process::replicas process::frozen process::histories process::persistence process::keys process::moving --skip scans
COMPANIES ?= 50

# The major version of PostgreSQL for the tests. Without it, any installed version is used.
export PG

# The default number of parallel tests. It may exceed the number of cores, since the tests mostly wait for databases and
# processes.
export RUST_TEST_THREADS ?= 6

# The folder of the programs that `make kubectl` installs.
TOOLS := $(abspath $(or $(CARGO_TARGET_DIR),target))/tools

# Adds the folder of rustup's programs, which is missing from PATH in a shell that was opened before rustup was
# installed.
export PATH := $(TOOLS):$(PATH):$(HOME)/.cargo/bin

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- Use ---

.PHONY: run
run: tools ## Run the service in memory with a demo company and ready-made tokens (PORT=4000: another port)
	@IAM__ADMIN__PORT=$${IAM__ADMIN__PORT:-0} $(CARGO) run -p iam-http -- demo

.PHONY: postgres
postgres: ## Start a private PostgreSQL server until Ctrl-C and print its DATABASE_URL
	@tests/with-postgres.sh sh -c 'echo "export DATABASE_URL=$$TEST_DATABASE_URL"; exec tail -f /dev/null'

.PHONY: migrate
migrate: tools database-url ## Apply pending migrations to the database that DATABASE_URL specifies
	$(CARGO) run -p migration -- up

.PHONY: seed
seed: tools database-url ## Insert the standard catalog into the database that DATABASE_URL specifies (idempotent)
	$(CARGO) run -p migration -- seed

# --- Check ---

# Builds the binaries and tests together, since separate builds would compile common dependencies twice.
.PHONY: test
test: tools kubectl ## Run all tests, with a private PostgreSQL or the server of TEST_DATABASE_URL (PG=18: the major version)
	$(CARGO) build --workspace --bins --tests
	tests/with-postgres.sh $(CARGO) test --workspace

.PHONY: test-memory
test-memory: tools kubectl ## Run the tests that need no database
	$(CARGO) build --workspace --bins --tests
	$(CARGO) test --workspace -- --skip postgres

# Tests what depends on the version of PostgreSQL.
.PHONY: test-storage
test-storage: tools ## Run the tests of the PostgreSQL adapter, the schema and the migrations (PG=18: the major version; SKIP=tests)
	$(CARGO) build --workspace --bins --tests
	tests/with-postgres.sh $(CARGO) test --workspace --test it -- storage:: $(SKIP:%=--skip %)

# Tests several replicas, failovers and connections in the forms for other engines: a lock row, and polls without wake-ups.
.PHONY: test-engines
test-engines: tools kubectl ## Run the tests of several replicas with IAM__DATABASE__GATE=row and IAM__DATABASE__FEED=poll
	$(CARGO) build --workspace --bins --tests
	IAM_TEST_OTHER_FORMS=true tests/with-postgres.sh $(CARGO) test --workspace --test it -- $(OTHER_FORMS)

# Tests the console in Chromium. FILTER is a substring of the names of the selected tests; SCREENSHOTS is a folder.
.PHONY: test-browser
test-browser: tools ## Test the console in Chromium, with axe-core; installs both (FILTER=matrix, SCREENSHOTS=folder)
	$(CARGO) build --workspace --bins --tests
	SCREENSHOTS=$(abspath $(SCREENSHOTS)) CARGO=$(CARGO) tests/with-postgres.sh tests/browser/run.sh \
		$(or $(CARGO_TARGET_DIR),target)/debug/iam $(FILTER)

# High CPU load exposes flaky tests sooner. FILTER is a substring of the names of the selected tests.
.PHONY: stress
# Builds with optimization: the faster tests compensate for the longer build over many runs.
stress: export CARGO_PROFILE_DEV_OPT_LEVEL ?= 1
# Running more tests in parallel increases contention and shortens each run.
stress: export RUST_TEST_THREADS = 12
stress: tools kubectl ## Run all tests N times with four busy loops in parallel; stop at the first failure (N=20 FILTER=parity)
	$(CARGO) build --workspace --bins --tests
	tests/stress.sh '$(N)' tests/with-postgres.sh $(CARGO) test --workspace -- $(FILTER)

# The soak test uses the binaries of `make test`, and finds or installs PostgreSQL as the tests do. It starts its own
# database servers.
CHAOS := tests/with-postgres.sh $(or $(CARGO_TARGET_DIR),target)/debug/iam-chaos --seconds $(CHAOS_SECONDS)

.PHONY: chaos
chaos: tools ## Run the soak test: three replicas under faults, every response checked (CHAOS_SECONDS=600; a SEED repeats faults)
	$(CARGO) build --workspace --bins --tests
	$(CHAOS) $(if $(SEED),--seed $(SEED))

.PHONY: chaos-proof
chaos-proof: tools ## Feed the soak test's model false observations of each kind; fail if one is not detected
	$(CARGO) build --workspace --bins --tests
	$(CHAOS) --prove

.PHONY: chaos-restart
chaos-restart: tools ## Restart one of two replicas behind HAProxy under load; no request may fail (RESTARTS=100)
	$(CARGO) build --workspace --bins --tests
	IAM_RESTARTS=$(RESTARTS) tests/with-postgres.sh $(CARGO) test --workspace --test it -- --nocapture restarting_one

.PHONY: restore-drill
restore-drill: tools ## Dump, change, destroy and restore a database under two replicas; compare all decisions (COMPANIES=50)
	$(CARGO) build --workspace --bins --tests
	IAM_DRILL_COMPANIES=$(COMPANIES) tests/with-postgres.sh $(CARGO) test --workspace --test it -- --nocapture restore_drill

# The script builds the old release in the target directory. The tests use the binaries of `make test`.
.PHONY: upgrade-drill
upgrade-drill: tools ## Upgrade from the git ref OLD to this checkout and roll back, under load; no request may fail (OLD=v0.1.0)
	$(CARGO) build --workspace --bins --tests
	tests/upgrade-drill.sh '$(OLD)'

.PHONY: clients
clients: tools ## Generate clients from docs/openapi.json, type-check them and run them (Node 20 and Python 3.11)
	$(CARGO) build --workspace --bins --tests
	tests/clients/run.sh $(or $(CARGO_TARGET_DIR),target)/debug/iam-http

# Installs Schemathesis into a virtual environment in the target directory.
.PHONY: fuzz
fuzz: export FUZZ_CASES ?= 400
fuzz: export FUZZ_SECONDS ?= 300
fuzz: tools ## Fuzz the API with requests derived from its OpenAPI document (FUZZ_CASES=400 FUZZ_SECONDS=300; SEED repeats)
	$(CARGO) build --workspace --bins --tests
	tests/fuzz/run.sh $(or $(CARGO_TARGET_DIR),target)/debug/iam-http

.PHONY: alerts
alerts: kubectl ## Check the alerts with promtool, with cases in which they fire and in which they do not
	tests/alerts/run.sh

.PHONY: lint
lint: tools ## Check formatting, clippy and rustdoc; a warning is an error
	@{ $(CARGO) fmt --version && $(CARGO) clippy --version; } >/dev/null 2>&1 || rustup component add rustfmt clippy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt --all

# --- Measure ---

BENCH := bench/target/release

# The package is outside the workspace, since only the benchmarks depend on the systems that are compared. FILTER is a
# substring of the names of the selected sections.
.PHONY: bench
bench: tools ## Run the benchmarks, print a table, write it to RESULTS (FILTER=decisions: one section; docs/benchmarks.md)
	$(CARGO) build --release -p iam-http --bin iam-http --target-dir bench/target
	$(CARGO) build --release --manifest-path bench/Cargo.toml --target-dir bench/target
	tests/with-postgres.sh $(BENCH)/iam-bench run --filter '$(FILTER)' --out '$(RESULTS)' \
		--server $(BENCH)/iam-http --memory $(BENCH)/iam-bench-memory

# --- Ship ---

.PHONY: build
build: tools ## Build the release binaries
	$(CARGO) build --workspace --bins --release

.PHONY: package
package: tools ## Check that every crate can be packaged for a registry
	$(CARGO) package --workspace --exclude iam-tests --exclude iam-browser --exclude iam-chaos --no-verify --allow-dirty

.PHONY: package-verify
package-verify: tools ## Package every crate, and build each from its package
	$(CARGO) package --workspace --exclude iam-tests --exclude iam-browser --exclude iam-chaos --allow-dirty

# The value of the image label with the commit.
REVISION = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

.PHONY: image
image: ## Build the container image with docker or podman
	@engine=$$(command -v docker || command -v podman) || { echo 'make image needs docker or podman' >&2; exit 1; }; \
	set -x; "$$engine" build -f deploy/Containerfile -t $(IMAGE) --build-arg RUST_IMAGE=$(RUST_IMAGE) \
		--build-arg VERSION=$(lastword $(subst :, ,$(IMAGE))) --build-arg REVISION=$(REVISION) .

.PHONY: image-oci
image-oci: tools ## Write the container image as an OCI archive, without an engine (needs umoci and skopeo)
	deploy/image/build.sh $(or $(CARGO_TARGET_DIR),target)
	REVISION=$(REVISION) deploy/image/oci.sh $(or $(CARGO_TARGET_DIR),target)/release \
		$(or $(CARGO_TARGET_DIR),target)/iam-image.tar $(IMAGE)

# Uses the binaries of `make test`.
.PHONY: test-image
test-image: tools ## Unpack the container image and run the service in it as an unprivileged user (needs root)
	$(CARGO) build --workspace --bins --tests
	tests/image/run.sh $(or $(CARGO_TARGET_DIR),target)/debug

# A test fails if the name is outdated.
.PHONY: job-name
job-name: ## Name the migration Job in deploy/base after the image and the migrations
	@set -e; name=$$(deploy/job-name.sh $(IMAGE)); job=deploy/base/migration-job.yaml; \
	sed "s/^  name: iam-migration-.*/  name: $$name/" $$job >$$job.new && mv $$job.new $$job && echo "$$name"

# --- Prerequisites of other targets ---

# Rust needs a C compiler for linking, and the cryptography library contains C code. A test runs the curl commands that
# the demo prints.
.PHONY: tools
tools:
	@command -v $(CARGO) >/dev/null || { \
		echo 'cargo was not found: install Rust with rustup, then run make again' >&2; exit 1; }
	@packages=; \
	command -v cc >/dev/null || packages="$$packages build-essential"; \
	command -v curl >/dev/null || packages="$$packages curl"; \
	[ -z "$$packages" ] || { \
		if [ "$$(id -u)" -eq 0 ]; then sudo=; else sudo='sudo -n'; fi; \
		if command -v apt-get >/dev/null && $$sudo true 2>/dev/null; then \
			echo "installing:$$packages" >&2; \
			$$sudo apt-get -q update && \
			$$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $$packages; \
		else \
			echo 'A C compiler (cc) and curl are needed. Install them, then run make again:' >&2; \
			echo '  Debian, Ubuntu   sudo apt-get install build-essential curl' >&2; \
			echo '  Fedora           sudo dnf install gcc curl' >&2; \
			echo '  Arch             sudo pacman -S base-devel curl' >&2; \
			echo '  macOS            xcode-select --install' >&2; \
			exit 1; \
		fi; }

# The tests render the manifests with kubectl.
.PHONY: kubectl
kubectl:
	@tests/tools/kubectl.sh $(TOOLS)

.PHONY: database-url
database-url:
	@[ -n "$$DATABASE_URL" ] || { echo 'Set DATABASE_URL first; `make postgres` starts a temporary server.' >&2; exit 1; }

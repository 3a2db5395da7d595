# Shortcuts; every recipe is a command that works without just.

# What there is
default:
    @just --list

# Run a server with the defaults; more arguments are handed on
serve *arguments:
    cargo run --release -- serve {{arguments}}

# What it does, shown in a minute
demo:
    cargo run --release -- demo

# Format, lint and document, as CI checks it
lint:
    cargo fmt --all --check
    cargo clippy --locked --all-targets --all-features -- -D warnings
    cargo clippy --locked --no-default-features --lib -- -D warnings
    RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps

# All tests that need nothing but Rust
test *arguments:
    cargo test {{arguments}}

# Tests with real Kafka clients, installed into target/clients
clients:
    tests/clients/setup.sh
    OFFSETD_REQUIRE_CLIENTS=1 cargo test --test clients

# Compare with a real Kafka, installed into target/oracle
oracle:
    tests/oracle/setup.sh
    OFFSETD_REQUIRE_ORACLE=1 cargo test --test oracle -- --nocapture

# The rules of the house alone
tidy:
    cargo test --test tidy

# Dependencies: bans, licences, sources
deny:
    cargo deny --workspace check bans licenses sources

# The container image
image tag="offsetd":
    docker build -t {{tag}} -f docker/Dockerfile .

# The image's tests, in the Docker engine of this machine
containers:
    OFFSETD_REQUIRE_DOCKER=1 cargo test -p offsetd-containers

# All that CI does
ci:
    bash .ci/run

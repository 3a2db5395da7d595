#!/bin/bash
# Plants mistakes in offsetd, one at a time, and says by which sequence the oracle finds each; fails if one is not found.
#
#   tests/oracle/mutants/run.sh [NAME...]     all patches beside this script, or these
#
# Needs tests/oracle/setup.sh to have run, and git. It builds in a work tree of its own, of the last commit.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
cd "$root"
target=$root/target/mutants
tree=$(mktemp -d)/tree
git worktree add --quiet --detach "$tree" HEAD
trap 'cd "$root"; git worktree remove --force "$tree"; rm -rf "$(dirname "$tree")"' EXIT
if [ $# = 0 ]; then set -- $(cd "$here" && ls -- *.patch | sed 's/\.patch$//'); fi

missed=0
cargo test --quiet --locked --test oracle --no-run
for name in "$@"; do
    git -C "$tree" apply "$here/$name.patch"
    (cd "$tree" && cargo build --quiet --locked --bin offsetd --target-dir "$target")
    git -C "$tree" apply --reverse "$here/$name.patch"
    began=$SECONDS
    if said=$(OFFSETD_BIN=$target/debug/offsetd OFFSETD_REQUIRE_ORACLE=1 OFFSETD_ORACLE_FIRST=1 \
        cargo test --quiet --locked --test oracle kafka_does -- --nocapture 2>&1); then
        echo "$name: NOT FOUND"
        missed=$((missed + 1))
    else
        found=$(grep -m 1 'the servers differ in\|no longer occur' <<<"$said" || tail -n 5 <<<"$said")
        echo "$name: found after $((SECONDS - began)) s; ${found:0:300}"
    fi
done
[ "$missed" = 0 ]

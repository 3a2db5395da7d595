#!/bin/sh
# Gets what the `gateway` test runs: the Apache Kafka of the `oracle` test, the clients of the `clients` test, and one Java
# program more, which is compiled with those clients' jars into target/gateway. A second run does nothing but check.
#
#   tests/gateway/setup.sh
#   OFFSETD_ORACLE_DIR=DIR OFFSETD_CLIENTS_DIR=DIR OFFSETD_GATEWAY_DIR=DIR ...    elsewhere than in target
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
"$root/tests/oracle/setup.sh"
"$root/tests/clients/setup.sh"
cd "$root"
source=tests/gateway/java/Witness.java
dir=${OFFSETD_GATEWAY_DIR:-target/gateway}
mkdir -p "$dir"
# The stamp holds the very text that was compiled; the test compares it too.
if cmp -s "$source" "$dir/stamp"; then
    echo "setup.sh: up to date: $dir" >&2
    exit 0
fi
rm -rf "${dir:?}/classes" "$dir/stamp"
javac --release 17 -Xlint:all -cp "${OFFSETD_CLIENTS_DIR:-target/clients}/java/lib/*" -d "$dir/classes" "$source"
cp "$source" "$dir/stamp"
echo "setup.sh: done: $dir" >&2

#!/bin/sh
# Gets the Apache Kafka that the `oracle` test runs beside offsetd, into a directory that git ignores.
#
#   tests/oracle/setup.sh               into target/oracle
#   OFFSETD_ORACLE_DIR=DIR ...          into DIR (a relative one is taken from the repository's root)
#
# Jars come from wherever mvn is configured to get them. A second run does nothing but check. As root, on a system with
# apt-get, a missing Java or Maven is installed too.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
pom=$root/tests/oracle/kafka/pom.xml
cd "$root"
mkdir -p "${OFFSETD_ORACLE_DIR:-target/oracle}"
dir=$(cd "${OFFSETD_ORACLE_DIR:-target/oracle}" && pwd)

say() { echo "setup.sh: $*" >&2; }

# need COMMAND... -- PACKAGE...: runs the command to see whether it works, and installs the packages if not.
need() {
    probe=
    while [ "$1" != -- ]; do probe="$probe $1"; shift; done
    shift
    if $probe >/dev/null 2>&1; then return; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing $*"
        apt-get update -q >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >&2
    else
        say "\`${probe# }\` does not work here. Install what Debian and Ubuntu call: $*"
        exit 1
    fi
}

need java -version -- openjdk-17-jre-headless
# The stamp holds the very text that the jars were got by; the test compares it too.
if cmp -s "$pom" "$dir/stamp"; then
    say "up to date: $dir"
    exit 0
fi
need mvn -version -- maven
say "getting Kafka"
rm -rf "${dir:?}/lib" "$dir/stamp"
mvn -q -B -Dstyle.color=never -f "$pom" -Dout="$dir" dependency:copy-dependencies >&2
cp "$pom" "$dir/stamp"
say "done: $dir"

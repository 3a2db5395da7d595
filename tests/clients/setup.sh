#!/bin/sh
# Installs the real Kafka clients that the `clients` tests run, into a directory that git ignores.
#
#   tests/clients/setup.sh              into target/clients
#   OFFSETD_CLIENTS_DIR=DIR ...         into DIR (a relative one is taken from the repository's root)
#   OFFSETD_PYTHON=python3.12 ...       with this Python
#
# Packages come from wherever pip and mvn are configured to get them. A second run does nothing but check.
# As root, on a system with apt-get, missing system packages are installed too.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/tests/clients
python=${OFFSETD_PYTHON:-python3}
cd "$root"
mkdir -p "${OFFSETD_CLIENTS_DIR:-target/clients}"
dir=$(cd "${OFFSETD_CLIENTS_DIR:-target/clients}" && pwd)

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

# A stamp holds the very text that something was made from; the tests compare it too.
fresh() { cmp -s "$1" "$2"; }

# venv NAME REQUIREMENTS: a virtual environment with exactly these packages.
venv() {
    if fresh "$2" "$dir/$1/stamp" && "$dir/$1/bin/python" -c '' 2>/dev/null; then
        say "$1 is up to date"
        return
    fi
    need "$python" -m ensurepip --version -- python3 python3-venv
    say "making $1"
    rm -rf "${dir:?}/$1"
    "$python" -m venv "$dir/$1"
    "$dir/$1/bin/python" -m pip install -q --disable-pip-version-check --no-deps -r "$2"
    cp "$2" "$dir/$1/stamp"
}

# java_project NAME PACKAGE: the Maven project in the folder of this name, compiled, with its jars.
java_project() {
    cat "$here/$1/pom.xml" "$here/$1/src/main/java/$2"/*.java >"$dir/$1.inputs"
    if fresh "$dir/$1.inputs" "$dir/$1/stamp" && java -version 2>/dev/null; then
        say "$1 is up to date"
        return
    fi
    # A runtime alone has no javac.
    need javac -version -- openjdk-17-jdk-headless
    need mvn -version -- maven
    say "making $1"
    rm -rf "${dir:?}/$1"
    mvn -q -B -Dstyle.color=never -f "$here/$1/pom.xml" -Dout="$dir/$1" compile dependency:copy-dependencies >&2
    cp "$dir/$1.inputs" "$dir/$1/stamp"
}

# The Node.js client, where there is a Node.js that it can run on: Debian's packages of npm are too many for one test.
node_client() {
    if ! npm --version >/dev/null 2>&1; then
        say "npm is not here: kafkajs is left out"
        return
    fi
    if fresh "$here/node/package.json" "$dir/node/stamp"; then
        say "node is up to date"
        return
    fi
    say "making node"
    rm -rf "${dir:?}/node"
    mkdir "$dir/node"
    cp "$here/node/package.json" "$dir/node"
    (cd "$dir/node" && npm install --silent --no-audit --no-fund --no-package-lock >&2)
    cp "$here/node/package.json" "$dir/node/stamp"
}

venv python "$here/python/requirements.txt"
venv python-old "$here/python/requirements-old.txt"
java_project java clients
java_project tools tools
node_client
need kcat -V -- kcat
say "done: $dir"

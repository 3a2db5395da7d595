#!/bin/sh
# Records in, a group, a position, back and refused, deleted, on: with kcat, before
#   cargo run --release -- serve --memory-streams
set -eu
broker=${1:-127.0.0.1:9092}
admin=${2:-http://127.0.0.1:9644}
offsetd=${OFFSETD:-cargo run --quiet --release --}
kcat() { command kcat -b "$broker" "$@"; }
say() { printf '\n# %s\n' "$*"; }

say "three records"
printf 'one\ntwo\nthree\n' | kcat -P -t orders

say "a group reads them, and commits as it leaves"
kcat -G billing -X auto.offset.reset=earliest -e -q orders

say "its position"
$offsetd offsets get billing --bootstrap-server "$broker"

say "back to the first record: reading is free; the commit of 1 is refused, which kcat does not tell"
kcat -G billing -o 0 -c 1 -q orders

say "offsetd does, and the position stands"
$offsetd refusals --admin "$admin" | sed -n '/^CLIENT/,/^$/p'
$offsetd offsets get billing --bootstrap-server "$broker"

say "back on purpose: delete the position first"
$offsetd offsets delete billing orders:0 --bootstrap-server "$broker"
kcat -G billing -o 0 -c 1 -q orders
$offsetd offsets get billing --bootstrap-server "$broker"

say "and on"
kcat -G billing -e -q orders
$offsetd offsets get billing --bootstrap-server "$broker"

#!/bin/sh
# Records the golden frames: see README.md.
#
#   tests/clients/golden/make.sh SERVER PROXY      for example 127.0.0.1:9092 127.0.0.1:9192
#
# SERVER listens there and advertises PROXY, and has a topic `orders` of two partitions or makes one.
set -eu

server=$1
proxy=$2
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here/../.."
dir=$(cd "${OFFSETD_CLIENTS_DIR:-target/clients}" && pwd)
export PYTHONDONTWRITEBYTECODE=1

# Each recording has groups of its own: nothing there, a commit with every field, one without, two partitions at once,
# and a name to escape.
story() {
    cat <<'SCRIPT'
group golden NAME
fetch orders/0
commit orders/0=100@5 # a note é
fetch orders/0
commit orders/0=101 orders/1=7
fetch orders/0 orders/1
group a:b/c ü NAME
commit orders/1=0
fetch orders/1
SCRIPT
}

# An admin client can also fetch all that a group has.
admin_story() {
    story
    echo "list"
}

# record NAME TITLE STORY COMMAND...: never a version above those that offsetd serves.
record() {
    name=$1 title=$2 script=$3
    shift 3
    echo "$name" >&2
    "$script" | sed "s/NAME/$name/" | "$here/capture.py" --server "$server" --proxy "$proxy" \
        --out "$here/golden/$name.hex" --title "$title" \
        --max 3=13 --max 8=9 --max 9=9 --max 10=6 --max 18=4 -- "$@" >/dev/null
}

python=$dir/python/bin/python
python_old=$dir/python-old/bin/python
programs=$here/python
java="java -XX:TieredStopAtLevel=1 -cp $dir/java/classes:$dir/java/lib/* clients.Main $proxy"

record kafka-python-3 "kafka-python 3.0.12, KafkaConsumer" story \
    "$python" "$programs/with_kafka_python.py" "$proxy" consumer
record kafka-python-3-admin "kafka-python 3.0.12, KafkaAdminClient" admin_story \
    "$python" "$programs/with_kafka_python.py" "$proxy" admin
record kafka-python-2 "kafka-python 2.0.2, KafkaConsumer" story \
    "$python_old" "$programs/with_kafka_python.py" "$proxy" consumer
record aiokafka "aiokafka 0.14.0, AIOKafkaConsumer" story \
    "$python" "$programs/with_aiokafka.py" "$proxy" consumer
record librdkafka "confluent-kafka 2.16.1 (librdkafka 2.16.0), Consumer" story \
    "$python" "$programs/with_confluent.py" "$proxy" consumer
record librdkafka-admin "confluent-kafka 2.16.1 (librdkafka 2.16.0), AdminClient" admin_story \
    "$python" "$programs/with_confluent.py" "$proxy" admin
# Unquoted: a command and its arguments. The * is Java's, not the shell's.
set -f
record java-consumer "kafka-clients 4.4.0, KafkaConsumer, group.protocol=classic" story $java consumer
record java-async-consumer "kafka-clients 4.4.0, KafkaConsumer, group.protocol=consumer" story $java async-consumer
record java-admin "kafka-clients 4.4.0, Admin" admin_story $java admin

"""One transaction of librdkafka: writes a record, commits a position with it if there is one, and prints what comes of it.

usage: transact.py HOST:PORT TOPIC GROUP OFFSET TO      an offset below 0: no position
"""

import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition


def main(bootstrap, topic, group, offset, to):
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    kafka = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"{group}-{offset}"})
    kafka.init_transactions(30)
    kafka.begin_transaction()
    kafka.produce(to, "rewound", offset, partition=0)
    try:
        if int(offset) >= 0:
            positions = [TopicPartition(topic, 0, int(offset))]
            kafka.send_offsets_to_transaction(positions, reader.consumer_group_metadata(), 30)
        kafka.commit_transaction(30)
        print("ok")
    except KafkaException as failed:
        error = failed.args[0]
        print("refused", error.name(), "abort" if error.txn_requires_abort() else "fatal" if error.fatal() else "?")
        kafka.abort_transaction(30)
        print("aborted")
    reader.close()


main(*sys.argv[1:])

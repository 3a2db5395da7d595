"""Writes records into a topic, or reads them in a group, as an application does.

usage: records.py confluent|kafka-python|aiokafka HOST:PORT produce TOPIC PARTITIONS COUNT
       records.py confluent|kafka-python|aiokafka HOST:PORT consume TOPIC GROUP COUNT [consumer]
       records.py confluent|kafka-python HOST:PORT follow TOPIC GROUP
       records.py confluent|kafka-python HOST:PORT commit TOPIC GROUP OFFSET

`produce` writes COUNT records, key K and value vK, record K to partition K modulo PARTITIONS, and ends when all are
acknowledged. `consume` joins the group, prints `PARTITION OFFSET KEY VALUE` for each of COUNT records, commits, leaves.
`consumer` chooses the newer group protocol (KIP-848), where the library has it. `follow` prints `assigned` and `value VALUE`
until SIGTERM, and commits where it is when it loses partitions and when it leaves: no record is anybody's twice. `commit`
commits OFFSET of partition 0 as no member, and prints `ok` or `refused WHY`.

OFFSETD_SASL, if it is set, says who this is: mechanism, name and password, blanks between.
"""

import asyncio
import logging
import os
import signal
import sys
import time

# Far above what anything here takes.
PATIENCE_S = 60

logging.disable(logging.CRITICAL)


def confluent_account():
    if "OFFSETD_SASL" not in os.environ:
        return {}
    mechanism, name, password = os.environ["OFFSETD_SASL"].split(" ")
    account = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism}
    return {**account, "sasl.username": name, "sasl.password": password}


def kafka_python_account():
    if "OFFSETD_SASL" not in os.environ:
        return {}
    mechanism, name, password = os.environ["OFFSETD_SASL"].split(" ")
    account = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": mechanism}
    return {**account, "sasl_plain_username": name, "sasl_plain_password": password}


class Printer:
    def __init__(self, count):
        self.left, self.deadline = count, time.monotonic() + PATIENCE_S

    def wants(self):
        if time.monotonic() > self.deadline:
            raise SystemExit(f"{self.left} records did not come")
        return self.left > 0

    def show(self, partition, offset, key, value):
        if self.left > 0:
            print(partition, offset, key.decode(), value.decode())
        self.left -= 1


def say_assigned(partitions):
    if partitions:
        print("assigned", flush=True)


def until_sigterm():
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    return lambda: not ended


def records(count):
    return ((number, str(number).encode(), f"v{number}".encode()) for number in range(count))


def confluent_produce(bootstrap, topic, partitions, count):
    from confluent_kafka import Producer

    failures = []
    kafka = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, **confluent_account()})
    for number, key, value in records(count):
        kafka.produce(
            topic, value, key, partition=number % partitions,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
    if kafka.flush(PATIENCE_S) or failures:
        raise SystemExit(f"not delivered: {failures[:3]}")


def confluent_consume(bootstrap, topic, group, count, protocol):
    from confluent_kafka import Consumer, KafkaException

    kafka = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "group.protocol": protocol,
        **confluent_account(),
    })
    kafka.subscribe([topic])
    printer = Printer(count)
    while printer.wants():
        message = kafka.poll(0.1)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        printer.show(message.partition(), message.offset(), message.key(), message.value())
    kafka.commit(asynchronous=False)
    kafka.close()


def confluent_commit(bootstrap, topic, group, offset):
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    kafka = Consumer({"bootstrap.servers": bootstrap, "group.id": group, **confluent_account()})
    try:
        done = kafka.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
        print("refused", done[0].error) if done[0].error else print("ok")
    except KafkaException as error:
        print("refused", error)
    kafka.close()


def confluent_follow(bootstrap, topic, group, wanted):
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    kafka = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "heartbeat.interval.ms": 500,
        "partition.assignment.strategy": "range",
    })
    # By partition, the position after what was printed.
    done = {}

    def commit():
        if done:
            offsets = [TopicPartition(topic, partition, offset) for partition, offset in done.items()]
            kafka.commit(offsets=offsets, asynchronous=False)
            done.clear()

    kafka.subscribe([topic], on_assign=lambda _, tps: say_assigned(tps), on_revoke=lambda *_: commit())
    while wanted():
        message = kafka.poll(0.1)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        print("value", message.value().decode(), flush=True)
        done[message.partition()] = message.offset() + 1
    commit()
    kafka.close()


def kafka_python_produce(bootstrap, topic, partitions, count):
    from kafka import KafkaProducer

    kafka = KafkaProducer(bootstrap_servers=bootstrap, acks="all", **kafka_python_account())
    sent = [kafka.send(topic, value, key, partition=number % partitions) for number, key, value in records(count)]
    for future in sent:
        future.get(PATIENCE_S)
    kafka.close()


def kafka_python_consume(bootstrap, topic, group, count, protocol):
    from kafka import KafkaConsumer

    kafka = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
        **kafka_python_account(),
    )
    printer = Printer(count)
    while printer.wants():
        for batch in kafka.poll(100).values():
            for record in batch:
                printer.show(record.partition, record.offset, record.key, record.value)
    kafka.commit()
    kafka.close(autocommit=False)


def kafka_python_commit(bootstrap, topic, group, offset):
    from kafka import KafkaConsumer, TopicPartition
    from kafka.errors import KafkaError
    from kafka.structs import OffsetAndMetadata

    kafka = KafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, **kafka_python_account()
    )
    partition = TopicPartition(topic, 0)
    kafka.assign([partition])
    try:
        kafka.commit({partition: OffsetAndMetadata(offset, "", -1)})
        print("ok")
    except KafkaError as error:
        print("refused", repr(error))
    kafka.close(autocommit=False)


def kafka_python_follow(bootstrap, topic, group, wanted):
    from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
    from kafka.coordinator.assignors.range import RangePartitionAssignor
    from kafka.structs import OffsetAndMetadata

    # By partition, the position after what was printed.
    done = {}

    def commit():
        if done:
            kafka.commit({TopicPartition(topic, p): OffsetAndMetadata(offset, "", -1) for p, offset in done.items()})
            done.clear()

    class Listener(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            commit()

        def on_partitions_assigned(self, tps):
            say_assigned(tps)

    kafka = KafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
        heartbeat_interval_ms=500, partition_assignment_strategy=[RangePartitionAssignor],
    )
    kafka.subscribe([topic], listener=Listener())
    while wanted():
        for batch in kafka.poll(100).values():
            for record in batch:
                print("value", record.value.decode(), flush=True)
                done[record.partition] = record.offset + 1
    commit()
    kafka.close(autocommit=False)


def aiokafka_produce(bootstrap, topic, partitions, count):
    from aiokafka import AIOKafkaProducer

    async def run():
        kafka = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
        await kafka.start()
        for number, key, value in records(count):
            sent = await kafka.send(topic, value, key, partition=number % partitions)
        await kafka.flush()
        await sent
        await kafka.stop()

    asyncio.run(run())


def aiokafka_consume(bootstrap, topic, group, count, protocol):
    from aiokafka import AIOKafkaConsumer

    async def run():
        kafka = AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
        )
        await kafka.start()
        printer = Printer(count)
        while printer.wants():
            for batch in (await kafka.getmany(timeout_ms=100)).values():
                for record in batch:
                    printer.show(record.partition, record.offset, record.key, record.value)
        await kafka.commit()
        await kafka.stop()

    asyncio.run(run())


library, bootstrap, role, topic, *rest = sys.argv[1:]
library = library.replace("-", "_")
if role == "produce":
    globals()[f"{library}_produce"](bootstrap, topic, int(rest[0]), int(rest[1]))
elif role == "follow":
    globals()[f"{library}_follow"](bootstrap, topic, rest[0], until_sigterm())
elif role == "commit":
    globals()[f"{library}_commit"](bootstrap, topic, rest[0], int(rest[1]))
else:
    protocol = rest[2] if len(rest) > 2 else "classic"
    globals()[f"{library}_consume"](bootstrap, topic, rest[0], int(rest[1]), protocol)

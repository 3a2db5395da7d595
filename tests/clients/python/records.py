"""Produces to an in-memory stream, reads it in a group, commits, goes back: records.py LIBRARY HOST:PORT

Prints what came of each step, in the same words for every library.
"""

import sys
import time

TOPIC, GROUP, EACH = "orders", "billing", 100
PATIENCE = 30


def say(*words):
    print(*words, flush=True)


def refused(error):
    say("refused", f"{type(error).__name__}: {error}")


def confluent(address):
    from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        failed = []
        producer = Producer({"bootstrap.servers": address, "compression.type": codec, "enable.idempotence": True})
        for n in range(EACH):
            producer.produce(TOPIC, f"{codec} {n}".encode(), key=b"key", partition=0,
                             on_delivery=lambda error, _: error and failed.append(error))
        left = producer.flush(PATIENCE)
        say("produced", codec, EACH - len(failed) - left)
    consumer = Consumer({"bootstrap.servers": address, "group.id": GROUP, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False})
    consumer.subscribe([TOPIC])
    seen, deadline = [], time.monotonic() + PATIENCE
    while len(seen) < 5 * EACH and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            seen.append(message)
    say("consumed", len(seen), seen[0].value().decode(), seen[-1].value().decode())
    consumer.commit(asynchronous=False)
    place = TopicPartition(TOPIC, 0)
    say("committed", consumer.committed([place])[0].offset)
    say("bounds", *consumer.get_watermark_offsets(place))
    time_of_some = seen[250].timestamp()[1]
    first = next(message.offset() for message in seen if message.timestamp()[1] >= time_of_some)
    found = consumer.offsets_for_times([TopicPartition(TOPIC, 0, time_of_some)])[0].offset
    say("by time", "at or before" if found <= first else f"{found} is after {first}")
    try:
        consumer.commit(offsets=[TopicPartition(TOPIC, 0, 7)], asynchronous=False)
        say("stored")
    except KafkaException as error:
        say("refused", error.args[0].name())
    say("committed", consumer.committed([place])[0].offset)
    consumer.close()


def kafka_python(address):
    from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
    from kafka.errors import KafkaError

    for codec in (None, "gzip"):
        producer = KafkaProducer(bootstrap_servers=address, compression_type=codec)
        sent = [producer.send(TOPIC, f"{codec} {n}".encode(), key=b"key", partition=0) for n in range(EACH)]
        offsets = [future.get(PATIENCE).offset for future in sent]
        say("produced", codec, len(set(offsets)))
        producer.close()
    consumer = KafkaConsumer(TOPIC, bootstrap_servers=address, group_id=GROUP, auto_offset_reset="earliest",
                             enable_auto_commit=False)
    seen, deadline = [], time.monotonic() + PATIENCE
    while len(seen) < 2 * EACH and time.monotonic() < deadline:
        for records in consumer.poll(1000).values():
            seen.extend(records)
    say("consumed", len(seen), seen[0].value.decode(), seen[-1].value.decode())
    consumer.commit()
    place = TopicPartition(TOPIC, 0)
    say("committed", consumer.committed(place))
    say("bounds", consumer.beginning_offsets([place])[place], consumer.end_offsets([place])[place])
    try:
        consumer.commit({place: OffsetAndMetadata(7, "", -1)})
        say("stored")
    except KafkaError as error:
        refused(error)
    say("committed", consumer.committed(place))
    consumer.close()


def aiokafka(address):
    import asyncio

    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
    from aiokafka.errors import KafkaError

    async def story():
        for codec in (None, "gzip"):
            producer = AIOKafkaProducer(bootstrap_servers=address, compression_type=codec, enable_idempotence=True)
            await producer.start()
            sent = [await producer.send(TOPIC, f"{codec} {n}".encode(), key=b"key", partition=0) for n in range(EACH)]
            offsets = [(await future).offset for future in sent]
            say("produced", codec, len(set(offsets)))
            await producer.stop()
        consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=address, group_id=GROUP, auto_offset_reset="earliest",
                                    enable_auto_commit=False)
        await consumer.start()
        seen, deadline = [], time.monotonic() + PATIENCE
        while len(seen) < 2 * EACH and time.monotonic() < deadline:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                seen.extend(records)
        say("consumed", len(seen), seen[0].value.decode(), seen[-1].value.decode())
        await consumer.commit()
        place = TopicPartition(TOPIC, 0)
        say("committed", await consumer.committed(place))
        begin, end = await consumer.beginning_offsets([place]), await consumer.end_offsets([place])
        say("bounds", begin[place], end[place])
        try:
            await consumer.commit({place: 7})
            say("stored")
        except KafkaError as error:
            refused(error)
        say("committed", await consumer.committed(place))
        await consumer.stop()

    asyncio.run(story())


if __name__ == "__main__":
    {"confluent": confluent, "kafka_python": kafka_python, "aiokafka": aiokafka}[sys.argv[1]](sys.argv[2])

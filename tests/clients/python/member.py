"""A member of a consumer group, for as long as its standard input is open: subscribe(), poll(), commit, close().

usage: member.py confluent|kafka-python|aiokafka HOST:PORT GROUP TOPIC [INSTANCE] < commands

It prints `assigned orders/0 orders/1`, all that it owns, whenever that changes. Its commands are the `commit` of `script.py`,
which is answered by `ok` or `refused ...`, and `leave`; the end of the input is as good.

MEMBER_ASSIGNOR  `range`, which every library has and which all members of a mixed group offer, or (confluent) `cooperative-sticky`
MEMBER_CLAIMS    a directory in which a member makes a file for each partition that it owns; see `Owned`
"""

import asyncio
import logging
import os
import sys
import threading
from collections import deque

import script

HEARTBEAT_MS, POLL_S = 1000, 0.1
# One with an instance id must have time to come back.
DYNAMIC_SESSION_MS, STATIC_SESSION_MS = 6000, 30000

logging.disable(logging.CRITICAL)


def session_ms(instance):
    return STATIC_SESSION_MS if instance else DYNAMIC_SESSION_MS


def say(line):
    sys.stdout.buffer.write(line.encode("utf-8") + b"\n")
    sys.stdout.buffer.flush()


class Owned:
    """The partitions that it owns, told whenever they change.

    With MEMBER_CLAIMS each has a file there, which holds the owner's process id. To make one that is there already is to own
    what another has not given up yet: then `twice-...` is made beside it.
    """

    def __init__(self):
        self.all = set()
        self.claims = os.environ.get("MEMBER_CLAIMS")

    def has(self, partitions):
        """Exactly these."""
        partitions = {(tp.topic, tp.partition) for tp in partitions}
        self.change(partitions - self.all, self.all - partitions)

    def gets(self, partitions):
        self.change({(tp.topic, tp.partition) for tp in partitions}, set())

    def gives_up(self, partitions):
        self.change(set(), {(tp.topic, tp.partition) for tp in partitions})

    def change(self, more, fewer):
        for partition in fewer & self.all:
            self.release(partition)
        for partition in more - self.all:
            self.claim(partition)
        self.all = (self.all - fewer) | more
        say(" ".join(["assigned", *(f"{topic}/{partition}" for topic, partition in sorted(self.all))]))

    def claim(self, partition):
        if self.claims:
            name = "{}-{}".format(*partition)
            try:
                with open(os.path.join(self.claims, name), "x") as file:
                    file.write(str(os.getpid()))
            except FileExistsError:
                open(os.path.join(self.claims, f"twice-{name}"), "w").close()

    def release(self, partition):
        if self.claims:
            os.remove(os.path.join(self.claims, "{}-{}".format(*partition)))


def read_commands():
    """A queue that a thread of its own fills, so that polling goes on meanwhile."""
    commands = deque()

    def read():
        for line in sys.stdin:
            commands.append(line.strip())
        commands.append("leave")

    threading.Thread(target=read, daemon=True).start()
    return commands


def positions_of(command):
    verb, _, rest = command.partition(" ")
    if verb != "commit":
        raise SystemExit(f"no such verb: {verb}")
    return script.parse_positions(rest)


def with_confluent(bootstrap, group, topic, instance):
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    kafka = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "client.id": "confluent",
        "session.timeout.ms": session_ms(instance),
        "heartbeat.interval.ms": HEARTBEAT_MS,
        "partition.assignment.strategy": os.environ.get("MEMBER_ASSIGNOR", "range"),
        "enable.auto.commit": False,
        **({"group.instance.id": instance} if instance else {}),
    })
    owned = Owned()
    kafka.subscribe(
        [topic],
        on_assign=lambda _, tps: owned.gets(tps),
        on_revoke=lambda _, tps: owned.gives_up(tps),
        on_lost=lambda _, tps: owned.gives_up(tps),
    )
    commands = read_commands()
    while True:
        kafka.poll(POLL_S)
        if not commands:
            continue
        command = commands.popleft()
        if command == "leave":
            return kafka.close()
        try:
            offsets = [TopicPartition(p.topic, p.partition, p.offset) for p in positions_of(command)]
            kafka.commit(offsets=offsets, asynchronous=False)
            say("ok")
        except KafkaException as error:
            say(script.refusal(error.args[0], "KafkaException"))


def with_kafka_python(bootstrap, group, topic, instance):
    from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
    from kafka.coordinator.assignors.range import RangePartitionAssignor
    from kafka.errors import KafkaError
    from kafka.structs import OffsetAndMetadata

    owned = Owned()

    class Listener(ConsumerRebalanceListener):
        def on_partitions_revoked(self, tps):
            owned.gives_up(tps)

        def on_partitions_assigned(self, tps):
            owned.has(tps)

    kafka = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        client_id="kafka-python",
        group_instance_id=instance,
        session_timeout_ms=session_ms(instance),
        heartbeat_interval_ms=HEARTBEAT_MS,
        partition_assignment_strategy=[RangePartitionAssignor],
        enable_auto_commit=False,
    )
    kafka.subscribe([topic], listener=Listener())
    commands = read_commands()
    while True:
        if not commands:
            kafka.poll(POLL_S * 1000)
            continue
        command = commands.popleft()
        if command == "leave":
            return kafka.close(autocommit=False)
        try:
            offsets = {
                TopicPartition(p.topic, p.partition): OffsetAndMetadata(p.offset, "", -1) for p in positions_of(command)
            }
            kafka.commit(offsets)
            say("ok")
        except KafkaError as error:
            say(script.refusal(error))


async def with_aiokafka(bootstrap, group, topic, instance):
    from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
    from aiokafka.coordinator.assignors.range import RangePartitionAssignor
    from aiokafka.errors import KafkaError
    from aiokafka.structs import OffsetAndMetadata

    owned = Owned()

    class Listener(ConsumerRebalanceListener):
        async def on_partitions_revoked(self, tps):
            owned.gives_up(tps)

        async def on_partitions_assigned(self, tps):
            owned.has(tps)

    kafka = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        client_id="aiokafka",
        group_instance_id=instance,
        session_timeout_ms=session_ms(instance),
        heartbeat_interval_ms=HEARTBEAT_MS,
        partition_assignment_strategy=[RangePartitionAssignor],
        enable_auto_commit=False,
    )
    kafka.subscribe([topic], listener=Listener())
    await kafka.start()
    commands = read_commands()
    while True:
        await kafka.getmany(timeout_ms=int(POLL_S * 1000))
        if not commands:
            continue
        command = commands.popleft()
        if command == "leave":
            return await kafka.stop()
        try:
            offsets = {
                TopicPartition(p.topic, p.partition): OffsetAndMetadata(p.offset, "") for p in positions_of(command)
            }
            await kafka.commit(offsets)
            say("ok")
        except KafkaError as error:
            say(script.refusal(error))


library, *where = sys.argv[1:]
where = (*where, None) if len(where) == 3 else where
if library == "confluent":
    with_confluent(*where)
elif library == "kafka-python":
    with_kafka_python(*where)
else:
    asyncio.run(with_aiokafka(*where))

"""kafka-python, either 3.x or 2.0.2.

usage: with_kafka_python.py HOST:PORT consumer|admin < script
"""

import sys

try:
    # 2.0.2 carries an old copy of six that Python 3.12 cannot import.
    import six

    sys.modules["kafka.vendor.six.moves"] = six.moves
except ImportError:
    pass

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, NoError
from kafka.structs import OffsetAndMetadata

import script

# 2.0.2 knows neither leader epochs nor an admin call that alters offsets.
OLD = kafka.__version__.startswith("2.0.")


def to_offsets(positions):
    offsets = {}
    for p in positions:
        epoch = [] if OLD else [-1 if p.epoch is None else p.epoch]
        offsets[TopicPartition(p.topic, p.partition)] = OffsetAndMetadata(p.offset, p.metadata, *epoch)
    return offsets


def show(tp, committed):
    if committed is None:
        return script.show(tp.topic, tp.partition, None)
    epoch = None if OLD else committed.leader_epoch
    return script.show(tp.topic, tp.partition, committed.offset, epoch, committed.metadata)


class Consumer:
    def __init__(self, bootstrap, group):
        self.kafka = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)

    def commit(self, positions):
        try:
            self.kafka.commit(to_offsets(positions))
            yield "ok"
        except KafkaError as error:
            yield script.refusal(error)

    def fetch(self, partitions):
        for topic, partition in partitions:
            tp = TopicPartition(topic, partition)
            yield show(tp, self.kafka.committed(tp, metadata=True))

    def close(self):
        self.kafka.close(autocommit=False)


class Admin:
    def __init__(self, bootstrap, group):
        self.kafka = KafkaAdminClient(bootstrap_servers=bootstrap)
        self.group = group

    def commit(self, positions):
        # The answer is a dict of exception classes: nothing is raised.
        answers = self.kafka.alter_group_offsets(self.group, to_offsets(positions))
        for tp, error in sorted(answers.items()):
            answer = "ok" if error is NoError else script.refusal(error())
            yield f"{tp.topic}/{tp.partition} {answer}"

    def fetch(self, partitions):
        wanted = [TopicPartition(*p) for p in partitions]
        answers = self.kafka.list_group_offsets({self.group: wanted})[self.group]
        for tp in wanted:
            yield show(tp, answers.get(tp))

    def list(self):
        answers = self.kafka.list_group_offsets({self.group: None})[self.group]
        return [show(tp, committed) for tp, committed in answers.items()]

    def groups(self):
        return [f"{g['group_id']} {g['group_state']} {g['group_type']}" for g in self.kafka.list_groups()]

    def describe(self):
        # An error is data in the result: nothing is raised.
        answer = self.kafka.describe_groups([self.group])[self.group]
        yield f"refused {answer['error']}" if answer["error"] else answer["group_state"]

    def delete_offsets(self, partitions):
        try:
            answers = self.kafka.delete_group_offsets(self.group, [TopicPartition(*p) for p in partitions])
        except KafkaError as error:
            yield script.refusal(error)
            return
        for tp, error in sorted(answers.items()):
            answer = "ok" if error is NoError else script.refusal(error())
            yield f"{tp.topic}/{tp.partition} {answer}"

    def delete_group(self):
        # The answer is the name of an exception, or OK.
        answer = self.kafka.delete_groups([self.group])[self.group]
        yield "ok" if answer == "OK" else f"refused {answer}"

    def close(self):
        self.kafka.close()


bootstrap, role = sys.argv[1:]
client = {"consumer": Consumer, "admin": Admin}[role]
script.run(lambda group: client(bootstrap, group))

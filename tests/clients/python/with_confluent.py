"""confluent-kafka, which is librdkafka.

usage: with_confluent.py HOST:PORT consumer|admin < script
"""

import sys

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

import script

TIMEOUT_S = 30


def to_partition(position):
    epoch = {} if position.epoch is None else {"leader_epoch": position.epoch}
    return TopicPartition(position.topic, position.partition, position.offset, metadata=position.metadata, **epoch)


def show(tp):
    return script.show(tp.topic, tp.partition, tp.offset, tp.leader_epoch, tp.metadata)


def refusal(error):
    # KafkaError prints as KafkaError{code=..,val=..,str=".."}: that is what an application logs.
    return script.refusal(error, "KafkaException")


class Consumer:
    def __init__(self, bootstrap, group):
        self.kafka = KafkaConsumer({
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
        })

    def commit(self, positions):
        try:
            self.kafka.commit(offsets=[to_partition(p) for p in positions], asynchronous=False)
            yield "ok"
        except KafkaException as error:
            yield refusal(error.args[0])

    def fetch(self, partitions):
        wanted = [TopicPartition(*p) for p in partitions]
        return [show(tp) for tp in self.kafka.committed(wanted, timeout=TIMEOUT_S)]

    def close(self):
        self.kafka.close()


class Admin:
    def __init__(self, bootstrap, group):
        self.kafka = AdminClient({"bootstrap.servers": bootstrap})
        self.group = group

    def commit(self, positions):
        request = ConsumerGroupTopicPartitions(self.group, [to_partition(p) for p in positions])
        future = self.kafka.alter_consumer_group_offsets([request])[self.group]
        # A refused partition is data in the result: nothing is raised.
        for tp in sorted(future.result(TIMEOUT_S).topic_partitions):
            yield f"{tp.topic}/{tp.partition} {refusal(tp.error) if tp.error else 'ok'}"

    def fetch(self, partitions):
        return self._list([TopicPartition(*p) for p in partitions])

    def list(self):
        return self._list(None)

    def groups(self):
        answer = self.kafka.list_consumer_groups().result(TIMEOUT_S)
        if answer.errors:
            raise answer.errors[0]
        return [f"{g.group_id} {g.state.name} {g.type.name}" for g in answer.valid]

    def describe(self):
        return self._outcome(self.kafka.describe_consumer_groups([self.group]), lambda group: group.state.name)

    def delete_group(self):
        return self._outcome(self.kafka.delete_consumer_groups([self.group]), lambda _: "ok")

    def _outcome(self, futures, show):
        try:
            yield show(futures[self.group].result(TIMEOUT_S))
        except KafkaException as error:
            yield refusal(error.args[0])

    def _list(self, partitions):
        request = ConsumerGroupTopicPartitions(self.group, partitions)
        future = self.kafka.list_consumer_group_offsets([request])[self.group]
        return [show(tp) for tp in future.result(TIMEOUT_S).topic_partitions]

    def close(self):
        pass


bootstrap, role = sys.argv[1:]
client = {"consumer": Consumer, "admin": Admin}[role]
script.run(lambda group: client(bootstrap, group))

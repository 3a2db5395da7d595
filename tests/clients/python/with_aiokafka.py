"""aiokafka, which stays at old versions by choice: ApiVersions v0, OffsetCommit v3, OffsetFetch v3.

usage: with_aiokafka.py HOST:PORT consumer < script
"""

import asyncio
import contextlib
import logging
import sys

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

import script

logging.disable(logging.CRITICAL)


class Consumer:
    def __init__(self, bootstrap, group):
        self.loop = asyncio.new_event_loop()
        self.kafka = self.loop.run_until_complete(self._start(bootstrap, group))

    async def _start(self, bootstrap, group):
        kafka = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
        await kafka.start()
        return kafka

    def commit(self, positions):
        # There is no leader epoch in these versions.
        offsets = {TopicPartition(p.topic, p.partition): OffsetAndMetadata(p.offset, p.metadata) for p in positions}
        try:
            self.loop.run_until_complete(self._commit(offsets))
            yield "ok"
        except KafkaError as error:
            yield script.refusal(error)

    async def _commit(self, offsets):
        # It commits only what is assigned to it, and assigns only where a loop is running.
        if self.kafka.assignment() != offsets.keys():
            self.kafka.assign(list(offsets))
        await self.kafka.commit(offsets)

    def fetch(self, partitions):
        # `committed` gives the offset alone, so metadata is not shown.
        for topic, partition in partitions:
            offset = self.loop.run_until_complete(self.kafka.committed(TopicPartition(topic, partition)))
            yield script.show(topic, partition, offset)

    def close(self):
        # Where a server offers no Fetch, stop() lets the cancellation of its own fetching through.
        with contextlib.suppress(asyncio.CancelledError):
            self.loop.run_until_complete(self.kafka.stop())
        self.loop.close()


bootstrap, role = sys.argv[1:]
client = {"consumer": Consumer}[role]
script.run(lambda group: client(bootstrap, group))

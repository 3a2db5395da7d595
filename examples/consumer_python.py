"""An ordinary Kafka consumer that keeps its position in offsetd.

    offsetd serve                                 # in another terminal
    pip install kafka-python
    python examples/consumer_python.py [HOST:PORT]

It commits, reads back what is committed, then commits a lower offset, as a consumer does that was restarted from an old
position: offsetd refuses, and the position stays. Nothing in here is special to offsetd.
"""

import sys
import uuid

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import PolicyViolationError
from kafka.structs import OffsetAndMetadata

address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092"
# A group of its own for each run; yours has one name for good.
group = f"example-{uuid.uuid4().hex[:8]}"
orders, invoices = TopicPartition("orders", 0), TopicPartition("invoices", 0)

consumer = KafkaConsumer(bootstrap_servers=address, group_id=group, enable_auto_commit=False)


def commit(offsets):
    # -1: the leader epoch of the record is not known.
    consumer.commit({tp: OffsetAndMetadata(offset, "", -1) for tp, offset in offsets.items()})


def show():
    print("  committed:", {tp.topic: consumer.committed(tp) for tp in (orders, invoices)})


print(f"group {group} at {address}")
show()

print("commit orders 100, invoices 7")
commit({orders: 100, invoices: 7})
show()

print("commit orders 100 again: a retry is fine")
commit({orders: 100})

print("commit orders 99, invoices 8: one goes back, the other does not")
try:
    commit({orders: 99, invoices: 8})
except PolicyViolationError as error:
    # Nothing to retry: another consumer was further already. The server's log says who, and both offsets.
    print("  refused:", error)
else:
    sys.exit("the commit that goes back was accepted: is the guard in mode reject?")
show()

position = consumer.committed(orders), consumer.committed(invoices)
consumer.close(autocommit=False)
if position != (100, 8):
    sys.exit(f"expected orders 100 and invoices 8, not {position}")

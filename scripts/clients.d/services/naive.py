"""Naive inventory service: it collects orders first and decides them later, and leaves the commits to the client.

The client commits what was collected, not what was decided, so a crash loses orders. Arguments as those of original.py.
"""

import json
import os
import sys
import time

from kafka import KafkaConsumer, KafkaProducer

BROKER, ORDERS, EVENTS, GROUP = sys.argv[1:5]
CRASH_AFTER = int(sys.argv[5]) if len(sys.argv) > 5 else None
IDLE_SECONDS = 2

consumer = KafkaConsumer(
    ORDERS, bootstrap_servers=BROKER, group_id=GROUP, auto_offset_reset="earliest", auto_commit_interval_ms=200,
    session_timeout_ms=6000, heartbeat_interval_ms=1000,
)
producer = KafkaProducer(bootstrap_servers=BROKER)

# "Reading in large batches is faster."
orders = []
last_order = time.monotonic()
while not consumer.assignment() or time.monotonic() - last_order < IDLE_SECONDS:
    batch = consumer.poll(timeout_ms=100)
    for records in batch.values():
        orders.extend(json.loads(record.value) for record in records)
    if batch or not consumer.assignment():
        last_order = time.monotonic()

for number, order in enumerate(orders, start=1):
    for item in order["items"]:
        event = {
            "event_type": "InventoryEvent",
            "order_id": order["order_id"],
            "item_id": item["item_id"],
            "quantity": item["quantity"],
            "action": "reserve" if order["status"] == "placed" else "release",
        }
        producer.send(EVENTS, key=order["order_id"].encode(), value=json.dumps(event).encode())
    if number == CRASH_AFTER:
        os._exit(9)
producer.flush()
consumer.close()

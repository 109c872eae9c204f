"""Inventory service like that of the Python original: for each order line it writes an event, and commits after that.

Arguments: the broker, the topic of the orders, the topic of its events, its group, and after how many orders it crashes
(optional). It ends when no order has arrived for a while.
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
    ORDERS, bootstrap_servers=BROKER, group_id=GROUP, auto_offset_reset="earliest", enable_auto_commit=False,
    session_timeout_ms=6000, heartbeat_interval_ms=1000,
)
producer = KafkaProducer(bootstrap_servers=BROKER, acks="all")
processed = 0
last_order = time.monotonic()
while not consumer.assignment() or time.monotonic() - last_order < IDLE_SECONDS:
    batch = consumer.poll(timeout_ms=200, max_records=100)
    for record in (record for records in batch.values() for record in records):
        order = json.loads(record.value)
        for item in order["items"]:
            event = {
                "event_type": "InventoryEvent",
                "order_id": order["order_id"],
                "item_id": item["item_id"],
                "quantity": item["quantity"],
                "action": "reserve" if order["status"] == "placed" else "release",
                "timestamp": order["timestamp"],
            }
            producer.send(EVENTS, key=order["order_id"].encode(), value=json.dumps(event).encode())
        processed += 1
        if processed == CRASH_AFTER:
            producer.flush()
            os._exit(9)
    if batch or not consumer.assignment():
        last_order = time.monotonic()
    if batch:
        producer.flush()
        consumer.commit()
consumer.close()
producer.close()

"""Two inventory services in Python, judged by `foodstream audit` and by a count of its own.

One is like the Python original and commits after its events; the other one lets the client commit what it has only read.
Both run without and with a crash. What the audit says must be what a plain count of both topics says. Arguments: the
broker's address, a prefix for the names of topics and groups, and the program foodstream.
"""

import collections
import json
import pathlib
import subprocess
import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic

BROKER, PREFIX, FOODSTREAM = sys.argv[1], sys.argv[2] + ".", sys.argv[3]
ORDERS, GROUP = PREFIX + "order-events", PREFIX + "group-"
SERVICES = pathlib.Path(__file__).parent / "services"
TIMEOUT, CRASHED = 60, 9


def assert_equal(description, expected, actual):
    if expected != actual:
        # Flushed at once, because the cleanup that follows may fail too.
        print(f"FAILED: {description}\n--- expected\n{expected!r}\n--- actual\n{actual!r}", flush=True)
        sys.exit(1)
    print("ok:", description, flush=True)


def foodstream(*arguments):
    command = [FOODSTREAM, *arguments, "-b", BROKER, "--prefix", PREFIX, "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    print(done.stderr, end="", flush=True)
    return done.returncode, json.loads(done.stdout)


def run_service(program, name, *crash_after):
    arguments = [BROKER, ORDERS, PREFIX + name, GROUP + name, *map(str, crash_after)]
    return subprocess.run([sys.executable, SERVICES / program, *arguments], timeout=TIMEOUT).returncode


def read(topic):
    """All records of a topic."""
    consumer = KafkaConsumer(bootstrap_servers=BROKER)
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends, records, deadline = consumer.end_offsets(partitions), [], time.monotonic() + TIMEOUT
    while any(consumer.position(partition) < end for partition, end in ends.items()):
        if time.monotonic() > deadline:
            sys.exit(f"FAILED: {topic} could not be read within {TIMEOUT} s")
        for batch in consumer.poll(timeout_ms=200).values():
            records.extend(batch)
    consumer.close()
    return records


def count(name):
    """Lost and doubled lines, counted with two bags. Everything is committed, so each order needs its events."""
    expected, found = collections.Counter(), collections.Counter()
    for record in read(ORDERS):
        order = json.loads(record.value)
        action = "reserve" if order["status"] == "placed" else "release"
        for item in order["items"]:
            expected[order["order_id"], item["item_id"], item["quantity"], action] += 1
    for record in read(PREFIX + name):
        event = json.loads(record.value)
        found[event["order_id"], event["item_id"], event["quantity"], event["action"]] += 1
    return {
        "no-line-lost": sum((expected - found).values()),
        "no-line-doubled": sum((found - expected).values()),
        "no-line-invented": 0,
        "lines-as-ordered": 0,
    }


def judge(name, *claims):
    """The exit code of the audit, and the violations of each check."""
    code, document = foodstream("audit", "--decisions", PREFIX + name, "--group", GROUP + name, *claims)
    assert_equal(f"{name}: everything is judged", [], document["unproved"])
    return code, {check["name"]: check["violations"] for check in document["checks"]}


def test(admin):
    code, produced = foodstream("produce", "--count", "3000", "--seed", "5", "--duplicate-rate", "2%", "--partitions", "3")
    assert_equal("the orders are there", (0, 3000), (code, produced["acknowledged"]))
    names = ["original", "original-crash", "naive", "naive-crash"]
    admin.create_topics([NewTopic(PREFIX + name, num_partitions=3, replication_factor=1) for name in names])

    assert_equal("the original ends", 0, run_service("original.py", "original"))
    code, violations = judge("original", "--ordered-by", "order_id")
    clean = {**count("original"), "order-is-kept": 0, "keys-are-kept": 0}
    assert_equal("the original is clean, with the keys that it claims", (0, clean), (code, violations))
    assert_equal("an independent count agrees", 0, sum(count("original").values()))
    code, violations = judge("original", "--ordered-by", "restaurant_id")
    assert_equal("it does not key by restaurant", (3, True), (code, violations["keys-are-kept"] > 0))

    assert_equal("the naive one ends", 0, run_service("naive.py", "naive"))
    assert_equal("it is clean as long as it does not crash", (0, count("naive")), judge("naive"))

    for name, program, check in [
        ("original-crash", "original.py", "no-line-doubled"),
        ("naive-crash", "naive.py", "no-line-lost"),
    ]:
        assert_equal(f"{name}: it crashes", CRASHED, run_service(program, name, 1250))
        assert_equal(f"{name}: it starts again and ends", 0, run_service(program, name))
        counted = count(name)
        print(name, counted, flush=True)
        assert_equal(f"{name}: {check} is violated", True, counted[check] > 0)
        assert_equal(f"{name}: the audit counts the same", (3, counted), judge(name))


def clean_up(admin):
    groups = [name for name, *_ in admin.list_consumer_groups() if name.startswith(GROUP)]
    if groups:
        admin.delete_consumer_groups(groups)
    admin.delete_topics([topic for topic in admin.list_topics() if topic.startswith(PREFIX)])


def main():
    admin = KafkaAdminClient(bootstrap_servers=BROKER)
    try:
        test(admin)
    finally:
        clean_up(admin)
        admin.close()


main()

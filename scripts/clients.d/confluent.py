"""Test of confluent-kafka, with a current librdkafka: transactions, fencing, offsets in transactions, admin client.

Arguments: the broker's address, and a prefix for the names of topics and groups.
"""

import sys
import time

import confluent_kafka
from confluent_kafka import Consumer, ConsumerGroupState, ConsumerGroupTopicPartitions, IsolationLevel, KafkaError
from confluent_kafka import KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic
from confluent_kafka.admin import OffsetSpec, ResourceType

BROKER, PREFIX = sys.argv[1], sys.argv[2]
ORDERS, RESULTS, GROUP = PREFIX + "-orders", PREFIX + "-results", PREFIX + "-group"
TIMEOUT = 20
# All consumers, which are closed at the end: a group with members cannot be deleted.
CONSUMERS = []


def check(description, expected, actual):
    if expected != actual:
        # Flushed at once, because the cleanup that follows may fail too.
        print(f"FAILED: {description}\n--- expected\n{expected!r}\n--- actual\n{actual!r}", flush=True)
        sys.exit(1)


def assert_equal(description, expected, actual):
    check(description, expected, actual)
    print("ok:", description, flush=True)


def wait_until(description, probe):
    """Polls until the probe returns a true value."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        value = probe()
        if value:
            print("ok:", description, flush=True)
            return value
        if time.monotonic() > deadline:
            sys.exit(f"FAILED: {description}: not within {TIMEOUT} s")
        time.sleep(0.05)


def assert_error(description, codes, action):
    try:
        action()
    except KafkaException as error:
        assert_equal(description, True, error.args[0].code() in codes)
        return
    sys.exit(f"FAILED: {description}: no error")


def result_of(futures):
    """The result of a request for one topic, group or partition."""
    (future,) = futures.values()
    return future.result(TIMEOUT)


def transactional_producer(name):
    producer = Producer({"bootstrap.servers": BROKER, "transactional.id": f"{PREFIX}-{name}", "linger.ms": 0})
    producer.init_transactions(TIMEOUT)
    return producer


def produce(producer, topic, values, partition=0):
    """Writes the records and waits for acknowledgements, so that aborted ones are in the log too; returns the offsets."""
    offsets, now = [], int(time.time() * 1000)

    def delivered(error, message):
        check(f"{message.value()!r} is acknowledged", None, error)
        offsets.append(message.offset())

    for index, value in enumerate(values):
        more = {"headers": {"h": value}, "timestamp": now + index, "on_delivery": delivered}
        producer.produce(topic, value, key=b"k:" + value, partition=partition, **more)
    check("the producer queue is empty", 0, producer.flush(TIMEOUT))
    return offsets


def read_all(level, partition, begin=0):
    """All records of a partition up to its current end for this isolation level."""
    consumer = Consumer(
        {
            "bootstrap.servers": BROKER,
            "group.id": PREFIX + "-unused",
            "enable.auto.commit": False,
            "isolation.level": level,
            "enable.partition.eof": True,
            "check.crcs": True,
        }
    )
    consumer.assign([TopicPartition(partition.topic, partition.partition, begin)])
    actual, deadline = [], time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is None:
            continue
        if message.error():
            if message.error().code() == KafkaError._PARTITION_EOF:
                consumer.close()
                return actual
            sys.exit(f"FAILED: reading {partition}: {message.error()}")
        check("key and headers belong to the value", (b"k:" + message.value(), [("h", message.value())]), (message.key(), message.headers()))
        actual.append((message.offset(), message.value()))
    sys.exit(f"FAILED: {level} did not reach the end of {partition} within {TIMEOUT} s; actual {actual!r}")


def offset_of(admin, partition, spec, **more):
    response = result_of(admin.list_offsets({partition: spec}, request_timeout=TIMEOUT, **more))
    return response.offset


def stable_end(admin, partition):
    return offset_of(admin, partition, OffsetSpec.latest(), isolation_level=IsolationLevel.READ_COMMITTED)


def transactions(admin):
    results = TopicPartition(RESULTS, 0)
    producer = transactional_producer("writer")
    producer.begin_transaction()
    assert_equal("offsets begin at 0", [0, 1], produce(producer, RESULTS, [b"a", b"b"]))
    producer.commit_transaction(TIMEOUT)
    producer.begin_transaction()
    assert_equal("the commit marker took offset 2", [3], produce(producer, RESULTS, [b"aborted"]))
    producer.abort_transaction(TIMEOUT)
    producer.begin_transaction()
    assert_equal("the abort marker took offset 4", [5], produce(producer, RESULTS, [b"c"]))

    assert_equal("read_committed does not read an open transaction", [(0, b"a"), (1, b"b")], read_all("read_committed", results))
    everything = [(0, b"a"), (1, b"b"), (3, b"aborted"), (5, b"c")]
    assert_equal("read_uncommitted reads all records", everything, read_all("read_uncommitted", results))
    latest = OffsetSpec.latest()
    assert_equal("the last stable offset is the start of the open transaction", 5, stable_end(admin, results))
    assert_equal("the high watermark is after it", 6, offset_of(admin, results, latest))

    second = transactional_producer("writer")
    wait_until("a second producer with this transactional id aborts the open transaction", lambda: stable_end(admin, results) >= 7)
    assert_equal("one marker ends the transaction", 7, stable_end(admin, results))
    assert_error("the first producer is fenced", {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH},
                 lambda: producer.commit_transaction(TIMEOUT))
    second.begin_transaction()
    assert_equal("the second producer writes", [7], produce(second, RESULTS, [b"d"]))
    second.commit_transaction(TIMEOUT)
    assert_equal("read_committed reads the committed records", [(0, b"a"), (1, b"b"), (7, b"d")], read_all("read_committed", results))
    assert_equal("read_uncommitted reads all records of ended transactions", [*everything, (7, b"d")], read_all("read_uncommitted", results))
    assert_equal("an empty transaction commits", None, commit_empty_transaction(second))
    assert_equal("it writes nothing", 9, offset_of(admin, results, latest))


def commit_empty_transaction(producer):
    producer.begin_transaction()
    return producer.commit_transaction(TIMEOUT)


def group_consumer():
    consumer = Consumer(
        {
            "bootstrap.servers": BROKER,
            "group.id": GROUP,
            "client.id": "the only member",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([ORDERS])
    CONSUMERS.append(consumer)
    return consumer


def consume(consumer, count):
    """Exactly this number of records."""
    messages, deadline = [], time.monotonic() + TIMEOUT
    while len(messages) < count:
        if time.monotonic() > deadline:
            sys.exit(f"FAILED: {len(messages)} of {count} records within {TIMEOUT} s")
        message = consumer.poll(0.2)
        if message is not None:
            check("no error between the records", None, message.error())
            messages.append(message)
    return messages


def offsets_in_transactions(admin):
    orders = [TopicPartition(ORDERS, n) for n in (0, 1)]
    plain = Producer({"bootstrap.servers": BROKER, "enable.idempotence": True})
    produce(plain, ORDERS, [b"order 0", b"order 1", b"order 2"], 0)
    produce(plain, ORDERS, [b"order 3", b"order 4"], 1)
    begin = offset_of(admin, TopicPartition(RESULTS, 0), OffsetSpec.latest())

    producer, consumer = transactional_producer("processor"), group_consumer()
    messages = consume(consumer, 5)
    assert_equal("the group reads all orders", [b"order %d" % n for n in range(5)], sorted(m.value() for m in messages))

    described = result_of(admin.describe_consumer_groups([GROUP], request_timeout=TIMEOUT))
    (one,) = described.members
    assert_equal("the group is described", (ConsumerGroupState.STABLE, "the only member", [(ORDERS, 0), (ORDERS, 1)]),
                 (described.state, one.client_id, sorted((p.topic, p.partition) for p in one.assignment.topic_partitions)))

    def one_transaction(end):
        producer.begin_transaction()
        produce(producer, RESULTS, [b"done: " + m.value() for m in messages])
        producer.send_offsets_to_transaction(consumer.position(orders), consumer.consumer_group_metadata(), TIMEOUT)
        end(TIMEOUT)

    one_transaction(producer.abort_transaction)
    assert_equal("an abort discards the offsets", [-1001, -1001], [p.offset for p in consumer.committed(orders, TIMEOUT)])
    one_transaction(producer.commit_transaction)
    assert_equal("a commit commits the offsets", [3, 2], [p.offset for p in consumer.committed(orders, TIMEOUT)])
    assert_equal("each order is processed once", sorted(b"done: order %d" % n for n in range(5)),
                 sorted(value for _, value in read_all("read_committed", TopicPartition(RESULTS, 0), begin)))
    produce(plain, ORDERS, [b"order 5"], 1)
    assert_equal("the group reads the next record", [b"order 5"], [m.value() for m in consume(consumer, 1)])
    consumer.close()

    consumer = group_consumer()
    assert_equal("a new member continues at the offsets of the transaction", [b"order 5"], [m.value() for m in consume(consumer, 1)])
    consumer.close()


def administration(admin):
    orders = TopicPartition(ORDERS, 0)
    assert_equal("the earliest offset", 0, offset_of(admin, orders, OffsetSpec.earliest()))
    assert_equal("the latest offset", 3, offset_of(admin, orders, OffsetSpec.latest()))
    # Timestamps increase by a millisecond from record to record.
    assert_equal("the last record has the maximum timestamp", 2, offset_of(admin, orders, OffsetSpec.max_timestamp()))
    assert_equal("the offset for a time before all records", 0, offset_of(admin, orders, OffsetSpec.for_timestamp(1)))
    assert_equal("the offset for a time after all records", -1, offset_of(admin, orders, OffsetSpec.for_timestamp(int(time.time() * 1000) + 3_600_000)))

    groups = admin.list_consumer_groups(request_timeout=TIMEOUT).result(TIMEOUT)
    assert_equal("the group is listed as empty", [ConsumerGroupState.EMPTY], [g.state for g in groups.valid if g.group_id == GROUP])

    def listed_offsets():
        response = result_of(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP)], request_timeout=TIMEOUT))
        return sorted((p.partition, p.offset) for p in response.topic_partitions)

    assert_equal("the group's offsets are listed", [(0, 3), (1, 2)], listed_offsets())
    result_of(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP, [TopicPartition(ORDERS, 0, 1)])], request_timeout=TIMEOUT))
    assert_equal("the group's offsets can be altered", [(0, 1), (1, 2)], listed_offsets())

    topic = ConfigResource(ResourceType.TOPIC, ORDERS)

    def config_of(name):
        return result_of(admin.describe_configs([topic], request_timeout=TIMEOUT))[name]

    def alter(operation, name, value=None):
        entry = ConfigEntry(name, value, incremental_operation=operation)
        altered = ConfigResource(ResourceType.TOPIC, ORDERS, incremental_configs=[entry])
        result_of(admin.incremental_alter_configs([altered], request_timeout=TIMEOUT))

    before = config_of("retention.ms").value
    alter(AlterConfigOpType.SET, "retention.ms", "3600000")
    wait_until("a config is altered", lambda: config_of("retention.ms").value == "3600000")
    assert_equal("an altered config is not a default", False, config_of("retention.ms").is_default)
    alter(AlterConfigOpType.APPEND, "cleanup.policy", "compact")
    wait_until("a value is appended to a list", lambda: config_of("cleanup.policy").value == "delete,compact")
    alter(AlterConfigOpType.SUBTRACT, "cleanup.policy", "compact")
    wait_until("a value is removed from a list", lambda: config_of("cleanup.policy").value == "delete")
    alter(AlterConfigOpType.DELETE, "retention.ms")
    wait_until("a deleted config has its default again", lambda: config_of("retention.ms").value == before)
    assert_error("an unknown config is an error", {KafkaError.INVALID_CONFIG}, lambda: alter(AlterConfigOpType.SET, "no.such.setting", "1"))

    result_of(admin.create_partitions([NewPartitions(ORDERS, 4)], request_timeout=TIMEOUT))
    orders_topic = TopicCollection([ORDERS])
    wait_until("partitions are added", lambda: len(result_of(admin.describe_topics(orders_topic, request_timeout=TIMEOUT)).partitions) == 4)
    assert_error("partitions cannot be removed", {KafkaError.INVALID_PARTITIONS},
                 lambda: result_of(admin.create_partitions([NewPartitions(ORDERS, 2)], request_timeout=TIMEOUT)))

    assert_equal("deleting records returns the new log start offset", 2,
                 result_of(admin.delete_records([TopicPartition(ORDERS, 0, 2)], request_timeout=TIMEOUT)).low_watermark)
    assert_equal("the log starts at this offset", 2, offset_of(admin, orders, OffsetSpec.earliest()))
    assert_equal("the remaining records can be read", [(2, b"order 2")], read_all("read_uncommitted", orders, 2))
    assert_error("records after the end cannot be deleted", {KafkaError.OFFSET_OUT_OF_RANGE},
                 lambda: result_of(admin.delete_records([TopicPartition(ORDERS, 0, 99)], request_timeout=TIMEOUT)))

    cluster = admin.describe_cluster(request_timeout=TIMEOUT).result(TIMEOUT)
    assert_equal("the controller is one of the nodes", True, cluster.controller.id in {node.id for node in cluster.nodes})
    result_of(admin.delete_consumer_groups([GROUP], request_timeout=TIMEOUT))
    assert_error("a deleted group cannot be deleted again", {KafkaError.GROUP_ID_NOT_FOUND},
                 lambda: result_of(admin.delete_consumer_groups([GROUP], request_timeout=TIMEOUT)))


def main():
    print("confluent-kafka", confluent_kafka.version(), "librdkafka", confluent_kafka.libversion()[0], "Python", sys.version.split()[0])
    admin = AdminClient({"bootstrap.servers": BROKER})
    try:
        made = admin.create_topics([NewTopic(ORDERS, 2, 1), NewTopic(RESULTS, 1, 1)], request_timeout=TIMEOUT)
        assert_equal("topics are created", [None, None], [future.result(TIMEOUT) for future in made.values()])
        transactions(admin)
        offsets_in_transactions(admin)
        administration(admin)
    finally:
        for consumer in CONSUMERS:
            consumer.close()
        for future in admin.delete_topics([ORDERS, RESULTS], request_timeout=TIMEOUT).values():
            future.exception(TIMEOUT)
        for future in admin.delete_consumer_groups([GROUP], request_timeout=TIMEOUT).values():
            future.exception(TIMEOUT)
    wait_until("deleted topics are not listed", lambda: not {ORDERS, RESULTS} & set(admin.list_topics(timeout=TIMEOUT).topics))


main()

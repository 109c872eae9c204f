"""Test of kafka-python: producer, consumer groups, commits, seeking, offsets by time, transactions, admin client.

Runs with release 2.0.2, which the original application used, and with later 2.x. Arguments: the broker's address, and a prefix
for the names of topics and groups.
"""

import importlib.metadata
import sys
import time

if sys.version_info >= (3, 12) and importlib.metadata.version("kafka-python") == "2.0.2":
    # Python 3.12 cannot import the copy of six that is bundled in kafka-python 2.0.2, so the current six replaces it.
    # The client itself is not changed.
    import six

    sys.modules["kafka.vendor.six"] = six
    sys.modules["kafka.vendor.six.moves"] = six.moves

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic

BROKER, PREFIX = sys.argv[1], sys.argv[2]
TOPIC, TX_TOPIC, GROUP = PREFIX + "-topic", PREFIX + "-transactions", PREFIX + "-group"
TIMEOUT = 20
# By default, a client that gets no ApiVersions response within two seconds assumes an old broker.
CONNECTION = {"bootstrap_servers": BROKER, "api_version_auto_timeout_ms": TIMEOUT * 1000}
# All consumers, which are closed at the end: a group with members cannot be deleted.
CONSUMERS = []
VERSION = tuple(int(part) for part in kafka.__version__.split(".")[:2])


def assert_equal(description, expected, actual):
    if expected != actual:
        # Flushed at once, because the cleanup that follows may fail too.
        print(f"FAILED: {description}\n--- expected\n{expected!r}\n--- actual\n{actual!r}", flush=True)
        sys.exit(1)
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


def consume(consumer, count):
    """At least this number of records: all of the last batches."""
    records, deadline = [], time.monotonic() + TIMEOUT
    while len(records) < count:
        if time.monotonic() > deadline:
            sys.exit(f"FAILED: {len(records)} of {count} records within {TIMEOUT} s: {[r.value for r in records]!r}")
        for batch in consumer.poll(timeout_ms=200).values():
            records.extend(batch)
    return records


def group_consumer():
    consumer = KafkaConsumer(
        TOPIC, **CONNECTION, group_id=GROUP, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    CONSUMERS.append(consumer)
    return consumer


def administration(admin):
    admin.create_topics([NewTopic(TOPIC, num_partitions=2, replication_factor=1, topic_configs={"retention.ms": "7200000"})])
    wait_until("the new topic is listed", lambda: TOPIC in admin.list_topics())
    try:
        admin.create_topics([NewTopic(TOPIC, num_partitions=2, replication_factor=1)])
        sys.exit("FAILED: a topic was created twice")
    except kafka.errors.TopicAlreadyExistsError as error:
        assert_equal("an existing topic cannot be created again", 36, error.errno)

    admin.create_partitions({TOPIC: NewPartitions(total_count=3)})

    def partitions():
        return sorted(p.get("partition", p.get("partition_index")) for p in admin.describe_topics([TOPIC])[0]["partitions"])

    wait_until("a third partition is added", lambda: len(partitions()) == 3)
    assert_equal("partitions are numbered from 0", [0, 1, 2], partitions())

    settings = configs_of(admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC)]))
    assert_equal("a config of the topic is described", "7200000", settings["retention.ms"])
    assert_equal("a default is described", "delete", settings["cleanup.policy"])


def configs_of(responses):
    """Names and values; the type of the responses depends on the release."""
    settings = {}
    for response in responses if isinstance(responses, list) else [responses]:
        for resource in response.resources:
            assert_equal("describing configs returns no error", 0, resource[0])
            for entry in resource[4]:
                settings[entry[0]] = entry[1]
    return settings


def write_records():
    producer = KafkaProducer(**CONNECTION, acks="all", linger_ms=5)
    sent = []
    for index in range(60):
        key = b"key %d" % (index % 7)
        future = producer.send(TOPIC, key=key, value=b"value %d" % index, partition=index % 3, headers=[("n", b"%d" % index)])
        sent.append((index % 3, key, b"value %d" % index, [("n", b"%d" % index)], future))
    producer.flush(TIMEOUT)
    written = sorted(
        (future.get(TIMEOUT).partition, future.get(TIMEOUT).offset, key, value, headers) for _, key, value, headers, future in sent
    )
    assert_equal("each acknowledgement has partition and offset", [(n % 3, n // 3) for n in sorted(range(60), key=lambda n: (n % 3, n))],
                 [(partition, offset) for partition, offset, *_ in written])
    by_key = [producer.send(TOPIC, key=b"same key", value=b"keyed %d" % n).get(TIMEOUT) for n in range(5)]
    assert_equal("records with the same key have the same partition", 1, len({metadata.partition for metadata in by_key}))
    assert_equal("they are in order", [by_key[0].offset + n for n in range(5)], [metadata.offset for metadata in by_key])
    producer.close(TIMEOUT)
    return written


def consume_in_group(written, admin):
    consumer = group_consumer()
    records = consume(consumer, 65)
    actual = sorted((r.partition, r.offset, r.key, r.value, r.headers) for r in records if not r.value.startswith(b"keyed"))
    assert_equal("a group reads the written records", written, actual)
    assert_equal("it reads no other records", [b"keyed %d" % n for n in range(5)], [r.value for r in records if r.value.startswith(b"keyed")])

    described = describe_group(admin)
    assert_equal("the group is described", ("Stable", "consumer", 1), (described.state, described.protocol_type, len(described.members)))

    middle = {TopicPartition(TOPIC, 0): 5, TopicPartition(TOPIC, 1): 6, TopicPartition(TOPIC, 2): 7}
    consumer.commit({partition: offset_to_commit(offset) for partition, offset in middle.items()})
    assert_equal("the commit can be read", middle, {partition: consumer.committed(partition) for partition in middle})
    consumer.close()

    consumer = group_consumer()
    records = consume(consumer, 65 - sum(middle.values()))
    first = {}
    for record in records:
        first.setdefault(TopicPartition(TOPIC, record.partition), record.offset)
    assert_equal("a new member continues at the committed offsets", middle, first)

    one = TopicPartition(TOPIC, 1)
    consumer.seek(one, 3)
    again = [r for r in consume(consumer, consumer.end_offsets([one])[one] - 3) if r.partition == 1]
    assert_equal("the first record after a seek has its offset", 3, again[0].offset)
    assert_equal("a seek reads the same records again", [v for p, o, _, v, _ in written if p == 1 and o >= 3],
                 [r.value for r in again if not r.value.startswith(b"keyed")])
    consumer.seek_to_beginning(one)
    assert_equal("seek_to_beginning seeks to offset 0", 0, consume(consumer, 1)[0].offset)

    assert_equal("the log start offset is 0", {one: 0}, consumer.beginning_offsets([one]))
    offsets_by_time(consumer)
    consumer.commit()
    consumer.close()

    assert_equal("the group is listed", ["consumer"], [kind for name, kind, *_ in admin.list_consumer_groups() if name == GROUP])
    assert_equal("a group without members is empty", ("Empty", 0), (describe_group(admin).state, len(describe_group(admin).members)))
    offsets = {partition: entry.offset for partition, entry in admin.list_consumer_group_offsets(GROUP).items()}
    assert_equal("the group's offsets are listed", {TopicPartition(TOPIC, n) for n in range(3)}, set(offsets))
    assert_equal("they are the committed offsets", 65 + 3, sum(offsets.values()))


def describe_group(admin):
    return admin.describe_consumer_groups([GROUP])[0]


def offset_to_commit(offset):
    """An offset with metadata, and with a leader epoch in releases that have this field."""
    return OffsetAndMetadata(offset, "by hand", *([-1] if "leader_epoch" in OffsetAndMetadata._fields else []))


def offsets_by_time(consumer):
    """Three records with later timestamps, a minute apart; then looks up offsets before, between and after them."""
    zero = TopicPartition(TOPIC, 0)
    producer = KafkaProducer(**CONNECTION, acks="all")
    end = consumer.end_offsets([zero])[zero]
    late = int(time.time() * 1000) + 600_000
    try:
        producer.send(TOPIC, value=b"from the far future", partition=0, timestamp_ms=late + 7_200_000).get(TIMEOUT)
        sys.exit("FAILED: a timestamp hours ahead was accepted")
    except kafka.errors.InvalidTimestampError as error:
        assert_equal("a timestamp more than an hour ahead is an error", 32, error.errno)
    for minute in range(3):
        producer.send(TOPIC, value=b"timed", partition=0, timestamp_ms=late + minute * 60_000).get(TIMEOUT)
    producer.close(TIMEOUT)
    found = consumer.offsets_for_times({zero: late + 1})[zero]
    assert_equal("offsets_for_times finds the first record at or after a time", (end + 1, late + 60_000), (found.offset, found.timestamp))
    assert_equal("a time before all records finds the first", 0, consumer.offsets_for_times({zero: 1})[zero].offset)
    assert_equal("a time after all records finds nothing", None, consumer.offsets_for_times({zero: late + 999_999})[zero])
    assert_equal("the end has moved", end + 3, consumer.end_offsets([zero])[zero])
    wait_until("the timed records are read", lambda: consumer.poll(timeout_ms=200) is not None and consumer.position(zero) == end + 3)


def transactions(admin):
    """Transactions, which releases since 2.1 support."""
    admin.create_topics([NewTopic(TX_TOPIC, num_partitions=1, replication_factor=1)])
    producer = KafkaProducer(**CONNECTION, transactional_id=PREFIX + "-writer")
    producer.init_transactions()
    ends = producer.commit_transaction, producer.abort_transaction
    for word, end in ((b"kept", ends[0]), (b"dropped", ends[1]), (b"kept too", ends[0])):
        producer.begin_transaction()
        producer.send(TX_TOPIC, value=word).get(TIMEOUT)
        end()
    producer.close(TIMEOUT)
    partition = TopicPartition(TX_TOPIC, 0)
    for level, expected in (("read_committed", [b"kept", b"kept too"]), ("read_uncommitted", [b"kept", b"dropped", b"kept too"])):
        consumer = KafkaConsumer(**CONNECTION, isolation_level=level)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        assert_equal(level + " reads the right records", expected, [r.value for r in consume(consumer, len(expected))])
        assert_equal("transaction markers have offsets", 6, consumer.end_offsets([partition])[partition])
        consumer.close()


def clean_up(admin):
    for consumer in CONSUMERS:
        consumer.close()
    admin.delete_consumer_groups([GROUP])
    topics = [topic for topic in admin.list_topics() if topic.startswith(PREFIX)]
    admin.delete_topics(topics)
    wait_until("deleted topics are not listed", lambda: not set(topics) & set(admin.list_topics()))
    assert_equal("a deleted group is not listed", [], [name for name, *_ in admin.list_consumer_groups() if name == GROUP])


def main():
    print("kafka-python", kafka.__version__, "Python", sys.version.split()[0])
    admin = KafkaAdminClient(**CONNECTION)
    try:
        administration(admin)
        consume_in_group(write_records(), admin)
        if VERSION >= (2, 1):
            transactions(admin)
    finally:
        clean_up(admin)
        admin.close()


main()

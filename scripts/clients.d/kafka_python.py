"""Owns what kafka-python must show: a producer, a group that goes on where it committed, seeking, time queries, administration.

Runs with 2.0.2, which the original application used, and with the 2.x of today. Called with the broker's address and the prefix
of everything it may create.
"""

import importlib.metadata
import sys
import time

if sys.version_info >= (3, 12) and importlib.metadata.version("kafka-python") == "2.0.2":
    # The six inside kafka-python 2.0.2 cannot be imported since Python 3.12; one of today stands in for it. Nothing of the
    # client itself is touched.
    import six

    sys.modules["kafka.vendor.six"] = six
    sys.modules["kafka.vendor.six.moves"] = six.moves

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic

BROKER, PREFIX = sys.argv[1], sys.argv[2]
TOPIC, LEDGER, GROUP = PREFIX + "-topic", PREFIX + "-transactions", PREFIX + "-group"
LIMIT = 20
# For the broker's version a client waits two seconds by default, and takes a slow answer for that of an old broker.
REACH = {"bootstrap_servers": BROKER, "api_version_auto_timeout_ms": LIMIT * 1000}
# Every member there was, so that none keeps the group alive when a claim fails.
MEMBERS = []
RELEASE = tuple(int(part) for part in kafka.__version__.split(".")[:2])


def same(claim, expected, seen):
    if expected != seen:
        # Said at once: what follows is the removal, which may meet trouble of its own.
        print(f"WRONG: {claim}\n--- expected\n{expected!r}\n--- seen\n{seen!r}", flush=True)
        sys.exit(1)
    print("holds:", claim, flush=True)


def until(what, probe):
    """Waits for what a broker may take a moment to show."""
    deadline = time.monotonic() + LIMIT
    while True:
        value = probe()
        if value:
            print("holds:", what, flush=True)
            return value
        if time.monotonic() > deadline:
            sys.exit(f"WRONG: {what}: not within {LIMIT} s")
        time.sleep(0.05)


def read(consumer, count):
    """Exactly that many records, and no further one that came with them."""
    records, deadline = [], time.monotonic() + LIMIT
    while len(records) < count:
        if time.monotonic() > deadline:
            sys.exit(f"WRONG: {len(records)} of {count} records within {LIMIT} s: {[r.value for r in records]!r}")
        for batch in consumer.poll(timeout_ms=200).values():
            records.extend(batch)
    return records


def member():
    consumer = KafkaConsumer(
        TOPIC, **REACH, group_id=GROUP, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    MEMBERS.append(consumer)
    return consumer


def administration(admin):
    admin.create_topics([NewTopic(TOPIC, num_partitions=2, replication_factor=1, topic_configs={"retention.ms": "7200000"})])
    until("the new topic is listed", lambda: TOPIC in admin.list_topics())
    try:
        admin.create_topics([NewTopic(TOPIC, num_partitions=2, replication_factor=1)])
        sys.exit("WRONG: a topic was created twice")
    except kafka.errors.TopicAlreadyExistsError as error:
        same("a topic that exists is not created again", 36, error.errno)

    admin.create_partitions({TOPIC: NewPartitions(total_count=3)})

    def partitions():
        return sorted(p.get("partition", p.get("partition_index")) for p in admin.describe_topics([TOPIC])[0]["partitions"])

    until("the third partition is there", lambda: len(partitions()) == 3)
    same("partitions are numbered from 0", [0, 1, 2], partitions())

    settings = configuration(admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC)]))
    same("a setting of the topic is described", "7200000", settings["retention.ms"])
    same("a default is described", "delete", settings["cleanup.policy"])


def configuration(answer):
    """Names and values, whichever form this release answers in."""
    settings = {}
    for response in answer if isinstance(answer, list) else [answer]:
        for resource in response.resources:
            same("describing settings meets no error", 0, resource[0])
            for entry in resource[4]:
                settings[entry[0]] = entry[1]
    return settings


def producing():
    producer = KafkaProducer(**REACH, acks="all", linger_ms=5)
    sent = []
    for index in range(60):
        key = b"key %d" % (index % 7)
        future = producer.send(TOPIC, key=key, value=b"value %d" % index, partition=index % 3, headers=[("n", b"%d" % index)])
        sent.append((index % 3, key, b"value %d" % index, [("n", b"%d" % index)], future))
    producer.flush(LIMIT)
    placed = sorted(
        (future.get(LIMIT).partition, future.get(LIMIT).offset, key, value, headers) for _, key, value, headers, future in sent
    )
    same("each record is told its partition and offset", [(n % 3, n // 3) for n in sorted(range(60), key=lambda n: (n % 3, n))],
         [(partition, offset) for partition, offset, *_ in placed])
    by_key = [producer.send(TOPIC, key=b"same key", value=b"keyed %d" % n).get(LIMIT) for n in range(5)]
    same("records of one key share a partition", 1, len({metadata.partition for metadata in by_key}))
    same("they stand in order", [by_key[0].offset + n for n in range(5)], [metadata.offset for metadata in by_key])
    producer.close(LIMIT)
    return placed


def consuming(placed, admin):
    consumer = member()
    records = read(consumer, 65)
    seen = sorted((r.partition, r.offset, r.key, r.value, r.headers) for r in records if not r.value.startswith(b"keyed"))
    same("a group reads what was written", placed, seen)
    same("it reads nothing else", [b"keyed %d" % n for n in range(5)], [r.value for r in records if r.value.startswith(b"keyed")])

    described = describe(admin)
    same("the group is described", ("Stable", "consumer", 1), (described.state, described.protocol_type, len(described.members)))

    middle = {TopicPartition(TOPIC, 0): 5, TopicPartition(TOPIC, 1): 6, TopicPartition(TOPIC, 2): 7}
    consumer.commit({partition: committed(offset) for partition, offset in middle.items()})
    same("the commit can be read", middle, {partition: consumer.committed(partition) for partition in middle})
    consumer.close()

    consumer = member()
    records = read(consumer, 65 - sum(middle.values()))
    first = {}
    for record in records:
        first.setdefault(TopicPartition(TOPIC, record.partition), record.offset)
    same("opened again, the group goes on where it committed", middle, first)

    # Seeking back brings the same records again.
    one = TopicPartition(TOPIC, 1)
    consumer.seek(one, 3)
    again = [r for r in read(consumer, consumer.end_offsets([one])[one] - 3) if r.partition == 1]
    same("seek goes where it is told", 3, again[0].offset)
    same("seeking leads to the same records", [v for p, o, _, v, _ in placed if p == 1 and o >= 3],
         [r.value for r in again if not r.value.startswith(b"keyed")])
    consumer.seek_to_beginning(one)
    same("the beginning is offset 0", 0, read(consumer, 1)[0].offset)

    same("the log begins at 0", {one: 0}, consumer.beginning_offsets([one]))
    by_time(consumer)
    consumer.commit()
    consumer.close()

    same("the group is listed", ["consumer"], [kind for name, kind, *_ in admin.list_consumer_groups() if name == GROUP])
    same("its members are gone", ("Empty", 0), (describe(admin).state, len(describe(admin).members)))
    offsets = {partition: entry.offset for partition, entry in admin.list_consumer_group_offsets(GROUP).items()}
    same("its offsets are listed", {TopicPartition(TOPIC, n) for n in range(3)}, set(offsets))
    same("they are what was committed", 65 + 3, sum(offsets.values()))


def describe(admin):
    return admin.describe_consumer_groups([GROUP])[0]


def committed(offset):
    """An offset to commit; releases differ in whether the leader epoch belongs to it."""
    return OffsetAndMetadata(offset, "by hand", *([-1] if "leader_epoch" in OffsetAndMetadata._fields else []))


def by_time(consumer):
    """Three records a minute apart, later than all others, then questions around them."""
    zero = TopicPartition(TOPIC, 0)
    producer = KafkaProducer(**REACH, acks="all")
    end = consumer.end_offsets([zero])[zero]
    late = int(time.time() * 1000) + 600_000
    try:
        producer.send(TOPIC, value=b"from the far future", partition=0, timestamp_ms=late + 7_200_000).get(LIMIT)
        sys.exit("WRONG: a timestamp hours ahead was taken")
    except kafka.errors.InvalidTimestampError as error:
        same("a timestamp more than an hour ahead is refused", 32, error.errno)
    for minute in range(3):
        producer.send(TOPIC, value=b"timed", partition=0, timestamp_ms=late + minute * 60_000).get(LIMIT)
    producer.close(LIMIT)
    found = consumer.offsets_for_times({zero: late + 1})[zero]
    same("offsets_for_times finds the first record at or after a time", (end + 1, late + 60_000), (found.offset, found.timestamp))
    same("a time before all finds the first record", 0, consumer.offsets_for_times({zero: 1})[zero].offset)
    same("a time after all finds nothing", None, consumer.offsets_for_times({zero: late + 999_999})[zero])
    same("the end has moved", end + 3, consumer.end_offsets([zero])[zero])
    until("the timed records are read", lambda: consumer.poll(timeout_ms=200) is not None and consumer.position(zero) == end + 3)


def transactions(admin):
    """Releases since 2.1 know transactions."""
    admin.create_topics([NewTopic(LEDGER, num_partitions=1, replication_factor=1)])
    producer = KafkaProducer(**REACH, transactional_id=PREFIX + "-writer")
    producer.init_transactions()
    ends = producer.commit_transaction, producer.abort_transaction
    for word, end in ((b"kept", ends[0]), (b"dropped", ends[1]), (b"kept too", ends[0])):
        producer.begin_transaction()
        producer.send(LEDGER, value=word).get(LIMIT)
        end()
    producer.close(LIMIT)
    partition = TopicPartition(LEDGER, 0)
    for level, expected in (("read_committed", [b"kept", b"kept too"]), ("read_uncommitted", [b"kept", b"dropped", b"kept too"])):
        consumer = KafkaConsumer(**REACH, isolation_level=level)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        same(level + " reads what it should", expected, [r.value for r in read(consumer, len(expected))])
        same("markers take offsets too", 6, consumer.end_offsets([partition])[partition])
        consumer.close()


def remove(admin):
    for consumer in MEMBERS:
        consumer.close()
    admin.delete_consumer_groups([GROUP])
    mine = [topic for topic in admin.list_topics() if topic.startswith(PREFIX)]
    admin.delete_topics(mine)
    until("deleted topics are gone", lambda: not set(mine) & set(admin.list_topics()))
    same("a deleted group is gone", [], [name for name, *_ in admin.list_consumer_groups() if name == GROUP])


def main():
    print("kafka-python", kafka.__version__, "Python", sys.version.split()[0])
    admin = KafkaAdminClient(**REACH)
    try:
        administration(admin)
        consuming(producing(), admin)
        if RELEASE >= (2, 1):
            transactions(admin)
    finally:
        remove(admin)
        admin.close()


main()

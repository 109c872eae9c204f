"""Owns what confluent-kafka (librdkafka of today) must show: transactions, fencing, offsets in transactions, administration.

Called with the broker's address and the prefix of everything it may create.
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
LIMIT = 20
# Every member there was, so that none keeps the group alive when a claim fails.
MEMBERS = []


def must(claim, expected, seen):
    if expected != seen:
        # Said at once: what follows is the removal, which may meet trouble of its own.
        print(f"WRONG: {claim}\n--- expected\n{expected!r}\n--- seen\n{seen!r}", flush=True)
        sys.exit(1)


def same(claim, expected, seen):
    must(claim, expected, seen)
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


def refused(claim, codes, action):
    try:
        action()
    except KafkaException as error:
        same(claim, True, error.args[0].code() in codes)
        return
    sys.exit(f"WRONG: {claim}: nothing was refused")


def only(futures):
    """The one answer of a request that asked for one thing."""
    (future,) = futures.values()
    return future.result(LIMIT)


def writer(name):
    producer = Producer({"bootstrap.servers": BROKER, "transactional.id": f"{PREFIX}-{name}", "linger.ms": 0})
    producer.init_transactions(LIMIT)
    return producer


def put(producer, topic, values, partition=0):
    """Writes and waits for the acknowledgements, so that what is aborted was in the log; returns the offsets."""
    offsets, now = [], int(time.time() * 1000)

    def delivered(error, message):
        must(f"{message.value()!r} is acknowledged", None, error)
        offsets.append(message.offset())

    for index, value in enumerate(values):
        more = {"headers": {"h": value}, "timestamp": now + index, "on_delivery": delivered}
        producer.produce(topic, value, key=b"k:" + value, partition=partition, **more)
    must("nothing is left in the queue", 0, producer.flush(LIMIT))
    return offsets


def read(level, partition, begin=0):
    """All records of a partition that this isolation level can see now, up to the end that it is told."""
    consumer = Consumer(
        {
            "bootstrap.servers": BROKER,
            "group.id": PREFIX + "-nobody",
            "enable.auto.commit": False,
            "isolation.level": level,
            "enable.partition.eof": True,
            "check.crcs": True,
        }
    )
    consumer.assign([TopicPartition(partition.topic, partition.partition, begin)])
    seen, deadline = [], time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is None:
            continue
        if message.error():
            if message.error().code() == KafkaError._PARTITION_EOF:
                consumer.close()
                return seen
            sys.exit(f"WRONG: reading {partition}: {message.error()}")
        must("key and headers belong to the value", (b"k:" + message.value(), [("h", message.value())]), (message.key(), message.headers()))
        seen.append((message.offset(), message.value()))
    sys.exit(f"WRONG: {level} did not reach the end of {partition} within {LIMIT} s; seen {seen!r}")


def offset_of(admin, partition, spec, **more):
    answer = only(admin.list_offsets({partition: spec}, request_timeout=LIMIT, **more))
    return answer.offset


def stable_end(admin, partition):
    return offset_of(admin, partition, OffsetSpec.latest(), isolation_level=IsolationLevel.READ_COMMITTED)


def transactions(admin):
    results = TopicPartition(RESULTS, 0)
    producer = writer("writer")
    producer.begin_transaction()
    same("offsets begin at 0", [0, 1], put(producer, RESULTS, [b"a", b"b"]))
    producer.commit_transaction(LIMIT)
    producer.begin_transaction()
    same("the commit marker took offset 2", [3], put(producer, RESULTS, [b"aborted"]))
    producer.abort_transaction(LIMIT)
    producer.begin_transaction()
    same("the abort marker took offset 4", [5], put(producer, RESULTS, [b"c"]))

    same("an open transaction hides from read_committed", [(0, b"a"), (1, b"b")], read("read_committed", results))
    everything = [(0, b"a"), (1, b"b"), (3, b"aborted"), (5, b"c")]
    same("read_uncommitted sees everything", everything, read("read_uncommitted", results))
    latest = OffsetSpec.latest()
    same("the last stable offset is before the open one", 5, stable_end(admin, results))
    same("the high watermark is behind it", 6, offset_of(admin, results, latest))

    second = writer("writer")
    until("a second producer of that id has the open transaction aborted", lambda: stable_end(admin, results) >= 7)
    same("one marker ends it", 7, stable_end(admin, results))
    refused("the first is fenced", {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH},
            lambda: producer.commit_transaction(LIMIT))
    second.begin_transaction()
    same("the second writes on", [7], put(second, RESULTS, [b"d"]))
    second.commit_transaction(LIMIT)
    same("read_committed reads what was committed", [(0, b"a"), (1, b"b"), (7, b"d")], read("read_committed", results))
    same("read_uncommitted reads all there was", [*everything, (7, b"d")], read("read_uncommitted", results))
    same("an empty transaction commits", None, empty(second))
    same("and leaves no trace", 9, offset_of(admin, results, latest))


def empty(producer):
    producer.begin_transaction()
    return producer.commit_transaction(LIMIT)


def member():
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
    MEMBERS.append(consumer)
    return consumer


def take(consumer, count):
    """Exactly that many records."""
    messages, deadline = [], time.monotonic() + LIMIT
    while len(messages) < count:
        if time.monotonic() > deadline:
            sys.exit(f"WRONG: {len(messages)} of {count} records within {LIMIT} s")
        message = consumer.poll(0.2)
        if message is not None:
            must("no error comes among the records", None, message.error())
            messages.append(message)
    return messages


def offsets_in_transactions(admin):
    orders = [TopicPartition(ORDERS, n) for n in (0, 1)]
    plain = Producer({"bootstrap.servers": BROKER, "enable.idempotence": True})
    put(plain, ORDERS, [b"order 0", b"order 1", b"order 2"], 0)
    put(plain, ORDERS, [b"order 3", b"order 4"], 1)
    begin = offset_of(admin, TopicPartition(RESULTS, 0), OffsetSpec.latest())

    producer, consumer = writer("processor"), member()
    messages = take(consumer, 5)
    same("the group reads all orders", [b"order %d" % n for n in range(5)], sorted(m.value() for m in messages))

    described = only(admin.describe_consumer_groups([GROUP], request_timeout=LIMIT))
    (one,) = described.members
    same("the group is described", (ConsumerGroupState.STABLE, "the only member", [(ORDERS, 0), (ORDERS, 1)]),
         (described.state, one.client_id, sorted((p.topic, p.partition) for p in one.assignment.topic_partitions)))

    def one_transaction(end):
        producer.begin_transaction()
        put(producer, RESULTS, [b"done: " + m.value() for m in messages])
        producer.send_offsets_to_transaction(consumer.position(orders), consumer.consumer_group_metadata(), LIMIT)
        end(LIMIT)

    one_transaction(producer.abort_transaction)
    same("an abort drops the offsets", [-1001, -1001], [p.offset for p in consumer.committed(orders, LIMIT)])
    one_transaction(producer.commit_transaction)
    same("a commit takes the offsets along", [3, 2], [p.offset for p in consumer.committed(orders, LIMIT)])
    same("each order is done once", sorted(b"done: order %d" % n for n in range(5)),
         sorted(value for _, value in read("read_committed", TopicPartition(RESULTS, 0), begin)))
    put(plain, ORDERS, [b"order 5"], 1)
    same("the group reads on", [b"order 5"], [m.value() for m in take(consumer, 1)])
    consumer.close()

    consumer = member()
    same("opened again, it goes on from the transaction's offsets", [b"order 5"], [m.value() for m in take(consumer, 1)])
    consumer.close()


def administration(admin):
    orders = TopicPartition(ORDERS, 0)
    same("earliest", 0, offset_of(admin, orders, OffsetSpec.earliest()))
    same("latest", 3, offset_of(admin, orders, OffsetSpec.latest()))
    # Each record's timestamp is a millisecond later than the one's before it.
    same("max timestamp is at the last record", 2, offset_of(admin, orders, OffsetSpec.max_timestamp()))
    same("a time before all", 0, offset_of(admin, orders, OffsetSpec.for_timestamp(1)))
    same("a time after all", -1, offset_of(admin, orders, OffsetSpec.for_timestamp(int(time.time() * 1000) + 3_600_000)))

    groups = admin.list_consumer_groups(request_timeout=LIMIT).result(LIMIT)
    same("the group is listed as empty", [ConsumerGroupState.EMPTY], [g.state for g in groups.valid if g.group_id == GROUP])

    def stands():
        answer = only(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP)], request_timeout=LIMIT))
        return sorted((p.partition, p.offset) for p in answer.topic_partitions)

    same("its offsets are listed", [(0, 3), (1, 2)], stands())
    only(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP, [TopicPartition(ORDERS, 0, 1)])], request_timeout=LIMIT))
    same("they can be altered", [(0, 1), (1, 2)], stands())

    topic = ConfigResource(ResourceType.TOPIC, ORDERS)

    def setting(name):
        return only(admin.describe_configs([topic], request_timeout=LIMIT))[name]

    def alter(operation, name, value=None):
        entry = ConfigEntry(name, value, incremental_operation=operation)
        altered = ConfigResource(ResourceType.TOPIC, ORDERS, incremental_configs=[entry])
        only(admin.incremental_alter_configs([altered], request_timeout=LIMIT))

    before = setting("retention.ms").value
    alter(AlterConfigOpType.SET, "retention.ms", "3600000")
    until("a setting is altered", lambda: setting("retention.ms").value == "3600000")
    same("it says where it comes from", False, setting("retention.ms").is_default)
    alter(AlterConfigOpType.APPEND, "cleanup.policy", "compact")
    until("a list grows", lambda: setting("cleanup.policy").value == "delete,compact")
    alter(AlterConfigOpType.SUBTRACT, "cleanup.policy", "compact")
    until("and shrinks", lambda: setting("cleanup.policy").value == "delete")
    alter(AlterConfigOpType.DELETE, "retention.ms")
    until("without it the default is back", lambda: setting("retention.ms").value == before)
    refused("an unknown setting is refused", {KafkaError.INVALID_CONFIG}, lambda: alter(AlterConfigOpType.SET, "no.such.setting", "1"))

    only(admin.create_partitions([NewPartitions(ORDERS, 4)], request_timeout=LIMIT))
    orders_topic = TopicCollection([ORDERS])
    until("partitions are added", lambda: len(only(admin.describe_topics(orders_topic, request_timeout=LIMIT)).partitions) == 4)
    refused("and never removed", {KafkaError.INVALID_PARTITIONS},
            lambda: only(admin.create_partitions([NewPartitions(ORDERS, 2)], request_timeout=LIMIT)))

    same("deleting records tells the new beginning", 2,
         only(admin.delete_records([TopicPartition(ORDERS, 0, 2)], request_timeout=LIMIT)).low_watermark)
    same("the log begins there", 2, offset_of(admin, orders, OffsetSpec.earliest()))
    same("what is left is read", [(2, b"order 2")], read("read_uncommitted", orders, 2))
    refused("more than there is cannot be deleted", {KafkaError.OFFSET_OUT_OF_RANGE},
            lambda: only(admin.delete_records([TopicPartition(ORDERS, 0, 99)], request_timeout=LIMIT)))

    cluster = admin.describe_cluster(request_timeout=LIMIT).result(LIMIT)
    same("the cluster has a controller among its nodes", True, cluster.controller.id in {node.id for node in cluster.nodes})
    only(admin.delete_consumer_groups([GROUP], request_timeout=LIMIT))
    refused("a group is deleted once", {KafkaError.GROUP_ID_NOT_FOUND},
            lambda: only(admin.delete_consumer_groups([GROUP], request_timeout=LIMIT)))


def main():
    print("confluent-kafka", confluent_kafka.version(), "librdkafka", confluent_kafka.libversion()[0], "Python", sys.version.split()[0])
    admin = AdminClient({"bootstrap.servers": BROKER})
    try:
        made = admin.create_topics([NewTopic(ORDERS, 2, 1), NewTopic(RESULTS, 1, 1)], request_timeout=LIMIT)
        same("topics are made", [None, None], [future.result(LIMIT) for future in made.values()])
        transactions(admin)
        offsets_in_transactions(admin)
        administration(admin)
    finally:
        for consumer in MEMBERS:
            consumer.close()
        for future in admin.delete_topics([ORDERS, RESULTS], request_timeout=LIMIT).values():
            future.exception(LIMIT)
        for future in admin.delete_consumer_groups([GROUP], request_timeout=LIMIT).values():
            future.exception(LIMIT)
    until("deleted topics are gone", lambda: not {ORDERS, RESULTS} & set(admin.list_topics(timeout=LIMIT).topics))


main()

//! A consumer of your own, judged by the metrics document that foodstream computes from the same records.
//!
//! ```text
//! cargo run --example judge_consumer
//! ```
//!
//! The consumer under test is plain rdkafka: it counts orders and failed orders of a topic. The expected result is not
//! written down anywhere: foodstream folds the records that were produced into its `MetricsDocument`. The comparison
//! finds what a consumer loses or counts twice when it crashes between processing a record and committing its offset.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "an example has its own clock, clients and output")]

use std::time::{Duration, Instant};

use foodstream::analytics::{CountsStore, Feed, Metrics, MetricsDocument};
use foodstream::broker::{BrokerConfig, Server};
use foodstream::domain::EventTime;
use foodstream::workload::{Buffers, Workload, WorkloadSettings};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message};
use serde::Deserialize;

const TOPIC: &str = "order-events";
const PARTITIONS: i32 = 3;
const ORDERS: u64 = 500;
const TIMEOUT: Duration = Duration::from_secs(20);

/// Produces a workload, runs the consumer in four ways and compares its counts with the document.
pub fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let server = runtime.block_on(Server::start(BrokerConfig::in_memory())).expect("the broker starts");
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", server.address().to_string());
    let admin: AdminClient<DefaultClientContext> = settings.create().expect("an admin client");
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).expect("a response");

    let expected = produce(&settings);
    println!("expected: {} orders, {} failed", expected.total_orders, expected.failed_orders);

    let expected = Counts { orders: expected.total_orders, failed: expected.failed_orders };
    let judge = |name, commit, crashes| {
        let counts = Counter { group: name, commit }.run(&settings, crashes);
        let verdict = if counts == expected { "correct" } else { "WRONG" };
        println!("{name}: {} orders, {} failed: {verdict}", counts.orders, counts.failed);
        counts
    };
    // Without a crash both are correct. A crash between the two steps shows the difference.
    assert_eq!(judge("commits-first", Commit::BeforeProcessing, false), expected);
    assert_eq!(
        judge("commits-first-and-crashes", Commit::BeforeProcessing, true).orders,
        expected.orders - 1,
        "at most once"
    );
    assert_eq!(judge("commits-last", Commit::AfterProcessing, false), expected);
    assert_eq!(
        judge("commits-last-and-crashes", Commit::AfterProcessing, true).orders,
        expected.orders + 1,
        "at least once"
    );

    runtime.block_on(server.stop()).expect("the broker stops");
}

/// Produces the workload and folds the same records into the document.
fn produce(settings: &ClientConfig) -> MetricsDocument {
    let producer: BaseProducer = settings.clone().set("enable.idempotence", "true").create().expect("a producer");
    let start = EventTime::parse("2026-01-01T12:00:00.000Z").expect("a time");
    let workload = Workload::new(WorkloadSettings::with_defaults(7, start)).expect("valid settings");
    let (mut buffers, mut tallies) = (Buffers::new(), CountsStore::default());
    for index in 0..ORDERS {
        let event = workload.event(index, &mut buffers);
        let record = BaseRecord::to(TOPIC).key(event.key);
        let record = if let Some(value) = event.value { record.payload(value) } else { record };
        producer.send(record).expect("queued");
        tallies.record(Feed::Orders, event.value);
    }
    producer.flush(TIMEOUT).expect("all records are acknowledged");
    let mut metrics = Metrics::default();
    metrics.add(&tallies);
    metrics.document()
}

/// What the consumer under test computes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    orders: u64,
    failed: u64,
}

/// When the consumer commits the offset of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Commit {
    BeforeProcessing,
    AfterProcessing,
}

/// The consumer under test.
struct Counter {
    group: &'static str,
    commit: Commit,
}

/// The fields of an order that it needs.
#[derive(Deserialize)]
struct Order {
    status: String,
}

impl Counter {
    /// Counts all records. If it crashes, it starts again from its committed offsets; its counts survive.
    fn run(&self, settings: &ClientConfig, crashes: bool) -> Counts {
        let mut counts = Counts::default();
        if crashes {
            self.consume(settings, &mut counts, ORDERS / 2);
        }
        self.consume(settings, &mut counts, u64::MAX);
        counts
    }

    /// Runs until the end of all partitions, or until it crashes between the two steps for the record with this number.
    fn consume(&self, settings: &ClientConfig, counts: &mut Counts, crash_at: u64) {
        let consumer: BaseConsumer = settings
            .clone()
            .set("group.id", self.group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "true")
            .create()
            .expect("a consumer");
        consumer.subscribe(&[TOPIC]).expect("subscribed");
        let (mut finished, mut seen) = (0, 0);
        let deadline = Instant::now() + TIMEOUT;
        while finished < PARTITIONS {
            assert!(Instant::now() < deadline, "{} has read {} orders within {TIMEOUT:?}", self.group, counts.orders);
            let message = match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => message,
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => {
                    finished += 1;
                    continue;
                }
                Some(Err(error)) => panic!("{error}"),
                None => continue,
            };
            seen += 1;
            let commit = || consumer.commit_message(&message, CommitMode::Sync).expect("committed");
            if self.commit == Commit::BeforeProcessing {
                commit();
                if seen == crash_at {
                    return;
                }
            }
            let order: Order = serde_json::from_slice(message.payload().expect("a value")).expect("an order");
            counts.orders += 1;
            counts.failed += u64::from(order.status == "failed");
            if self.commit == Commit::AfterProcessing {
                if seen == crash_at {
                    return;
                }
                commit();
            }
        }
    }
}

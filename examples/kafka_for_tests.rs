//! Kafka for tests: an embedded broker in the test's own process, with injected faults and a clock that the test moves.
//!
//! ```text
//! cargo run --example kafka_for_tests
//! ```
//!
//! A test that needs Kafka usually starts a container and waits. This broker starts in milliseconds on a free port,
//! keeps its data in memory, and speaks Kafka's protocol, so that any client can connect: this example uses rdkafka. It
//! shows what is hard to test against a real cluster:
//!
//! 1. Lost and failed requests: an idempotent producer writes each record exactly once.
//! 2. Retention of one hour, without waiting for an hour.
//! 3. A transaction whose producer stopped, until it times out.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "an example has its own clock, clients and output")]

use std::time::{Duration, Instant};

use foodstream::broker::{ApiKey, BrokerConfig, Clock, Fault, FaultRule, Faults, ResponseError, Server};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio::runtime::{Builder, Runtime};

/// Timeout of every step: a test that hangs should say where.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Runs the three scenarios on one broker.
pub fn main() {
    // The broker runs on a tokio runtime, the clients on their own threads.
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let config = BrokerConfig::in_memory();
    // Clock and faults are shared with the broker: keep a clone of each before the start.
    let (clock, faults) = (config.clock.clone(), config.faults.clone());
    let server = runtime.block_on(Server::start(config)).expect("the broker starts");
    let kafka = Kafka { bootstrap_servers: server.address().to_string(), runtime: &runtime };
    println!("a broker in this process: bootstrap.servers={}", kafka.bootstrap_servers);

    survives_faults(&kafka, &faults);
    expires_records(&kafka, &clock);
    times_out_a_transaction(&kafka, &clock);

    runtime.block_on(server.stop()).expect("the broker stops");
}

/// Two produce requests fail with a retriable error, and the response to a third one is lost after the broker has
/// applied it. The producer sends the batch again each time, and the broker recognizes the duplicate by its sequence
/// number.
fn survives_faults(kafka: &Kafka<'_>, faults: &Faults) {
    kafka.create_topic("payments", &[]);
    faults.add(FaultRule::new(ApiKey::Produce, Fault::Refuse(ResponseError::NotEnoughReplicas)).times(2));
    faults.add(FaultRule::new(ApiKey::Produce, Fault::ApplyAndCut).only(3));

    let producer: BaseProducer = kafka
        .settings()
        .set("enable.idempotence", "true")
        .set("retry.backoff.ms", "20")
        .create()
        .expect("an idempotent producer");
    producer.send(BaseRecord::to("payments").key("order-1").payload("9.90")).expect("queued");
    producer.flush(TIMEOUT).expect("acknowledged in the end");

    assert_eq!(faults.done(), 3, "all three faults happened");
    assert_eq!(kafka.offsets("payments"), (0, 1), "and the record is there once");
    println!("faults: 2 errors and 1 lost response, and the record was written once");
    faults.clear();
}

/// A topic keeps its records for an hour. The test moves the broker's clock by two hours instead of waiting.
fn expires_records(kafka: &Kafka<'_>, clock: &Clock) {
    kafka.create_topic("sessions", &[("retention.ms", "3600000")]);
    let producer: BaseProducer = kafka.settings().create().expect("a producer");
    producer.send(BaseRecord::to("sessions").key("user-1").payload("logged in")).expect("queued");
    producer.flush(TIMEOUT).expect("acknowledged");
    assert_eq!(kafka.offsets("sessions"), (0, 1));

    clock.advance(Duration::from_hours(2));

    // Everything that is due by the new time happens at once, on the broker's own thread.
    wait_until("the record has expired", || kafka.offsets("sessions") == (1, 1));
    println!("retention: the record expired after two hours of the broker's clock");
}

/// A producer opens a transaction and stops, as after a crash. Readers of committed records wait behind it until the
/// broker aborts the transaction.
fn times_out_a_transaction(kafka: &Kafka<'_>, clock: &Clock) {
    kafka.create_topic("orders", &[]);
    let stuck: BaseProducer = kafka
        .settings()
        .set("transactional.id", "checkout")
        .set("transaction.timeout.ms", "60000")
        .create()
        .expect("a transactional producer");
    stuck.init_transactions(TIMEOUT).expect("a producer id");
    stuck.begin_transaction().expect("begun");
    stuck.send(BaseRecord::to("orders").key("order-1").payload("never committed")).expect("queued");
    stuck.flush(TIMEOUT).expect("written");

    let other: BaseProducer = kafka.settings().create().expect("a producer");
    other.send(BaseRecord::to("orders").key("order-2").payload("behind it")).expect("queued");
    other.flush(TIMEOUT).expect("written");

    let consumer: BaseConsumer = kafka
        .settings()
        .set("group.id", "kitchen")
        .set("isolation.level", "read_committed")
        .create()
        .expect("a consumer");
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset("orders", 0, Offset::Beginning).expect("a partition");
    consumer.assign(&partitions).expect("assigned");
    assert!(consumer.poll(Duration::from_millis(500)).is_none(), "the open transaction blocks the reader");

    clock.advance(Duration::from_secs(61));

    let mut payload = None;
    wait_until("the broker has aborted the transaction", || {
        let message = consumer.poll(Duration::from_millis(100)).map(|message| message.expect("a message"));
        payload = message.and_then(|message| message.payload().map(<[u8]>::to_vec));
        payload.is_some()
    });
    assert_eq!(payload.as_deref(), Some(&b"behind it"[..]), "the aborted record is not delivered");
    assert!(stuck.commit_transaction(TIMEOUT).is_err(), "the late commit is refused");
    println!("transaction: aborted after 61 seconds of the broker's clock");
}

/// The broker as its clients see it.
struct Kafka<'a> {
    bootstrap_servers: String,
    runtime: &'a Runtime,
}

impl Kafka<'_> {
    fn settings(&self) -> ClientConfig {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", &self.bootstrap_servers);
        settings
    }

    /// Creates a topic with one partition.
    fn create_topic(&self, name: &str, configs: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.settings().create().expect("an admin client");
        let mut topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        for (key, value) in configs {
            topic = topic.set(key, value);
        }
        let created = self.runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).expect("a response");
        for result in created {
            result.expect("created");
        }
    }

    /// Log start offset and high watermark of partition 0.
    fn offsets(&self, topic: &str) -> (i64, i64) {
        let consumer: BaseConsumer = self.settings().create().expect("a client");
        consumer.fetch_watermarks(topic, 0, TIMEOUT).expect("offsets")
    }
}

/// Waits for a condition, and names it when the time is up.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {TIMEOUT:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

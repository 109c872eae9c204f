//! Benchmarks of the embedded broker: records per second compared with a Kafka under the same client, memory, and the
//! time to the first order.
//!
//! `cargo bench --bench brokers` measures the embedded broker, in memory and on disk. With
//! `FOODSTREAM_TEST_BROKER=host:port` it also measures that Kafka, in alternating rounds. `FOODSTREAM_BENCH_RECORDS`
//! sets the number of records (2000000), `FOODSTREAM_BENCH_ROUNDS` the number of rounds (3). Where memory can be
//! limited (Linux, as root), a broker on disk also runs with less memory than its data.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark uses the clock, the environment, its own clients and stdout"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const PARTITIONS: i32 = 6;
const BYTES: usize = 300;
const TIMEOUT: Duration = Duration::from_mins(5);

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A broker process.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(args: &[&str], dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_foodstream"))
            .args(["broker", "--listen", "127.0.0.1:0"])
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line
            .split(|byte: char| !(byte.is_ascii_digit() || byte == '.' || byte == ':'))
            .find(|word| word.starts_with("127.0.0.1:"))
            .unwrap_or_else(|| panic!("no address in {line:?}"));
        Self { address: address.to_owned(), child }
    }

    /// Resident memory in MB: current, without mapped files, and peak.
    fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
            line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) / 1024
        };
        (field("VmRSS:"), field("VmHWM:"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn create(broker: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker).create().expect("an admin client");
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let topic = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        admin.create_topics([&topic], &options).await.expect("asked")[0].as_ref().expect("created");
    });
}

/// Seconds until this many records are produced and acknowledged.
fn produce(broker: &str, topic: &str, records: u64) -> f64 {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .set("batch.size", "1000000")
        .set("delivery.report.only.error", "true")
        .set("reconnect.backoff.ms", "20")
        .create()
        .expect("a producer");
    let payload = [b'x'; BYTES];
    let start = Instant::now();
    for index in 0..records {
        let partition = i32::try_from(index / 1_000 % u64::from(PARTITIONS.unsigned_abs())).expect("small");
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(partition).payload(&payload);
        while let Err((_, refused)) = producer.send(record) {
            record = refused;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    producer.flush(TIMEOUT).expect("flushed");
    start.elapsed().as_secs_f64()
}

/// Seconds until all records are consumed.
fn consume(broker: &str, topic: &str, records: u64) -> f64 {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.min.messages", "100000")
        .set("max.partition.fetch.bytes", "8388608")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("listed");
    }
    let start = Instant::now();
    consumer.assign(&list).expect("assigned");
    let (mut seen, mut bytes) = (0, 0);
    while seen < records {
        assert!(start.elapsed() < TIMEOUT, "only {seen} of {records} records were consumed");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            seen += 1;
            bytes += message.payload_len();
        }
    }
    assert_eq!(bytes as u64, records * BYTES as u64);
    start.elapsed().as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> String {
    figures.sort_by(f64::total_cmp);
    let at = |index: usize| figures.get(index).copied().unwrap_or_default();
    format!("{:.3} s ({:.3} to {:.3})", at(figures.len() / 2), at(0), at(figures.len().saturating_sub(1)))
}

fn throughput(records: u64, rounds: u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let memory = Process::start(&["--memory"], dir.path());
    let data = dir.path().join("data");
    let files = Process::start(&["--data", data.to_str().expect("a path")], dir.path());
    let kafka = std::env::var("FOODSTREAM_TEST_BROKER").ok().filter(|broker| !broker.is_empty());
    let mut brokers =
        vec![("embedded, in memory", memory.address.clone()), ("embedded, on disk", files.address.clone())];
    brokers.extend(kafka.map(|kafka| ("Kafka", kafka)));
    println!(
        "{records} records of {BYTES} bytes, {PARTITIONS} partitions, idempotent; median of {rounds} (least to most)"
    );
    let mut figures = vec![(Vec::new(), Vec::new()); brokers.len()];
    for round in 0..rounds {
        for ((_, broker), (produced, consumed)) in brokers.iter().zip(&mut figures) {
            let topic = format!("bench-{}-{round}", std::process::id());
            create(broker, &topic);
            produced.push(produce(broker, &topic, records));
            consumed.push(consume(broker, &topic, records));
            if *broker == memory.address {
                // The next round starts with the same free memory as this one.
                delete(broker, &topic);
            }
        }
    }
    for ((name, _), (produced, consumed)) in brokers.iter().zip(figures) {
        println!("{name:<22} produce {:<28} consume {}", median(produced), median(consumed));
    }
    let (now, peak) = files.memory();
    println!("memory of the broker on disk: {now} MB resident, {peak} MB at its peak");
}

fn delete(broker: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker).create().expect("an admin client");
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        admin.delete_topics(&[topic], &AdminOptions::new()).await.expect("asked")[0].as_ref().expect("deleted");
    });
}

/// Seconds that a process needs for one order.
fn one_order(args: &[&str], dir: &Path) -> f64 {
    let start = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_foodstream"))
        .args(["produce", "--count", "1", "-q"])
        .args(args)
        .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
        .env("FOODSTREAM_BROKER_IDLE", "1s")
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .expect("ended");
    assert!(status.success());
    start.elapsed().as_secs_f64()
}

fn first_order(rounds: u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let running = Process::start(&["--data", "data"], dir.path());
    let (mut started, mut running_broker) = (Vec::new(), Vec::new());
    for round in 0..rounds * 3 {
        let name = format!("embedded:{}", dir.path().join(format!("new{round}")).display());
        started.push(one_order(&["-b", &name], dir.path()));
        let prefix = format!("p{round}.");
        running_broker.push(one_order(&["-b", &running.address, "--prefix", &prefix], dir.path()));
    }
    println!("one order, no broker running: {}", median(started));
    println!("one order, a broker running:  {}", median(running_broker));
}

/// A memory limit for processes, including their share of the page cache; removed when dropped.
struct Limit(PathBuf);

impl Limit {
    /// Uses control groups version 1 or 2; `None` if this user may not create one.
    fn new(megabytes: u64) -> Option<Self> {
        let name = format!("foodstream-bench-{}", std::process::id());
        [("memory", "memory.limit_in_bytes"), ("", "memory.max")].into_iter().find_map(|(controller, limit)| {
            let group = Path::new("/sys/fs/cgroup").join(controller).join(&name);
            std::fs::create_dir(&group).ok()?;
            let group = Self(group);
            std::fs::write(group.0.join(limit), (megabytes << 20).to_string()).ok()?;
            Some(group)
        })
    }

    fn add(&self, process: &Process) {
        std::fs::write(self.0.join("cgroup.procs"), process.child.id().to_string()).expect("limited");
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        std::fs::remove_dir(&self.0).ok();
    }
}

/// Memory of the broker when its data is larger than the page cache.
fn beyond_the_page_cache(records: u64) {
    let data = (records * BYTES as u64) >> 20;
    let Some(limit) = Limit::new(data / 4) else {
        println!("more data than the page cache holds: not measured, because this user cannot limit memory");
        return;
    };
    let dir = tempfile::tempdir().expect("a folder");
    {
        let files = Process::start(&["--data", "data"], dir.path());
        limit.add(&files);
        create(&files.address, "bench");
        produce(&files.address, "bench", records);
        consume(&files.address, "bench", records);
        let (now, peak) = files.memory();
        println!(
            "{data} MB of data, {} MB for broker and page cache: {now} MB resident, {peak} MB at its peak",
            data / 4
        );
    }
}

fn main() {
    // `cargo test` also runs benchmarks, to check that they start.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let rounds = number("FOODSTREAM_BENCH_ROUNDS", 3);
    first_order(rounds);
    let records = number("FOODSTREAM_BENCH_RECORDS", 2_000_000);
    throughput(records, rounds);
    beyond_the_page_cache(records);
}

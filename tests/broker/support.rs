//! Owns a laboratory: a topic prefix and a folder of its own, the program run in it, and a look at the topics that does
//! not go through the program's own code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use super::clients::Clients;

pub use super::process::{Run, Running};

/// No single step of a test takes longer; whoever hits it has found a hang.
pub const BOUND: Duration = Duration::from_mins(3);

/// Waits until something holds, and fails with what was missing.
pub fn until<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = holds() {
            return value;
        }
        assert!(start.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// A record to be written: partition, key and value.
pub type Put<'a> = (i32, Option<&'a [u8]>, Option<&'a [u8]>);

/// A record as it stands on a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub timestamp: i64,
}

impl Stored {
    /// The value as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(self.value.as_deref().expect("a value")).expect("a JSON value")
    }
}

/// One test's place on the broker and on disk.
pub struct Lab {
    pub broker: String,
    pub prefix: String,
    folder: tempfile::TempDir,
    clients: Clients,
}

impl Lab {
    pub fn new(name: &str, broker: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
        Self {
            broker: broker.to_owned(),
            prefix: format!("t{since}-{}-{number}-{name}.", std::process::id()),
            folder: tempfile::tempdir().expect("a folder"),
            clients: Clients::default(),
        }
    }

    /// Another topic set of the same test.
    pub fn other(&self, name: &str) -> Self {
        Self {
            broker: self.broker.clone(),
            prefix: format!("{}{name}.", self.prefix),
            folder: tempfile::tempdir().expect("a folder"),
            clients: Clients::default(),
        }
    }

    /// A topic set with this prefix.
    pub fn named(&self, prefix: &str) -> Self {
        let mut lab = self.other("");
        prefix.clone_into(&mut lab.prefix);
        lab
    }

    /// The same place on another broker.
    pub fn on(&self, broker: &str) -> Self {
        let mut lab = self.other("");
        broker.clone_into(&mut lab.broker);
        lab
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The program with the words of a command line, in this laboratory.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foodstream"));
        command
            .args(words.split_whitespace())
            .args(["-b", &self.broker, "--prefix", &self.prefix])
            .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub fn start(&self, words: &str) -> Running {
        Running::start(self.command(words), words)
    }

    pub fn run(&self, words: &str) -> Run {
        self.start(words).end()
    }

    /// The JSON document of a command that ends with 0.
    pub fn document(&self, words: &str) -> Value {
        self.run(&format!("{words} --output json")).expect(0).document()
    }

    /// A client that asks and belongs to no group.
    pub fn look(&self, isolation: &str) -> Arc<BaseConsumer> {
        self.of_group(isolation, "look")
    }

    /// A client in the name of a group that it never joins. The name is a whole one.
    pub fn of_group(&self, isolation: &str, group: &str) -> Arc<BaseConsumer> {
        self.clients.get(&self.broker, isolation, group)
    }

    /// The names of the cluster's topics that begin with this laboratory's prefix.
    pub fn topics(&self) -> Vec<String> {
        let consumer = self.look("read_committed");
        let metadata = consumer.client().fetch_metadata(None, BOUND).expect("metadata");
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        names.filter(|name| name.starts_with(&self.prefix)).collect()
    }

    pub fn partitions(&self, topic: &str) -> i32 {
        let topic = self.topic(topic);
        let metadata = self.look("read_committed").client().fetch_metadata(Some(&topic), BOUND).expect("metadata");
        let topic = metadata.topics().iter().find(|found| found.name() == topic).expect("the topic");
        i32::try_from(topic.partitions().len()).expect("a count")
    }

    /// (log start, high watermark) of every partition.
    pub fn watermarks(&self, topic: &str) -> Vec<(i64, i64)> {
        let name = self.topic(topic);
        let consumer = self.look("read_uncommitted");
        (0..self.partitions(topic))
            .map(|partition| consumer.fetch_watermarks(&name, partition, BOUND).expect("watermarks"))
            .collect()
    }

    /// The last stable offset of every partition.
    pub fn stable_ends(&self, topic: &str) -> Vec<i64> {
        let (name, consumer) = (self.topic(topic), self.look("read_committed"));
        (0..self.partitions(topic))
            .map(|partition| consumer.fetch_watermarks(&name, partition, BOUND).expect("watermarks").1)
            .collect()
    }

    /// Every record of a topic that a reader of committed records gets, by partition and offset.
    pub fn read(&self, topic: &str) -> Vec<Stored> {
        self.read_as(topic, "read_committed")
    }

    /// Every record of a topic for an isolation level.
    pub fn read_as(&self, topic: &str, isolation: &str) -> Vec<Stored> {
        let name = self.topic(topic);
        let mut records = Vec::new();
        let ranges = self.watermarks(topic);
        let mut list = TopicPartitionList::new();
        for (partition, (low, high)) in (0..).zip(&ranges) {
            if low < high {
                list.add_partition_offset(&name, partition, Offset::Offset(*low)).expect("listed");
            }
        }
        // A transaction that is open now is waited for; then the first end that the reading meets is behind all of it.
        if isolation == "read_committed" {
            until("open transactions end", || self.is_stable(topic, &ranges).then_some(()));
        }
        let mut unread: BTreeSet<i32> = list.elements().iter().map(TopicPartitionListElem::partition).collect();
        let (_one_at_a_time, consumer) = (self.clients.reading(), self.look(isolation));
        consumer.assign(&list).expect("assigned");
        let start = Instant::now();
        while !unread.is_empty() {
            assert!(start.elapsed() < BOUND, "{name} cannot be read to its end");
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => records.push(stored(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(unread.remove(&partition)),
                // Errors that tell of a broker that was away for a while; this client has looked at it before.
                None | Some(Err(KafkaError::MessageConsumption(Rd::AllBrokersDown | Rd::BrokerTransportFailure))) => {}
                Some(Err(error)) => panic!("{name}: {error}"),
            }
        }
        consumer.unassign().expect("unassigned");
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// Whether some partition ends in a transaction that is still open.
    pub fn has_open_transaction(&self, topic: &str) -> bool {
        !self.is_stable(topic, &self.watermarks(topic))
    }

    fn is_stable(&self, topic: &str, ranges: &[(i64, i64)]) -> bool {
        self.stable_ends(topic).iter().zip(ranges).all(|(stable, (_, high))| stable >= high)
    }

    /// The group's committed offsets on a topic, by partition.
    pub fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        let name = self.topic(topic);
        let consumer = self.of_group("read_committed", &self.topic(group));
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&name, 0, self.partitions(topic) - 1);
        let offsets = consumer.committed_offsets(list, BOUND).expect("committed offsets");
        offsets.elements().iter().map(|place| place.offset().to_raw().filter(|offset| *offset >= 0)).collect()
    }

    /// The sum of the group's committed offsets on a topic; does not wait for pending ones, so it never stands still
    /// behind a killed writer.
    pub fn progress(&self, group: &str, topic: &str) -> i64 {
        let name = self.topic(topic);
        let consumer = self.of_group("read_uncommitted", &self.topic(group));
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&name, 0, self.partitions(topic) - 1);
        let offsets = consumer.committed_offsets(list, BOUND).expect("committed offsets");
        offsets.elements().iter().filter_map(|place| place.offset().to_raw()).filter(|offset| *offset >= 0).sum()
    }

    /// The ids of the group's members.
    pub fn members(&self, group: &str) -> Vec<String> {
        let name = self.topic(group);
        let list = self.look("read_uncommitted").client().fetch_group_list(Some(&name), BOUND);
        let list = list.expect("the group");
        let mut members: Vec<String> = list
            .groups()
            .iter()
            .flat_map(|group| group.members().iter().map(|member| member.id().to_owned()))
            .collect();
        members.sort();
        members
    }

    /// Writes records, each acknowledged.
    pub fn put(&self, topic: &str, records: &[Put<'_>]) {
        let name = self.topic(topic);
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &self.broker).set("acks", "all").create().expect("a producer");
        for (partition, key, value) in records {
            let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&name).partition(*partition);
            record.key = *key;
            record.payload = *value;
            producer.send(record).map_err(|(error, _)| error).expect("sent");
        }
        producer.flush(BOUND).expect("flushed");
    }

    /// An administration client and the runtime that drives it.
    pub fn admin<T>(&self, work: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> T) -> T {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.broker).create().expect("an admin client");
        let options = AdminOptions::new().operation_timeout(Some(BOUND));
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(work(&admin, &options))
    }

    pub fn delete_topic(&self, topic: &str) {
        let name = self.topic(topic);
        self.admin(async |admin, options| {
            admin.delete_topics(&[&name], options).await.expect("asked")[0].as_ref().expect("deleted");
        });
        until("the topic goes away", || {
            let metadata = self.look("read_committed").client().fetch_metadata(None, BOUND);
            let metadata = metadata.expect("metadata");
            (!metadata.topics().iter().any(|found| found.name() == name)).then_some(())
        });
    }

    pub fn create_topic(&self, topic: &str, partitions: i32) {
        let name = self.topic(topic);
        self.admin(async |admin, options| {
            let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
            admin.create_topics([&topic], options).await.expect("asked")[0].as_ref().expect("created");
        });
        until("the topic appears", || {
            let consumer = self.look("read_committed");
            let metadata = consumer.client().fetch_metadata(None, BOUND).expect("metadata");
            metadata
                .topics()
                .iter()
                .any(|found| {
                    found.name() == name && found.partitions().len() == usize::try_from(partitions).expect("a count")
                })
                .then_some(())
        });
    }

    /// Deletes the records of a partition below an offset.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let name = self.topic(topic);
        self.admin(async |admin, options| {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&name, partition, Offset::Offset(before)).expect("listed");
            admin.delete_records(&list, options).await.expect("deleted");
        });
    }

    /// Sets a group's offsets from outside, as Kafka's own tool does; the group has no members.
    pub fn set_offsets(&self, group: &str, topic: &str, offsets: &[(i32, i64)]) {
        let (name, consumer) = (self.topic(topic), self.of_group("read_uncommitted", &self.topic(group)));
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&name, *partition, Offset::Offset(*offset)).expect("listed");
        }
        consumer.commit(&list, CommitMode::Sync).expect("committed");
    }

    /// Deletes a group with its offsets; it has no members.
    pub fn delete_group(&self, group: &str) {
        let name = self.topic(group);
        self.admin(async |admin, options| {
            admin.delete_groups(&[&name], options).await.expect("asked")[0].as_ref().expect("deleted");
        });
    }

    /// Makes this the only config that is set for a topic.
    pub fn set_config(&self, topic: &str, key: &str, value: &str) {
        let name = self.topic(topic);
        self.admin(async |admin, options| {
            let config = AlterConfig::new(ResourceSpecifier::Topic(&name)).set(key, value);
            admin.alter_configs([&config], options).await.expect("asked")[0].as_ref().expect("altered");
        });
    }

    /// Whether the broker is a Kafka, to which Kafka's own tools belong.
    pub fn is_kafka(&self) -> bool {
        super::brokers::named().is_some_and(|named| named == self.broker)
    }

    /// One of Kafka's own tools; its stdout.
    pub fn tool(&self, name: &str, words: &str) -> String {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
        let output = Command::new(script)
            .args(["tool", name, "--bootstrap-server", &self.broker])
            .args(words.split_whitespace())
            .stdin(Stdio::null())
            .output()
            .expect("the tool runs");
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name} {words}:\n{stdout}\n{stderr}");
        stdout.into_owned()
    }
}

fn stored(message: &rdkafka::message::BorrowedMessage<'_>) -> Stored {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect()
    });
    Stored {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
    }
}

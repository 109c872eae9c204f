//! Changes to topics and groups with clients that do not use the program's code.

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::support::{STEP_TIMEOUT, TestEnv, until};

/// A record to write: partition, key and value.
pub type NewRecord<'a> = (i32, Option<&'a [u8]>, Option<&'a [u8]>);

/// A topic to create: its name without the prefix, its partitions and its settings.
pub type TopicPlan<'a> = (&'a str, i32, &'a [(&'a str, &'a str)]);

impl TestEnv {
    /// Writes records and waits for their acknowledgement.
    pub fn put(&self, topic: &str, records: &[NewRecord<'_>]) {
        let name = self.topic(topic);
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &self.broker).set("acks", "all").create().expect("a producer");
        for (partition, key, value) in records {
            let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&name).partition(*partition);
            record.key = *key;
            record.payload = *value;
            producer.send(record).map_err(|(error, _)| error).expect("sent");
        }
        producer.flush(STEP_TIMEOUT).expect("flushed");
    }

    /// Runs admin requests.
    pub fn admin<T>(&self, work: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> T) -> T {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.broker).create().expect("an admin client");
        let options = AdminOptions::new().operation_timeout(Some(STEP_TIMEOUT));
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(work(&admin, &options))
    }

    pub fn delete_topic(&self, topic: &str) {
        let name = self.topic(topic);
        self.admin(async |admin, options| {
            admin.delete_topics(&[&name], options).await.expect("a response")[0].as_ref().expect("deleted");
        });
        until("the topic is deleted", || (!self.topics().contains(&name)).then_some(()));
    }

    pub fn create_topic(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        self.create_topics(&[(topic, partitions, settings)]);
    }

    /// Creates topics with their partitions and settings.
    pub fn create_topics(&self, topics: &[TopicPlan<'_>]) {
        let names: Vec<String> = topics.iter().map(|(topic, ..)| self.topic(topic)).collect();
        self.admin(async |admin, options| {
            let new: Vec<NewTopic<'_>> = std::iter::zip(&names, topics)
                .map(|(name, (_, partitions, settings))| {
                    let new = NewTopic::new(name, *partitions, TopicReplication::Fixed(1));
                    settings.iter().fold(new, |new, (key, value)| new.set(key, value))
                })
                .collect();
            let created = admin.create_topics(&new, options).await.expect("a response");
            assert!(created.iter().all(Result::is_ok), "{created:?}");
        });
        until("the topics exist", || {
            let found = self.topics();
            let have_partitions = |(topic, partitions, _): &TopicPlan<'_>| self.partitions(topic) == *partitions;
            (names.iter().all(|name| found.contains(name)) && topics.iter().all(have_partitions)).then_some(())
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

    /// Sets a group's offsets from outside, like Kafka's own tool. The group must have no members.
    pub fn set_offsets(&self, group: &str, topic: &str, offsets: &[(i32, i64)]) {
        let (name, consumer) = (self.topic(topic), self.group_consumer("read_uncommitted", &self.topic(group)));
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&name, *partition, Offset::Offset(*offset)).expect("listed");
        }
        consumer.commit(&list, CommitMode::Sync).expect("committed");
    }

    /// Deletes a group with its offsets. The group must have no members.
    pub fn delete_group(&self, group: &str) {
        let name = self.topic(group);
        self.admin(async |admin, options| {
            admin.delete_groups(&[&name], options).await.expect("a response")[0].as_ref().expect("deleted");
        });
    }

    /// Sets this config of a topic and resets all others.
    pub fn set_config(&self, topic: &str, key: &str, value: &str) {
        let name = self.topic(topic);
        self.admin(async |admin, options| {
            let config = AlterConfig::new(ResourceSpecifier::Topic(&name)).set(key, value);
            admin.alter_configs([&config], options).await.expect("a response")[0].as_ref().expect("altered");
        });
        self.until_config(topic, key, value);
    }

    /// Waits until a config has this value: Kafka confirms a change a moment before it is visible.
    pub fn until_config(&self, topic: &str, key: &str, value: &str) {
        let name = self.topic(topic);
        until("the config is set", || {
            let described = self.admin(async |admin, options| {
                admin.describe_configs([&ResourceSpecifier::Topic(&name)], options).await.expect("a response").remove(0)
            });
            let config = described.expect("described");
            (config.get(key).and_then(|entry| entry.value.as_deref()) == Some(value)).then_some(())
        });
    }
}

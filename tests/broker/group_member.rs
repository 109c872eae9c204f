//! Consumers that are members of a group.

use std::ops::Deref;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::support::{TestEnv, until};
use super::time_limit::within;

/// A group member that commits nothing; the library heartbeats in the background. It leaves the group when dropped.
pub struct GroupMember(Option<BaseConsumer>);

impl GroupMember {
    /// Subscribes to a topic without waiting for partitions. Group and topic are full names.
    pub fn start(env: &TestEnv, group: &str, topic: &str, settings: &[(&str, &str)]) -> Self {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &env.broker)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("reconnect.backoff.ms", "20");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        let consumer: BaseConsumer = config.create().expect("a consumer");
        consumer.subscribe(&[topic]).expect("subscribed");
        Self(Some(consumer))
    }

    /// Subscribes and waits until partitions are assigned.
    pub fn member(env: &TestEnv, group: &str, topic: &str, settings: &[(&str, &str)]) -> Self {
        let joined = Self::start(env, group, topic, settings);
        until("partitions are assigned", || {
            drop(joined.poll(Duration::from_millis(20)));
            (joined.assignment().expect("an assignment").count() > 0).then_some(())
        });
        joined
    }
}

impl Deref for GroupMember {
    type Target = BaseConsumer;

    fn deref(&self) -> &BaseConsumer {
        self.0.as_ref().expect("set until it is dropped")
    }
}

impl Drop for GroupMember {
    /// Closing during a rebalance may block forever: librdkafka 2.12 no longer serves rebalance replies once its group
    /// handle has ended, and the caller of `rd_kafka_assign` (in the callback that close serves) waits for the reply.
    /// Then the session timeout ends the membership.
    fn drop(&mut self) {
        let consumer = self.0.take();
        let leaves = move || {
            drop(consumer);
            Ok(())
        };
        within(Duration::from_secs(5), "leaves its group", leaves).unwrap_or_default();
    }
}

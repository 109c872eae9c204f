//! Owns consumers that are members of a group.

use std::ops::Deref;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::support::{TestEnv, until};
use super::time_limit::within;

/// A member of a group, which lives in the background and commits nothing. Dropped, it leaves.
pub struct GroupMember(Option<BaseConsumer>);

impl GroupMember {
    /// Subscribes to a topic, and does not wait for partitions. The names are whole ones.
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

    /// The same, once it has partitions.
    pub fn member(env: &TestEnv, group: &str, topic: &str, settings: &[(&str, &str)]) -> Self {
        let joined = Self::start(env, group, topic, settings);
        until("the member is given partitions", || {
            drop(joined.poll(Duration::from_millis(20)));
            (joined.assignment().expect("an assignment").count() > 0).then_some(())
        });
        joined
    }
}

impl Deref for GroupMember {
    type Target = BaseConsumer;

    fn deref(&self) -> &BaseConsumer {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for GroupMember {
    /// A member that closes during a rebalance may wait for ever: librdkafka 2.12 takes no answer to the rebalance any
    /// more once its group handle has ended, and the one who gives the answer waits for it to be taken
    /// (`rd_kafka_assign`, in the callback that the close serves). Then the session's timeout ends the membership.
    fn drop(&mut self) {
        let consumer = self.0.take();
        let leaves = move || {
            drop(consumer);
            Ok(())
        };
        within(Duration::from_secs(5), "leaves its group", leaves).unwrap_or_default();
    }
}

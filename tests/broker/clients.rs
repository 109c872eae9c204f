//! Cached consumers for inspecting the broker: creating and closing one takes longer than a request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;

/// Isolation level and group id of a client.
type Name = (String, String);

/// Consumers that never join their group.
#[derive(Default)]
pub struct Clients {
    kept: Mutex<BTreeMap<Name, Arc<BaseConsumer>>>,
    reading: Mutex<()>,
}

impl Clients {
    pub fn get(&self, broker: &str, isolation: &str, group: &str) -> Arc<BaseConsumer> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (isolation.to_owned(), group.to_owned());
        Arc::clone(kept.entry(name).or_insert_with(|| Arc::new(made(broker, isolation, group))))
    }

    /// Locks reading: a client has only one assignment at a time.
    pub fn reading(&self) -> MutexGuard<'_, ()> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn made(broker: &str, isolation: &str, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", isolation)
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("allow.auto.create.topics", "false")
        // The first metadata response closes the bootstrap connection, and a broker may come back: reconnect at once
        // instead of after a second.
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .set("fetch.wait.max.ms", "50")
        .set("fetch.queue.backoff.ms", "5")
        .create()
        .expect("a consumer")
}

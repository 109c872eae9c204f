//! Owns the clients through which a laboratory looks at the broker: made once, since making and closing one takes longer than
//! any answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;

/// An isolation level, and the group in whose name a client asks.
type Name = (String, String);

/// Consumers that never join the group of their name.
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

    /// Held by who reads records: a client is assigned one list of partitions at a time.
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
        // The first metadata reply retires the bootstrap connection; a look at a small topic should not take a second. And
        // a broker that comes back is found at once.
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .set("fetch.wait.max.ms", "50")
        .set("fetch.queue.backoff.ms", "5")
        .create()
        .expect("a consumer")
}

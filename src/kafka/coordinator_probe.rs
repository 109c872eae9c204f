//! Probe of the group coordinator while `send_offsets_to_transaction` is pending: detects a call that hangs.
//!
//! `rd_kafka_send_offsets_to_transaction` asks the transaction coordinator and then the group coordinator, whose broker
//! it caches. When that broker has left the metadata, the call waits until some other connection of its client opens or
//! closes, which may never happen (librdkafka 2.12.1, seen after kills of a coordinator; issues 5456 and 5511). The
//! call hangs when the producer's statistics show that the transaction coordinator has answered, and the group
//! coordinator answers a new client without that cache entry.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde::Deserialize;

use super::client_context::Context;
use super::connection::Connection;
use super::{error, inspector};
use crate::clock::{self, Deadline};

/// The timeout of the first attempt; later ones are longer, for a slow cluster.
const FIRST_ATTEMPT: Duration = Duration::from_secs(1);

/// The pause before the next attempt after an immediate error.
const PAUSE: Duration = Duration::from_millis(50);

/// How long the call may still take, at least, after the group coordinator has answered the probe.
const LEAST: Duration = Duration::from_secs(1);

/// `statistics.interval.ms` of a transactional producer.
pub(super) const STATISTICS_MILLIS: &str = "500";

/// How long the transaction coordinator must be silent before no more is expected from it. Requests that it refuses for
/// a moment are sent again sooner. If it refuses them for longer, the call may be given up too early, which costs a
/// recovery.
const QUIET: Duration = Duration::from_millis(500);

/// The transaction coordinator's state in a producer's statistics.
#[derive(Debug, Default)]
pub(super) struct TransactionCoordinator {
    /// Whether the statistics are needed: parsing them costs more than the rest of a short transaction.
    wanted: AtomicBool,
    answered: AtomicBool,
}

#[derive(Deserialize)]
struct Statistics {
    brokers: BTreeMap<String, Broker>,
}

/// As in librdkafka's STATISTICS.md.
#[derive(Deserialize)]
struct Broker {
    source: String,
    state: String,
    /// Requests that are queued or sent.
    outbuf_cnt: i64,
    waitresp_cnt: i64,
    /// Microseconds since the last response, or -1.
    rxidle: i64,
}

impl TransactionCoordinator {
    /// Takes a producer's statistics (JSON).
    pub fn take(&self, statistics: &[u8]) {
        if self.wanted.load(Ordering::Relaxed)
            && let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics)
        {
            self.answered.store(statistics.brokers.values().any(Broker::has_answered), Ordering::Relaxed);
        }
    }

    /// Whether the coordinator has answered and this producer has no pending request to it.
    fn has_answered(&self) -> bool {
        self.wanted.store(true, Ordering::Relaxed);
        self.answered.load(Ordering::Relaxed)
    }

    fn forget(&self) {
        self.wanted.store(false, Ordering::Relaxed);
        self.answered.store(false, Ordering::Relaxed);
    }
}

impl Broker {
    /// Whether this is the transaction coordinator (the only logical broker of a producer), and has answered.
    fn has_answered(&self) -> bool {
        let quiet = u64::try_from(self.rxidle).is_ok_and(|idle| Duration::from_micros(idle) >= QUIET);
        self.source == "logical" && self.state == "UP" && self.outbuf_cnt == 0 && self.waitresp_cnt == 0 && quiet
    }
}

/// Detects a call that should have returned, as the group coordinator answers another client.
pub(super) struct CoordinatorProbe<'a> {
    transaction: &'a TransactionCoordinator,
    connection: &'a Connection,
    group: &'a str,
    /// The partitions of the probe's offset requests.
    partitions: &'a TopicPartitionList,
    starts: Deadline,
    answers: Option<Receiver<Duration>>,
    overdue: Option<Deadline>,
}

impl<'a> CoordinatorProbe<'a> {
    /// A probe that starts after `silence` and runs until the connection's timeout.
    pub fn after(
        silence: Duration,
        transaction: &'a TransactionCoordinator,
        connection: &'a Connection,
        group: &'a str,
        partitions: &'a TopicPartitionList,
    ) -> Self {
        let starts = Deadline::after(silence);
        Self { transaction, connection, group, partitions, starts, answers: None, overdue: None }
    }

    /// Whether to give the call up. Call it every few milliseconds.
    pub fn is_overdue(&mut self) -> bool {
        let Some(answers) = &self.answers else {
            if self.starts.has_passed() {
                self.answers = Some(self.start());
            }
            return false;
        };
        let overdue = |took| Deadline::after(LEAST.max(took * inspector::ROUND_TRIPS));
        self.overdue = self.overdue.take().or_else(|| answers.try_recv().ok().map(overdue));
        self.transaction.has_answered() && self.overdue.as_ref().is_some_and(Deadline::has_passed)
    }

    /// Starts the probe. If that fails, no answer arrives, and the call keeps its whole timeout.
    fn start(&self) -> Receiver<Duration> {
        let (answered, answers) = mpsc::channel();
        let context = Context::new(self.connection);
        if let Ok(client) = inspector::client(self.connection, &context, self.group, "read_uncommitted") {
            let (partitions, bound) = (self.partitions.clone(), self.connection.timeout);
            let thread = std::thread::Builder::new().name("coordinator".to_owned());
            drop(thread.spawn(move || ask(&client, &partitions, bound, &answered)));
        }
        answers
    }
}

impl Drop for CoordinatorProbe<'_> {
    fn drop(&mut self) {
        self.transaction.forget();
    }
}

/// Sends the duration of the first answer that did not include finding the coordinator.
fn ask(client: &BaseConsumer<Context>, partitions: &TopicPartitionList, bound: Duration, answered: &Sender<Duration>) {
    let (deadline, mut attempt, mut is_found) = (Deadline::after(bound), FIRST_ATTEMPT, false);
    while !deadline.has_passed() {
        let asked = clock::now();
        match client.committed_offsets(partitions.clone(), attempt.min(deadline.remaining())) {
            // The first answer includes finding the coordinator, and may come from one that is about to stop.
            Ok(_) if !is_found => is_found = true,
            Ok(_) => {
                // The receiver is dropped when the call has returned.
                answered.send(asked.elapsed()).unwrap_or_default();
                return;
            }
            Err(error) if !error::kind(&error).is_retriable() => return,
            Err(_) => {
                is_found = false;
                if asked.elapsed() >= attempt {
                    attempt *= 2;
                }
                clock::pause(PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coordinator_answered(state: &str, waiting: u32, idle: i64) -> bool {
        let coordinator = TransactionCoordinator::default();
        let of = |source: &str, state: &str| {
            format!(
                r#"{{"source":"{source}","state":"{state}","outbuf_cnt":0,"waitresp_cnt":{waiting},"rxidle":{idle}}}"#
            )
        };
        let (learned, logical) = (of("learned", "UP"), of("logical", state));
        let statistics = format!(r#"{{"name":"p","brokers":{{"k:1/1":{learned},"TxnCoordinator/1":{logical}}}}}"#);
        coordinator.take(statistics.as_bytes());
        assert!(!coordinator.has_answered(), "the statistics were not needed yet");
        coordinator.take(statistics.as_bytes());
        coordinator.has_answered()
    }

    #[test]
    fn an_idle_coordinator_that_is_up_has_answered() {
        assert!(coordinator_answered("UP", 0, 600_000));
        assert!(!coordinator_answered("TRY_CONNECT", 0, 600_000));
        assert!(!coordinator_answered("UP", 1, 600_000));
        assert!(!coordinator_answered("UP", 0, 20_000), "a refused request is sent again");
        assert!(!coordinator_answered("UP", 0, -1), "it was never asked");
    }
}

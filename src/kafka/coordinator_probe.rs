//! Whether a call that adds offsets to a transaction waits for a cluster, or for nothing.
//!
//! `rd_kafka_send_offsets_to_transaction` asks the transaction's coordinator and then the group's, and remembers which broker
//! that is. When that broker has left the metadata meanwhile, the call waits for a connection that nobody makes any more,
//! until some other connection of its client comes or goes (librdkafka 2.12.1, seen after kills of a coordinator; issues 5456
//! and 5511). It does so for nothing when the producer's statistics say that the transaction's coordinator has answered, and
//! when the group's coordinator answers a client that does not remember how the cluster was.

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

/// The first attempt to get an answer; later ones are longer, for a cluster that is slow.
const FIRST_ATTEMPT: Duration = Duration::from_secs(1);

/// The pause before the next attempt after an error that came at once.
const PAUSE: Duration = Duration::from_millis(50);

/// What the call gets at least, after the coordinator has answered the probe.
const LEAST: Duration = Duration::from_secs(1);

/// How often a transactional producer tells its statistics, in milliseconds.
pub(super) const STATISTICS_MILLIS: &str = "500";

/// How long nothing came from the transaction's coordinator when nothing more is expected of it. What it refuses for a moment
/// is sent again sooner; what it refuses for long may be given up too early, which costs a recovery.
const QUIET: Duration = Duration::from_millis(500);

/// What the statistics of a transactional producer say about the transaction's coordinator.
#[derive(Debug, Default)]
pub(super) struct TransactionCoordinator {
    /// Whether anybody wants to know: to read the statistics costs more than the rest of a short transaction.
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
    /// Requests that are to be sent, or were sent.
    outbuf_cnt: i64,
    waitresp_cnt: i64,
    /// Microseconds since the last answer, or -1.
    rxidle: i64,
}

impl TransactionCoordinator {
    /// Takes the statistics of a producer, which are JSON.
    pub fn take(&self, statistics: &[u8]) {
        if self.wanted.load(Ordering::Relaxed)
            && let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics)
        {
            self.answered.store(statistics.brokers.values().any(Broker::has_answered), Ordering::Relaxed);
        }
    }

    /// Whether it answers, and has no request of this producer.
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
    /// Of the transaction's coordinator, which is the only logical broker of a producer.
    fn has_answered(&self) -> bool {
        let quiet = u64::try_from(self.rxidle).is_ok_and(|idle| Duration::from_micros(idle) >= QUIET);
        self.source == "logical" && self.state == "UP" && self.outbuf_cnt == 0 && self.waitresp_cnt == 0 && quiet
    }
}

/// Says when a call to the coordinator of a group should have been back, as the coordinator answers others.
pub(super) struct CoordinatorProbe<'a> {
    transaction: &'a TransactionCoordinator,
    connection: &'a Connection,
    group: &'a str,
    /// Partitions whose offsets are asked for.
    partitions: &'a TopicPartitionList,
    starts: Deadline,
    answers: Option<Receiver<Duration>>,
    overdue: Option<Deadline>,
}

impl<'a> CoordinatorProbe<'a> {
    /// A probe that starts after `silence`, and looks for an answer as long as the connection's timeout.
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

    /// Whether the call is to be given up. To be asked every few moments.
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

    /// Starts to ask. Where that is not possible nothing comes, and the call has its whole bound.
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

/// Tells how long the coordinator takes for an answer, once it answers.
fn ask(client: &BaseConsumer<Context>, partitions: &TopicPartitionList, bound: Duration, answered: &Sender<Duration>) {
    let (deadline, mut attempt, mut is_found) = (Deadline::after(bound), FIRST_ATTEMPT, false);
    while !deadline.has_passed() {
        let asked = clock::now();
        match client.committed_offsets(partitions.clone(), attempt.min(deadline.remaining())) {
            // The first answer includes the look for the coordinator, and may be of one that is about to go.
            Ok(_) if !is_found => is_found = true,
            Ok(_) => {
                // Nobody waits for it any more where the call has come back meanwhile.
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

    fn told(state: &str, waiting: u32, idle: i64) -> bool {
        let coordinator = TransactionCoordinator::default();
        let of = |source: &str, state: &str| {
            format!(
                r#"{{"source":"{source}","state":"{state}","outbuf_cnt":0,"waitresp_cnt":{waiting},"rxidle":{idle}}}"#
            )
        };
        let (learned, logical) = (of("learned", "UP"), of("logical", state));
        let statistics = format!(r#"{{"name":"p","brokers":{{"k:1/1":{learned},"TxnCoordinator/1":{logical}}}}}"#);
        coordinator.take(statistics.as_bytes());
        assert!(!coordinator.has_answered(), "nobody wanted to know");
        coordinator.take(statistics.as_bytes());
        coordinator.has_answered()
    }

    #[test]
    fn the_transactions_coordinator_has_answered_when_it_is_up_and_nothing_is_asked_of_it() {
        assert!(told("UP", 0, 600_000));
        assert!(!told("TRY_CONNECT", 0, 600_000));
        assert!(!told("UP", 1, 600_000));
        assert!(!told("UP", 0, 20_000), "what it refused is sent again");
        assert!(!told("UP", 0, -1), "it was never asked");
    }
}

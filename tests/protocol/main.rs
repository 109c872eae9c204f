//! Owns the contract suite: raw requests to a broker, and transcripts of its answers held against Apache Kafka's.
//!
//! A case plays a script of requests over TCP and writes a transcript, told in Kafka's own words with the names of one run
//! taken out. The transcripts in `snapshots/` are Apache Kafka's; whoever speaks Kafka's protocol is held to the same files.
//!
//! ```text
//! cargo test --test protocol                                 every case against the embedded broker
//! cargo test --test protocol -- produce                      the cases whose name contains a word
//!
//! scripts/kafka start 29092
//! export FOODSTREAM_TEST_BROKER=127.0.0.1:29092
//! cargo test --test protocol                                 the same against Apache Kafka
//! FOODSTREAM_PROTOCOL=record cargo test --test protocol -- produce
//!                                                            writes the transcripts instead of comparing them
//! ```
//!
//! Recording asks the broker first whether it is Apache Kafka 4.1: a transcript is never taken from anyone else. A new
//! case is recorded, read, and then run several times, since Kafka is not always of one mind.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test has a clock, an environment and ids of its own, beside the program's"
)]

mod batch;
mod chance;
mod client;
mod codec;
mod compression;
mod configs;
mod fencing;
mod fetch;
mod frames;
mod group_admin;
mod groups;
mod handshake;
mod idempotence;
mod lab;
mod list_offsets;
mod membership;
mod names;
mod offsets;
mod produce;
mod requests;
mod snapshots;
mod static_members;
mod telling;
#[path = "../support/time_limit.rs"]
mod time_limit;
mod topics;
mod transaction_admin;
mod transaction_offsets;
mod transactional;
mod transactions;
mod transactions_v2;

use foodstream::broker::{BrokerConfig, Server};
use libtest_mimic::Arguments;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// A test: the name of its transcript, and what it asks.
pub type Case = (&'static str, fn(&mut lab::Lab));

/// Someone who is to answer as Apache Kafka does.
#[derive(Clone)]
pub struct Broker {
    /// How the cases against it are called in the list of tests.
    pub name: &'static str,
    /// Where it listens: `host:port`.
    pub address: String,
    /// Whether transcripts are to be written from its answers.
    pub records: bool,
}

/// Whom to ask: the Kafka that is named, or else the embedded broker over either of its storages.
fn brokers_under_test() -> (Vec<Broker>, Vec<Embedded>) {
    if let Some(address) = std::env::var("FOODSTREAM_TEST_BROKER").ok().filter(|address| !address.is_empty()) {
        let records = std::env::var("FOODSTREAM_PROTOCOL").is_ok_and(|wish| wish == "record");
        return (vec![Broker { name: "named", address, records }], Vec::new());
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (memory, on_disk) = (BrokerConfig::in_memory(), BrokerConfig::in_directory(folder.path()));
    [Embedded::start("memory", memory, None), Embedded::start("folder", on_disk, Some(folder))].into_iter().unzip()
}

/// A broker in this process.
struct Embedded {
    server: Option<Server>,
    runtime: Runtime,
    /// Its data, deleted after it.
    _folder: Option<TempDir>,
}

impl Embedded {
    fn start(name: &'static str, mut config: BrokerConfig, folder: Option<TempDir>) -> (Broker, Self) {
        // As the broker was configured whose answers were recorded.
        config.settings.auto_create_topics = false;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let server = runtime.block_on(Server::start(config)).expect("a broker");
        let broker = Broker { name, address: server.address().to_string(), records: false };
        (broker, Self { server: Some(server), runtime, _folder: folder })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop()).expect("stopped");
        }
    }
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Most of a case's time is waiting for the other side.
    arguments.test_threads = arguments.test_threads.or(Some(12));
    let (brokers, embedded) = brokers_under_test();
    let cases: Vec<Case> = [
        handshake::CASES,
        frames::CASES,
        produce::CASES,
        compression::CASES,
        idempotence::CASES,
        fetch::CASES,
        list_offsets::CASES,
        topics::CASES,
        configs::CASES,
        groups::CASES,
        static_members::CASES,
        group_admin::CASES,
        offsets::CASES,
        transactions::CASES,
        fencing::CASES,
        transactions_v2::CASES,
        transaction_offsets::CASES,
        transaction_admin::CASES,
        chance::CASES,
    ]
    .concat();
    for broker in &brokers {
        if broker.records {
            snapshots::insist_on_apache_kafka(&broker.address);
        }
    }
    let all = cases.iter().chain(compression::APACHE_CASES);
    let names: Vec<&str> = all.map(|(name, _)| *name).collect();
    let mut trials =
        vec![time_limit::trial("every_transcript_belongs_to_a_case", move || snapshots::look_for_strays(&names))];
    let for_all = cases.into_iter().map(|case| (case, true));
    for ((name, case), for_all) in for_all.chain(compression::APACHE_CASES.iter().map(|case| (*case, false))) {
        for broker in brokers.iter().filter(|_| for_all || embedded.is_empty()) {
            let broker = broker.clone();
            trials.push(time_limit::trial(format!("{}::{name}", broker.name), move || {
                snapshots::hold(name, case, &broker)
            }));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(embedded);
    conclusion.exit();
}

//! Protocol suite: sends raw requests to a broker and compares its responses with transcripts of Apache Kafka.
//!
//! A case sends a script of requests over TCP and writes a transcript of the responses, with names, ids and times of
//! the run replaced. The transcripts in `snapshots/` are from Apache Kafka; every broker must produce the same files.
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
//! Recording first checks that the broker is Apache Kafka 4.1. Record a new case, read its transcript, and run it
//! several times: some responses of Kafka depend on timing.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test reads the clock and the environment and prints, independently of the program"
)]

mod api_versions;
mod batch;
mod client;
mod codec;
mod compression;
mod configs;
mod fencing;
mod fetch;
mod framing;
mod group_admin;
mod groups;
mod idempotence;
mod list_offsets;
mod membership;
mod normalizer;
mod offsets;
mod produce;
mod random_scripts;
mod requests;
mod response_tree;
mod snapshots;
mod static_members;
mod test_support;
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

/// A test: the name of its transcript, and its script.
pub type Case = (&'static str, fn(&mut test_support::Recorder));

/// A broker under test.
#[derive(Clone)]
pub struct Broker {
    /// Prefix of its cases in the list of tests.
    pub name: &'static str,
    /// Its address: `host:port`.
    pub address: String,
    /// Record transcripts instead of comparing with them.
    pub records: bool,
}

/// The broker that `FOODSTREAM_TEST_BROKER` names, otherwise the embedded broker, once in memory and once in a
/// directory.
fn brokers_under_test() -> (Vec<Broker>, Vec<Embedded>) {
    if let Some(address) = std::env::var("FOODSTREAM_TEST_BROKER").ok().filter(|address| !address.is_empty()) {
        let records = std::env::var("FOODSTREAM_PROTOCOL").is_ok_and(|mode| mode == "record");
        return (vec![Broker { name: "named", address, records }], Vec::new());
    }
    let folder = tempfile::tempdir().expect("a directory");
    let (memory, on_disk) = (BrokerConfig::in_memory(), BrokerConfig::in_directory(folder.path()));
    [Embedded::start("memory", memory, None), Embedded::start("folder", on_disk, Some(folder))].into_iter().unzip()
}

/// An embedded broker in this process.
struct Embedded {
    server: Option<Server>,
    runtime: Runtime,
    /// Its data, deleted when dropped.
    _folder: Option<TempDir>,
}

impl Embedded {
    fn start(name: &'static str, mut config: BrokerConfig, folder: Option<TempDir>) -> (Broker, Self) {
        // Like the broker that the transcripts were recorded from.
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
    // Cases mostly wait for the broker.
    arguments.test_threads = arguments.test_threads.or(Some(12));
    let (brokers, embedded) = brokers_under_test();
    let cases: Vec<Case> = [
        api_versions::CASES,
        framing::CASES,
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
        random_scripts::CASES,
    ]
    .concat();
    for broker in &brokers {
        if broker.records {
            snapshots::require_apache_kafka(&broker.address);
        }
    }
    let all = cases.iter().chain(compression::APACHE_CASES);
    let names: Vec<&str> = all.map(|(name, _)| *name).collect();
    let mut trials =
        vec![time_limit::trial("every_transcript_belongs_to_a_case", move || snapshots::check_no_orphans(&names))];
    let for_all = cases.into_iter().map(|case| (case, true));
    for ((name, case), for_all) in for_all.chain(compression::APACHE_CASES.iter().map(|case| (*case, false))) {
        for broker in brokers.iter().filter(|_| for_all || embedded.is_empty()) {
            let broker = broker.clone();
            trials.push(time_limit::trial(format!("{}::{name}", broker.name), move || {
                snapshots::check(name, case, &broker)
            }));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(embedded);
    conclusion.exit();
}

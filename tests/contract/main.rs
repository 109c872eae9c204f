//! Owns the contract suite: raw requests to a broker, and transcripts of its answers held against Apache Kafka's.
//!
//! A case plays a script of requests over TCP and writes a transcript, told in Kafka's own words with the names of one run
//! taken out. The transcripts in `snapshots/` are Apache Kafka's; whoever speaks Kafka's protocol is held to the same files.
//!
//! ```text
//! scripts/kafka start 29092
//! export FOODSTREAM_TEST_BROKER=127.0.0.1:29092
//! cargo test --release --test contract                       every case against that broker
//! cargo test --release --test contract -- produce            the cases whose name contains a word
//! FOODSTREAM_CONTRACT=record cargo test --release --test contract -- produce
//!                                                            writes the transcripts instead of comparing them
//! ```
//!
//! Recording asks the broker first whether it is Apache Kafka 4.1: a transcript is never taken from anyone else.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test has a clock, an environment and ids of its own, beside the program's"
)]

mod batch;
mod client;
mod configs;
mod fencing;
mod fetch;
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
mod topics;
mod transaction_admin;
mod transaction_offsets;
mod transactional;
mod transactions;
mod transactions_v2;

use libtest_mimic::{Arguments, Trial};

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

/// Whom to ask. Each case gets one of them, so there may be several.
fn brokers_under_test() -> Vec<Broker> {
    let named = std::env::var("FOODSTREAM_TEST_BROKER").ok().filter(|address| !address.is_empty());
    let records = std::env::var("FOODSTREAM_CONTRACT").is_ok_and(|wish| wish == "record");
    named.into_iter().map(|address| Broker { name: "named", address, records }).collect()
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Most of a case's time is waiting for the other side.
    arguments.test_threads = arguments.test_threads.or(Some(12));
    let brokers = brokers_under_test();
    let cases: Vec<Case> = [
        handshake::CASES,
        produce::CASES,
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
    ]
    .concat();
    if brokers.is_empty() && !arguments.list {
        eprintln!();
        eprintln!("!!! THE CONTRACT SUITE DID NOT RUN: {} cases need a broker and none was named.", cases.len());
        eprintln!("!!! Start one with `scripts/kafka start 29092` and run:");
        eprintln!("!!!   FOODSTREAM_TEST_BROKER=127.0.0.1:29092 cargo test --release --test contract");
        eprintln!();
    }
    for broker in &brokers {
        if broker.records {
            snapshots::insist_on_apache_kafka(&broker.address);
        }
    }
    let names: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
    let mut trials =
        vec![Trial::test("every_transcript_belongs_to_a_case", move || snapshots::look_for_strays(&names))];
    for (name, case) in cases {
        for broker in &brokers {
            let broker = broker.clone();
            trials.push(Trial::test(format!("{}::{name}", broker.name), move || snapshots::hold(name, case, &broker)));
        }
        if brokers.is_empty() {
            trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

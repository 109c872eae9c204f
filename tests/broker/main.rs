//! Owns the broker suite: the program against a real Kafka, told by `FOODSTREAM_TEST_BROKER=host:port`.
//!
//! Without that variable no test of it runs, and it says so; with it, every one does. Each test has a topic prefix of
//! its own, so that all can share the broker and run side by side.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test has a clock, an environment and clients of its own, beside the program's"
)]

mod analytics;
mod chaos;
mod copy;
mod damage;
mod edges;
mod groups;
mod insist;
mod originals;
mod pipeline;
mod process;
mod produce;
mod readme;
mod records;
mod recount;
mod refusals;
mod replay;
mod replay_kills;
mod replay_verdicts;
mod sharing;
#[path = "../support/specimens.rs"]
mod specimens;
mod support;
mod truth;

use libtest_mimic::{Arguments, Failed, Trial};

/// A test: its name and what it does in a laboratory of its own.
pub type Case = (&'static str, fn(&support::Lab));

fn main() {
    let arguments = Arguments::from_args();
    let broker = support::broker();
    let cases: Vec<Case> = [
        pipeline::CASES,
        damage::CASES,
        records::CASES,
        produce::CASES,
        originals::CASES,
        analytics::CASES,
        replay::CASES,
        replay_kills::CASES,
        replay_verdicts::CASES,
        chaos::CASES,
        refusals::CASES,
        sharing::CASES,
        edges::CASES,
        insist::CASES,
        readme::CASES,
    ]
    .concat();
    if broker.is_none() && !arguments.list {
        eprintln!();
        eprintln!("!!! THE BROKER SUITE DID NOT RUN: {} tests need a Kafka and none was named.", cases.len());
        eprintln!("!!! Start one with `scripts/kafka start 29092` and run:");
        eprintln!("!!!   FOODSTREAM_TEST_BROKER=127.0.0.1:29092 cargo test --release --test broker");
        eprintln!();
    }
    let trials = cases
        .into_iter()
        .map(|(name, case)| {
            Trial::test(name, move || {
                let lab = support::Lab::new(name);
                case(&lab);
                Ok::<(), Failed>(())
            })
            .with_ignored_flag(broker.is_none())
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

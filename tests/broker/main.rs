//! Owns the broker suite: the program against an embedded broker in this process, or against the Kafka that
//! `FOODSTREAM_TEST_BROKER=host:port` names.
//!
//! The cases are the same on both, but for those that need Kafka's own tools, or a broker that fails on demand. Each case
//! has a topic prefix of its own, so that all can share a broker and run side by side.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test has a clock, an environment and clients of its own, beside the program's"
)]

mod analytics;
#[path = "../support/bounded.rs"]
mod bounded;
mod broker_kills;
mod brokers;
mod changes;
mod chaos;
mod clean;
mod clients;
mod copy;
mod damage;
mod described;
mod edges;
mod examples;
mod faults;
mod groups;
#[path = "../support/hostile.rs"]
mod hostile;
mod insist;
mod joined;
mod lag;
mod letters;
mod looks;
mod many_rows;
mod network;
mod odd_groups;
mod originals;
mod outages;
mod pipeline;
mod process;
mod produce;
#[path = "../support/proxy/mod.rs"]
mod proxy;
#[path = "../protocol/client.rs"]
#[allow(dead_code, reason = "few of its requests are needed here")]
mod raw;
mod readme;
mod records;
mod recount;
mod refusals;
mod replay;
mod replay_kills;
mod replay_log;
mod replay_targets;
mod replay_verdicts;
mod scenarios;
#[path = "../support/schemas.rs"]
mod schemas;
mod sharing;
#[path = "../support/specimens.rs"]
mod specimens;
mod support;
mod terminal;
mod topics;
mod truth;
mod unreadable;

use std::time::Duration;

use libtest_mimic::{Arguments, Failed};

/// A test: its name and what it does in a laboratory of its own.
pub type Case = (&'static str, fn(&support::Lab));

const CASES: &[Case] = &[("a_case_that_hangs_fails_by_its_name", hanging)];

fn hanging(_: &support::Lab) {
    let (held, never) = std::sync::mpsc::channel::<()>();
    let waits = move || never.recv().map_err(Failed::from);
    let failed = bounded::within(Duration::from_millis(10), "this_one", waits).expect_err("it hangs");
    let told = failed.message().expect("words");
    assert!(told.starts_with("this_one hangs"), "{told}");
    drop(held);
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Much of a case is waiting: for sessions and transactions to time out, for brokers to come back. A Kafka needs its share.
    let side_by_side = if brokers::named().is_some() { 4 } else { 5 };
    arguments.test_threads = arguments.test_threads.or(Some(side_by_side));
    let mut cases: Vec<Case> = [
        CASES,
        pipeline::CASES,
        described::CASES,
        damage::CASES,
        records::CASES,
        letters::CASES,
        unreadable::CASES,
        produce::CASES,
        originals::CASES,
        analytics::CASES,
        replay::CASES,
        replay_kills::CASES,
        replay_targets::CASES,
        replay_verdicts::CASES,
        chaos::CASES,
        refusals::CASES,
        topics::CASES,
        sharing::CASES,
        edges::CASES,
        insist::CASES,
        outages::CASES,
        network::CASES,
        scenarios::CASES,
        lag::CASES,
        many_rows::CASES,
        odd_groups::CASES,
        clean::CASES,
        terminal::CASES,
        examples::CASES,
        readme::CASES,
    ]
    .concat();
    match brokers::named() {
        Some(_) => {
            cases.extend(
                [produce::KAFKA_CASES, replay_targets::KAFKA_CASES, lag::KAFKA_CASES, odd_groups::KAFKA_CASES].concat(),
            );
            // The longest ones first: whatever else there is runs beside them.
            cases.splice(0..0, network::KAFKA_CASES.iter().copied());
        }
        None => cases.extend([broker_kills::CASES, faults::CASES].concat()),
    }
    let case = |(name, case): Case| {
        bounded::trial(name, move || {
            case(&support::Lab::new(name, brokers::shared()));
            Ok(())
        })
    };
    let check = |(name, check): proxy::checks::Check| {
        bounded::trial(name, move || {
            check();
            Ok(())
        })
    };
    let checks = proxy::checks::CHECKS.iter().copied().map(check);
    let trials = cases.into_iter().map(case).chain(checks).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

//! Broker suite: the program against an embedded broker in this process, or against the Kafka that
//! `FOODSTREAM_TEST_BROKER=host:port` names.
//!
//! Both run the same cases, except those that need Kafka's own tools or injected faults. Each case has its own topic
//! prefix, so all cases can share a broker and run concurrently.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests use the clock, the environment and their own clients"
)]

mod all_groups;
mod analytics;
mod answers;
mod audit;
mod audit_bytes;
mod audit_chain;
mod audit_copy;
mod audit_damages;
mod audit_damages_state;
mod audit_service;
mod audit_shapes;
mod audit_stops;
mod broker_kills;
mod brokers;
mod clean;
mod clients;
mod dead_letters;
mod decision_model;
mod edge_cases;
mod examples;
mod faults;
mod group_member;
mod groups;
#[path = "../support/hostile.rs"]
mod hostile;
mod inspect;
mod invariant_checks;
mod invariant_tests;
mod invariants;
mod inventory_kills;
mod inventory_model;
mod lag;
mod many_rows;
mod mutations;
mod network;
mod outages;
mod pages;
mod pipeline;
mod process;
mod produce;
#[path = "../support/proxy/mod.rs"]
mod proxy;
#[path = "../support/pseudo_terminal.rs"]
mod pseudo_terminal;
mod python_original;
#[path = "../protocol/client.rs"]
#[allow(dead_code, reason = "this suite uses a part of it")]
mod raw;
mod rebalances;
mod record_schemas;
mod records;
mod refusals;
mod replay;
mod replay_kills;
mod replay_log;
mod replay_targets;
mod replay_verdicts;
#[path = "../support/samples.rs"]
mod samples;
mod scenarios;
#[path = "../support/schemas.rs"]
mod schemas;
mod screens;
mod second_signal;
mod support;
mod terminal;
#[path = "../support/time_limit.rs"]
mod time_limit;
mod topic_copy;
mod topics;
mod unreadable_batches;
mod unusual_groups;

use std::time::Duration;

use libtest_mimic::{Arguments, Failed};

/// A test case: its name and its function.
pub type Case = (&'static str, fn(&support::TestEnv));

const CASES: &[Case] = &[("hanging_case_fails_by_name", hanging_case)];

/// The longest cases, which mostly wait. They start first, so that the others run at the same time.
const LONGEST: [&str; 6] = [
    "inventory_kills::decides_each_line_once_across_20_kills",
    "replay::killed_target_is_applied_whole_or_not_at_all",
    "outages::hanging_transaction_fails_after_a_minute",
    "audit::every_damage_is_caught_by_name",
    "network::one_kind_of_reply_5_s_late",
    "examples::every_help_example_runs",
];

fn hanging_case(_: &support::TestEnv) {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let waits = move || receiver.recv().map_err(Failed::from);
    let failed = time_limit::within(Duration::from_millis(10), "this_one", waits).expect_err("the case times out");
    let message = failed.message().expect("a message");
    assert!(message.starts_with("this_one hangs"), "{message}");
    drop(sender);
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Most cases wait for session timeouts, transaction timeouts or restarts. A Kafka needs more of the machine.
    let concurrency = if brokers::named().is_some() { 4 } else { 8 };
    arguments.test_threads = arguments.test_threads.or(Some(concurrency));
    let mut cases: Vec<Case> = [
        CASES,
        pipeline::CASES,
        record_schemas::CASES,
        invariant_tests::CASES,
        audit::CASES,
        audit_bytes::CASES,
        audit_shapes::CASES,
        audit_stops::CASES,
        records::CASES,
        dead_letters::CASES,
        unreadable_batches::CASES,
        produce::CASES,
        python_original::CASES,
        analytics::CASES,
        answers::CASES,
        audit_chain::CASES,
        audit_service::CASES,
        replay::CASES,
        replay_kills::CASES,
        replay_targets::CASES,
        replay_verdicts::CASES,
        inventory_kills::CASES,
        refusals::CASES,
        topics::CASES,
        rebalances::CASES,
        edge_cases::CASES,
        second_signal::CASES,
        outages::CASES,
        network::CASES,
        scenarios::CASES,
        lag::CASES,
        all_groups::CASES,
        many_rows::CASES,
        unusual_groups::CASES,
        clean::CASES,
        terminal::CASES,
        screens::CASES,
        examples::CASES,
        pages::CASES,
    ]
    .concat();
    match brokers::named() {
        Some(_) => {
            cases.extend(
                [produce::KAFKA_CASES, replay_targets::KAFKA_CASES, lag::KAFKA_CASES, unusual_groups::KAFKA_CASES]
                    .concat(),
            );
            // Longest cases first, so that the others run at the same time.
            cases.splice(0..0, network::KAFKA_CASES.iter().copied());
        }
        None => cases.extend([broker_kills::CASES, faults::CASES].concat()),
    }
    for name in LONGEST.iter().rev() {
        let index = cases.iter().position(|(case, _)| case == name).expect("a long case");
        cases[..=index].rotate_right(1);
    }
    let case = |(name, case): Case| {
        time_limit::trial(name, move || {
            case(&support::TestEnv::new(name, brokers::shared()));
            Ok(())
        })
    };
    let check = |(name, check): proxy::checks::Check| {
        time_limit::trial(name, move || {
            check();
            Ok(())
        })
    };
    let checks = proxy::checks::CHECKS.iter().copied().map(check);
    let trials = cases.into_iter().map(case).chain(checks).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

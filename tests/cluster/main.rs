//! Cluster suite: the program on three nodes that stop, come back and hand over leaders while it runs.
//! `FOODSTREAM_TEST_CLUSTER` is the port of a cluster that was started by `scripts/kafka start --nodes 3`.
//!
//! A case starts processes, disturbs the cluster, and stops the processes. Then it checks how every process ended and
//! whether the data is correct. Cases run one after another and leave the cluster healthy.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests use the clock, the environment and their own clients"
)]

mod brokers;
#[path = "../broker/clients.rs"]
mod clients;
mod coordinators;
#[path = "../broker/decision_model.rs"]
mod decision_model;
mod exit_table;
mod failover_times;
#[allow(dead_code, reason = "the broker suite uses the rest")]
#[path = "../broker/inspect.rs"]
mod inspect;
#[path = "../broker/invariant_checks.rs"]
mod invariant_checks;
#[allow(dead_code, reason = "the broker suite uses the rest")]
#[path = "../broker/invariants.rs"]
mod invariants;
#[path = "../broker/inventory_model.rs"]
mod inventory_model;
mod members;
#[allow(dead_code, reason = "the broker suite uses the rest")]
#[path = "../broker/mutations.rs"]
mod mutations;
mod network;
mod outages;
#[allow(dead_code, reason = "the broker suite uses the rest")]
#[path = "../broker/process.rs"]
mod process;
mod processes;
#[path = "../support/proxy/mod.rs"]
mod proxy;
mod reassignments;
#[allow(dead_code, reason = "other suites use the rest")]
#[path = "../support/schemas.rs"]
mod schemas;
#[allow(dead_code, unused_imports, reason = "the broker suite uses the rest")]
#[path = "../broker/support.rs"]
mod support;
#[path = "../support/time_limit.rs"]
mod time_limit;
mod workload;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use libtest_mimic::Arguments;

use brokers::Cluster;
use support::TestEnv;

/// A test case: its name and its function.
pub type Case = (&'static str, fn(&Cluster, &TestEnv));

/// Runs a case on a healthy cluster, and restores the cluster afterwards even if the case fails.
fn run(cluster: &Cluster, name: &str, case: fn(&Cluster, &TestEnv)) {
    cluster.restore();
    let env = TestEnv::new(name, &cluster.bootstrap);
    let outcome = catch_unwind(AssertUnwindSafe(|| case(cluster, &env)));
    cluster.restore();
    // A killed node recovers every log when it starts, so topics are kept only for inspection.
    if workload::has_wrong_data(&env) {
        eprintln!("the topics of {} are kept", env.prefix);
    } else {
        delete_topics(&env.named(&env.prefix));
    }
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

fn delete_topics(env: &TestEnv) {
    let topics = env.topics();
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    if !names.is_empty() {
        env.admin(async |admin, options| admin.delete_topics(&names, options).await.map(drop).expect("a response"));
    }
}

fn main() {
    let mut arguments = Arguments::from_args();
    // There is one cluster, and each case disturbs it.
    arguments.test_threads = Some(1);
    let Some(cluster) = Cluster::named() else {
        eprintln!("skipped: FOODSTREAM_TEST_CLUSTER is not set to the port of `scripts/kafka start --nodes 3`");
        return;
    };
    let cluster = Arc::new(cluster);
    let trials =
        [exit_table::CASES, outages::CASES, coordinators::CASES, reassignments::CASES, members::CASES, network::CASES]
            .concat()
            .into_iter()
            .map(|(name, case)| {
                let cluster = Arc::clone(&cluster);
                time_limit::trial(name, move || {
                    run(&cluster, name, case);
                    Ok(())
                })
            })
            .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

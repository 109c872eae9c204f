//! The cluster suite: the program against three nodes that go away, come back and hand over their leaders while it works.
//! `FOODSTREAM_TEST_CLUSTER` is the port of a cluster that `scripts/kafka start --nodes 3` started.
//!
//! A case runs processes, disturbs the cluster, stops the processes, and then looks at both: how every process ended, and
//! whether the data is what it must be. Cases run one after another, and leave the cluster whole.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test has a clock, an environment and clients of its own, beside the program's"
)]

#[path = "../support/bounded.rs"]
mod bounded;
mod brokers;
#[allow(dead_code, reason = "the broker suite uses the rest")]
#[path = "../broker/changes.rs"]
mod changes;
#[path = "../broker/clients.rs"]
mod clients;
mod coordinators;
#[allow(dead_code, reason = "the broker suite uses the rest")]
#[path = "../broker/looks.rs"]
mod looks;
mod measured;
mod members;
mod moves;
mod network;
mod outages;
#[allow(dead_code, reason = "the broker suite uses the rest")]
#[path = "../broker/process.rs"]
mod process;
mod processes;
#[path = "../support/proxy/mod.rs"]
mod proxy;
#[path = "../broker/recount.rs"]
mod recount;
#[allow(dead_code, reason = "other suites use the rest")]
#[path = "../support/schemas.rs"]
mod schemas;
#[allow(dead_code, unused_imports, reason = "the broker suite uses the rest")]
#[path = "../broker/support.rs"]
mod support;
mod table;
#[allow(dead_code, reason = "the broker suite uses the rest")]
#[path = "../broker/truth.rs"]
mod truth;
mod workload;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use libtest_mimic::Arguments;

use brokers::Cluster;
use support::Lab;

/// A test: its name and what it does on the cluster, in a laboratory of its own.
pub type Case = (&'static str, fn(&Cluster, &Lab));

/// Runs a case on a cluster that is whole, and leaves it so however the case ends.
fn run(cluster: &Cluster, name: &str, case: fn(&Cluster, &Lab)) {
    cluster.make_whole();
    let lab = Lab::new(name, &cluster.bootstrap);
    let outcome = catch_unwind(AssertUnwindSafe(|| case(cluster, &lab)));
    cluster.make_whole();
    // A node that was killed goes through each of its logs when it starts: topics are kept for a look only.
    if workload::data_is_wrong(&lab) {
        eprintln!("the topics of {} are kept", lab.prefix);
    } else {
        delete_topics(&lab.named(&lab.prefix));
    }
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

fn delete_topics(lab: &Lab) {
    let topics = lab.topics();
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    if !names.is_empty() {
        lab.admin(async |admin, options| admin.delete_topics(&names, options).await.map(drop).expect("asked"));
    }
}

fn main() {
    let mut arguments = Arguments::from_args();
    // There is one cluster, and each case disturbs it.
    arguments.test_threads = Some(1);
    let Some(cluster) = Cluster::named() else {
        eprintln!("skipped: FOODSTREAM_TEST_CLUSTER has no port of `scripts/kafka start --nodes 3`");
        return;
    };
    let cluster = Arc::new(cluster);
    let trials = [table::CASES, outages::CASES, coordinators::CASES, moves::CASES, members::CASES, network::CASES]
        .concat()
        .into_iter()
        .map(|(name, case)| {
            let cluster = Arc::clone(&cluster);
            bounded::trial(name, move || {
                run(&cluster, name, case);
                Ok(())
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

//! Owns the secure suite: the program against a Kafka with TLS, logins and ACLs, which `scripts/kafka start --secure` starts;
//! `FOODSTREAM_TEST_SECURE` is the folder of client files that it prints.
//!
//! Every command works with the least rights of the table in docs/REFERENCE.md, and names each right that is taken away.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test has a clock, an environment and clients of its own, beside the program's"
)]

mod connection_errors;
mod granting;
mod grants;
mod least_permissions;
mod permission_table;
mod process;
mod secure_kafka;
mod support;
#[path = "../support/time_limit.rs"]
mod time_limit;

use libtest_mimic::Arguments;

fn main() {
    let mut arguments = Arguments::from_args();
    // Much of a command's time is waiting for the broker.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let Some(dir) = std::env::var_os("FOODSTREAM_TEST_SECURE") else {
        eprintln!("skipped: FOODSTREAM_TEST_SECURE names no folder of `scripts/kafka start --secure`");
        return;
    };
    let kafka: &'static secure_kafka::SecureKafka = Box::leak(Box::new(secure_kafka::SecureKafka::open(dir.into())));
    let mut trials = least_permissions::trials(kafka);
    trials.extend(granting::trials(kafka));
    trials.extend(connection_errors::trials(kafka));
    libtest_mimic::run(&arguments, trials).exit();
}

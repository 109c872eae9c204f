//! Secure suite: the program against a Kafka with TLS, logins and ACLs, started by `scripts/kafka start --secure`.
//! `FOODSTREAM_TEST_SECURE` is the directory of client files that the script prints.
//!
//! Every command works with the least permissions of the table in docs/reference/permissions.md, and names each permission that is
//! missing.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests use the clock, the environment and their own clients"
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

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Commands mostly wait for the broker.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let Some(dir) = std::env::var_os("FOODSTREAM_TEST_SECURE") else {
        eprintln!(
            "skipped: FOODSTREAM_TEST_SECURE is not set to the directory that `scripts/kafka start --secure` prints"
        );
        return ExitCode::SUCCESS;
    };
    if cfg!(not(feature = "tls")) {
        eprintln!("this suite is built without TLS, which every case needs: cargo test --features tls --test secure");
        return ExitCode::FAILURE;
    }
    let kafka: &'static secure_kafka::SecureKafka = Box::leak(Box::new(secure_kafka::SecureKafka::open(dir.into())));
    let mut trials = least_permissions::trials(kafka);
    trials.extend(granting::trials(kafka));
    trials.extend(connection_errors::trials(kafka));
    libtest_mimic::run(&arguments, trials).exit_code()
}

//! Owns the secure suite: the program against a Kafka with TLS, logins and ACLs, which `scripts/kafka start --secure` starts;
//! `FOODSTREAM_TEST_SECURE` is the folder of client files that it prints.
//!
//! Every command works with the least rights of the table in docs/REFERENCE.md, and names each right that is taken away.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test has a clock, an environment and clients of its own, beside the program's"
)]

#[path = "../support/bounded.rs"]
mod bounded;
mod connecting;
mod granting;
mod grants;
mod least_rights;
mod process;
mod site;
mod support;
mod table;

use libtest_mimic::Arguments;

fn main() {
    let mut arguments = Arguments::from_args();
    // Much of a command's time is waiting for the broker.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let Some(folder) = std::env::var_os("FOODSTREAM_TEST_SECURE") else {
        eprintln!("skipped: FOODSTREAM_TEST_SECURE names no folder of `scripts/kafka start --secure`");
        return;
    };
    let site: &'static site::Site = Box::leak(Box::new(site::Site::open(folder.into())));
    let mut trials = least_rights::trials(site);
    trials.extend(granting::trials(site));
    trials.extend(connecting::trials(site));
    libtest_mimic::run(&arguments, trials).exit();
}

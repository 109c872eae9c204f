//! Recorded transcripts: compares with them, and records them from Apache Kafka only.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

use kafka_protocol::messages::{ApiKey, ApiVersionsRequest};
use libtest_mimic::Failed;
use similar::{ChangeTag, TextDiff};

use super::Broker;
use super::client::Client;
use super::test_support::Recorder;

type TestResult = Result<(), Failed>;

/// Lines shown around a difference.
const CONTEXT: usize = 3;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/protocol/snapshots")
}

fn path(name: &str) -> PathBuf {
    directory().join(format!("{name}.txt"))
}

/// Runs a case against a broker and compares its transcript with the recorded one.
pub fn check(name: &str, case: fn(&mut Recorder), broker: &Broker) -> TestResult {
    let mut recorder = Recorder::new(&broker.address);
    // A case that panics prints its transcript so far.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case(&mut recorder))) {
        eprintln!("transcript of {name} up to the panic:\n{}", recorder.transcript());
        resume_unwind(panic);
    }
    let transcript = recorder.transcript();
    if broker.records {
        fs::write(path(name), transcript)?;
        return Ok(());
    }
    let expected = fs::read_to_string(path(name))
        .map_err(|error| format!("cannot read the transcript of Apache Kafka: {error}"))?;
    if expected == transcript { Ok(()) } else { Err(difference(&expected, &transcript).into()) }
}

fn difference(expected: &str, transcript: &str) -> String {
    let diff = TextDiff::from_lines(expected, transcript);
    let mut text = "responses of the broker (+) differ from those of Apache Kafka (-):\n".to_owned();
    for group in diff.grouped_ops(CONTEXT) {
        text += "    ...\n";
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            write!(text, "  {sign} {change}").expect("writing to a string succeeds");
        }
    }
    text
}

/// Fails if a transcript belongs to no case, for example because the case was renamed.
pub fn check_no_orphans(names: &[&str]) -> TestResult {
    let known: BTreeSet<PathBuf> = names.iter().map(|name| path(name)).collect();
    let orphans: Vec<PathBuf> = fs::read_dir(directory())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| !known.contains(path))
        .collect();
    if orphans.is_empty() { Ok(()) } else { Err(format!("transcripts without a case: {orphans:?}").into()) }
}

/// Fails unless the broker is Apache Kafka 4.1, recognized by the APIs of share groups and of the quorum.
pub fn require_apache_kafka(address: &str) {
    let response = Client::connect(address).request(0, &ApiVersionsRequest::default());
    let supports = |key: ApiKey| response.api_keys.iter().any(|api| api.api_key == key as i16);
    let is_apache = [ApiKey::DescribeQuorum, ApiKey::ShareFetch, ApiKey::ShareGroupDescribe].into_iter().all(supports);
    assert!(is_apache, "transcripts are recorded from Apache Kafka 4.1 only, and {address} is another broker");
}

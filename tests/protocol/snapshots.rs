//! Owns the recorded transcripts: comparing with them, and recording them from Apache Kafka and nobody else.

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
use super::lab::Lab;

type Outcome = Result<(), Failed>;

/// How many lines around a difference are shown.
const CONTEXT: usize = 3;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/protocol/snapshots")
}

fn path(name: &str) -> PathBuf {
    folder().join(format!("{name}.txt"))
}

/// Plays a case against a broker and holds its transcript against the recorded one.
pub fn hold(name: &str, case: fn(&mut Lab), broker: &Broker) -> Outcome {
    let mut lab = Lab::new(&broker.address);
    // A case that cannot go on says how far it came.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case(&mut lab))) {
        eprintln!("{name} came as far as this:\n{}", lab.transcript());
        resume_unwind(panic);
    }
    let transcript = lab.transcript();
    if broker.records {
        fs::write(path(name), transcript)?;
        return Ok(());
    }
    let recorded = fs::read_to_string(path(name)).map_err(|error| format!("no transcript of Apache Kafka: {error}"))?;
    if recorded == transcript { Ok(()) } else { Err(difference(&recorded, &transcript).into()) }
}

fn difference(recorded: &str, transcript: &str) -> String {
    let diff = TextDiff::from_lines(recorded, transcript);
    let mut text = "the broker (+) does not answer as Apache Kafka (-) did:\n".to_owned();
    for group in diff.grouped_ops(CONTEXT) {
        text += "    ...\n";
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            write!(text, "  {sign} {change}").expect("a string takes all");
        }
    }
    text
}

/// A case that was renamed leaves its transcript behind, and nobody would notice that it is held against nothing.
pub fn look_for_strays(names: &[&str]) -> Outcome {
    let known: BTreeSet<PathBuf> = names.iter().map(|name| path(name)).collect();
    let strays: Vec<PathBuf> = fs::read_dir(folder())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| !known.contains(path))
        .collect();
    if strays.is_empty() { Ok(()) } else { Err(format!("transcripts of no case: {strays:?}").into()) }
}

/// Apache Kafka 4.1 knows share groups and answers for its quorum; no one else here does, or is to be taken for the truth.
pub fn insist_on_apache_kafka(address: &str) {
    let answer = Client::connect(address).request(0, &ApiVersionsRequest::default());
    let knows = |key: ApiKey| answer.api_keys.iter().any(|api| api.api_key == key as i16);
    let is_apache = [ApiKey::DescribeQuorum, ApiKey::ShareFetch, ApiKey::ShareGroupDescribe].into_iter().all(knows);
    assert!(is_apache, "{address} is not Apache Kafka 4.1, and only its answers are recorded");
}

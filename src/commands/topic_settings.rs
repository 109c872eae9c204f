//! Required topic settings: changelogs are compacted, all other topics are not.

use super::Context;
use super::topic_set::{Topic, TopicSet, TopicUse};
use crate::exit::{Code, Failure};
use crate::kafka::{ErrorKind, Inspector, Operation, TopicSettings};
use crate::topics::MIN_CHANGELOG_RECORD_BYTES;

/// Checks that each topic keeps its records. Fails with exit code 7 and the command that corrects the setting:
/// retention would delete state that did not change for a while, and compaction would delete unread orders. Fails with
/// exit code 5 if the settings of a changelog to be written cannot be read.
pub(super) fn check(context: &Context, inspector: &Inspector, uses: &[TopicUse]) -> Result<(), Failure> {
    for used in uses {
        let is_changelog = matches!(used.topic, Topic::Ledger | Topic::AnalyticsState);
        let [reads, writes] = [Operation::Read, Operation::Write].map(|operation| used.operations.contains(&operation));
        // A command that only writes orders reads none, and one that only reads state writes none.
        if (is_changelog && !writes) || (used.topic == Topic::Orders && !reads) {
            continue;
        }
        let name = used.topic.name(&context.common.names);
        let settings = match inspector.topic_settings(&name) {
            Ok(settings) => settings,
            // A wrong setting of these topics loses no state.
            Err(error) if error.kind() == ErrorKind::Denied && !is_changelog => continue,
            Err(error) => return Err(error.into()),
        };
        if let Some((setting, found, wanted, why)) = wrong(used.topic, &settings) {
            return Err(Failure::new(Code::Refused, format!("{name} has {setting}={found}: {why}")).hint(format!(
                "kafka-configs --bootstrap-server {} --alter --entity-type topics --entity-name {name} --add-config {setting}={wanted}",
                context.common.connection.bootstrap()
            )));
        }
    }
    Ok(())
}

/// Like [`check`], for the state that a switch writes to, if it exists.
pub(super) fn check_state(context: &Context, inspector: &Inspector, topic_set: &TopicSet) -> Result<(), Failure> {
    if !topic_set.has(Topic::AnalyticsState) {
        return Ok(());
    }
    check(context, inspector, &[Topic::AnalyticsState.to(&[Operation::Write])])
}

/// The wrong setting: name, value, required value and reason.
fn wrong(topic: Topic, settings: &TopicSettings) -> Option<(&'static str, String, String, &'static str)> {
    let TopicSettings { cleanup_policy, max_message_bytes } = settings;
    let policies: Vec<&str> = cleanup_policy.split(',').map(str::trim).collect();
    let compacts = policies.contains(&"compact");
    let policy = |wanted: &str, why| Some(("cleanup.policy", cleanup_policy.clone(), wanted.to_owned(), why));
    match topic {
        Topic::Ledger if policies != ["compact"] => {
            policy("compact", "stock that has not changed for a while would be deleted and sold again")
        }
        Topic::AnalyticsState if policies != ["compact"] => policy(
            "compact",
            "counts that have not changed for a while would be deleted and be missing from the metrics",
        ),
        Topic::Ledger | Topic::AnalyticsState if *max_message_bytes < MIN_CHANGELOG_RECORD_BYTES => Some((
            "max.message.bytes",
            max_message_bytes.to_string(),
            MIN_CHANGELOG_RECORD_BYTES.to_string(),
            "a state record may be larger",
        )),
        Topic::Orders if compacts => {
            policy("delete", "an order is deleted when a later one has the same key, even if it was not processed")
        }
        Topic::Decisions if compacts => {
            policy("delete", "a decision is deleted when a later one has the same key, even if it was not counted")
        }
        Topic::DeadLetters if compacts => policy("delete", "a bad record without a key cannot be written to it"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(topic: Topic, cleanup_policy: &str, max_message_bytes: u64) -> Option<(&'static str, String)> {
        let settings = TopicSettings { cleanup_policy: cleanup_policy.to_owned(), max_message_bytes };
        wrong(topic, &settings).map(|(setting, _, wanted, _)| (setting, wanted))
    }

    #[test]
    fn a_changelog_must_be_compacted() {
        for topic in [Topic::Ledger, Topic::AnalyticsState] {
            assert_eq!(found(topic, "compact", 1_048_588), None);
            for policy in ["delete", "compact,delete", "delete,compact", "compact, delete", ""] {
                let wanted = Some(("cleanup.policy", "compact".to_owned()));
                assert_eq!(found(topic, policy, 1_048_588), wanted, "{policy}");
            }
            let wanted = Some(("max.message.bytes", MIN_CHANGELOG_RECORD_BYTES.to_string()));
            assert_eq!(found(topic, "compact", MIN_CHANGELOG_RECORD_BYTES - 1), wanted);
            assert_eq!(found(topic, "compact", MIN_CHANGELOG_RECORD_BYTES), None);
        }
    }

    #[test]
    fn other_topics_must_not_be_compacted() {
        for topic in [Topic::Orders, Topic::Decisions, Topic::DeadLetters] {
            assert_eq!(found(topic, "delete", 1), None);
            for policy in ["compact", "compact,delete", "delete, compact"] {
                assert_eq!(found(topic, policy, 1), Some(("cleanup.policy", "delete".to_owned())), "{policy}");
            }
        }
    }
}

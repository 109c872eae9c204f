//! Owns the settings that topics must have: a changelog keeps the newest record of each key, every other topic all of them.

use super::Context;
use super::topic_set::{Topic, TopicSet, TopicUse};
use crate::exit::{Code, Failure};
use crate::kafka::{ErrorKind, Inspector, Operation, TopicSettings};
use crate::topics::MIN_CHANGELOG_RECORD_BYTES;

/// Requires that each topic keeps what it is used for.
///
/// # Errors
///
/// With exit code 7 and the command that sets it right: retention deletes from a state what was not changed for a while, and
/// compaction deletes orders that were not read yet. With 5 when the settings of a changelog that is written to may not be read.
pub(super) fn check(context: &Context, inspector: &Inspector, uses: &[TopicUse]) -> Result<(), Failure> {
    for used in uses {
        let is_changelog = matches!(used.topic, Topic::Ledger | Topic::AnalyticsState);
        let [reads, writes] = [Operation::Read, Operation::Write].map(|operation| used.operations.contains(&operation));
        // Who only places orders reads none of them, and who only looks at a state writes nothing to it.
        if (is_changelog && !writes) || (used.topic == Topic::Orders && !reads) {
            continue;
        }
        let name = used.topic.name(&context.common.names);
        let settings = match inspector.topic_settings(&name) {
            Ok(settings) => settings,
            // What these lose by a wrong setting is at least no state.
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

/// As [`check`], of the state that a switch writes to, where there is one already.
///
/// # Errors
///
/// As [`check`].
pub(super) fn check_state(context: &Context, inspector: &Inspector, topic_set: &TopicSet) -> Result<(), Failure> {
    if !topic_set.has(Topic::AnalyticsState) {
        return Ok(());
    }
    check(context, inspector, &[Topic::AnalyticsState.to(&[Operation::Write])])
}

/// The setting that is wrong, what it is, what it must be, and why.
fn wrong(topic: Topic, settings: &TopicSettings) -> Option<(&'static str, String, String, &'static str)> {
    let TopicSettings { cleanup_policy, max_message_bytes } = settings;
    let policies: Vec<&str> = cleanup_policy.split(',').map(str::trim).collect();
    let compacts = policies.contains(&"compact");
    let policy = |wanted: &str, why| Some(("cleanup.policy", cleanup_policy.clone(), wanted.to_owned(), why));
    match topic {
        Topic::Ledger if policies != ["compact"] => {
            policy("compact", "stock that no order has changed for a while would be deleted, and sold again")
        }
        Topic::AnalyticsState if policies != ["compact"] => policy(
            "compact",
            "counts that nothing has changed for a while would be deleted, and missing in the metrics",
        ),
        Topic::Ledger | Topic::AnalyticsState if *max_message_bytes < MIN_CHANGELOG_RECORD_BYTES => Some((
            "max.message.bytes",
            max_message_bytes.to_string(),
            MIN_CHANGELOG_RECORD_BYTES.to_string(),
            "a record of the state may be larger",
        )),
        Topic::Orders if compacts => policy("delete", "an order whose key a later one has is deleted, decided or not"),
        Topic::Decisions if compacts => {
            policy("delete", "a decision whose key a later one has is deleted, counted or not")
        }
        Topic::DeadLetters if compacts => policy("delete", "a bad record without a key could not be written to it"),
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
    fn a_changelog_is_compacted_and_nothing_else() {
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
    fn every_other_topic_is_not_compacted_at_all() {
        for topic in [Topic::Orders, Topic::Decisions, Topic::DeadLetters] {
            assert_eq!(found(topic, "delete", 1), None);
            for policy in ["compact", "compact,delete", "delete, compact"] {
                assert_eq!(found(topic, policy, 1), Some(("cleanup.policy", "delete".to_owned())), "{policy}");
            }
        }
    }
}

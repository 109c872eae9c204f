//! Options of `kafka-consumer-groups --reset-offsets` that `replay` lacks, and what to use instead.

use clap::Error;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Option and advice.
const KAFKA_OPTIONS: [(&str, &str); 5] = [
    (
        "--to-latest",
        "a replay only goes back, because skipped records would not be counted; `foodstream analytics` continues from the group's offsets",
    ),
    (
        "--to-current",
        "a replay only goes back, and the group is already at its current offsets; `--dry-run` shows them",
    ),
    ("--execute", "`foodstream replay` executes unless --dry-run is given: omit it"),
    ("--reset-offsets", "`foodstream replay` always resets offsets: omit it"),
    ("--all-topics", "`foodstream replay` covers all topics unless --topic is given: omit it"),
];

/// Replaces clap's suggestion for one of these options with the advice.
#[must_use]
pub fn explain_kafka_option(mut error: Error) -> Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return error };
    let option = argument.split('=').next().unwrap_or_default();
    let Some((_, advice)) = KAFKA_OPTIONS.iter().find(|(term, _)| *term == option) else { return error };
    for guessed in [ContextKind::SuggestedArg, ContextKind::Usage] {
        error.remove(guessed);
    }
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(*advice)]));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_for(words: &[&str]) -> String {
        let error = super::super::command().try_get_matches_from(words).expect_err("refused");
        explain_kafka_option(error).render().to_string()
    }

    #[test]
    fn explains_options_of_kafkas_tool() {
        for (term, words) in [
            ("--to-latest", "only goes back"),
            ("--to-current", "only goes back"),
            ("--execute", "omit it"),
            ("--reset-offsets", "omit it"),
            ("--all-topics", "omit it"),
        ] {
            let message = message_for(&["foodstream", "replay", term, "--topic", "order-events"]);
            assert!(message.contains(&format!("'{term}'")) && message.contains(words), "{message}");
            assert!(!message.contains("--to-earliest") && !message.contains("--to-offset"), "{message}");
        }
        let other = message_for(&["foodstream", "replay", "--to-earlyest"]);
        assert!(other.contains("--to-earliest") && other.contains("Usage:"), "{other}");
    }
}

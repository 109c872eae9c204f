//! Owns the words of Kafka's own tool that people type here, and what to type in their place.

use clap::Error;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Options of `kafka-consumer-groups --reset-offsets` that `replay` has not got, and what is said about each.
const KAFKA_OPTIONS: [(&str, &str); 5] = [
    (
        "--to-latest",
        "a replay goes back and never forwards: what it passed over would not be counted; `foodstream analytics` reads on from where the group is",
    ),
    (
        "--to-current",
        "a replay goes back and never forwards: the group is at its current offsets without one; `--dry-run` shows them",
    ),
    ("--execute", "`foodstream replay` executes unless it is given --dry-run: leave it out"),
    ("--reset-offsets", "`foodstream replay` resets the offsets by itself: leave it out"),
    ("--all-topics", "`foodstream replay` is about both topics unless --topic names one: leave it out"),
];

/// The same error; what clap would guess from the letters of an option of Kafka's tool gives way to what helps.
#[must_use]
pub fn explain_kafka_option(mut error: Error) -> Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg) else { return error };
    let option = typed.split('=').next().unwrap_or_default();
    let Some((_, words)) = KAFKA_OPTIONS.iter().find(|(term, _)| *term == option) else { return error };
    for guessed in [ContextKind::SuggestedArg, ContextKind::Usage] {
        error.remove(guessed);
    }
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(*words)]));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &[&str]) -> String {
        let error = super::super::command().try_get_matches_from(words).expect_err("refused");
        explain_kafka_option(error).render().to_string()
    }

    #[test]
    fn what_kafkas_tool_takes_is_told_with_what_helps() {
        for (term, words) in [
            ("--to-latest", "never forwards"),
            ("--to-current", "never forwards"),
            ("--execute", "leave it out"),
            ("--reset-offsets", "leave it out"),
            ("--all-topics", "leave it out"),
        ] {
            let told = told(&["foodstream", "replay", term, "--topic", "order-events"]);
            assert!(told.contains(&format!("'{term}'")) && told.contains(words), "{told}");
            assert!(!told.contains("--to-earliest") && !told.contains("--to-offset"), "{told}");
        }
        let other = told(&["foodstream", "replay", "--to-earlyest"]);
        assert!(other.contains("--to-earliest") && other.contains("Usage:"), "{other}");
    }
}

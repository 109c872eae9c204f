//! Owns which names a topic may have.

/// The longest name that Kafka allows.
const MAX_LENGTH: usize = 249;

/// Topics that Kafka keeps for itself: clients may read them, and not delete from them.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Where Kafka keeps its own metadata; no topic may be called so.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Why a topic cannot have this name, in Kafka's words.
pub fn refusal(name: &str) -> Option<String> {
    let why = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." | ".." => format!("'{name}' is not allowed"),
        _ if name.len() > MAX_LENGTH => {
            format!("the length of '{name}' is longer than the max allowed length {MAX_LENGTH}")
        }
        _ if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) => {
            return None;
        }
        _ => format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
    };
    Some(format!("Topic name is invalid: {why}"))
}

/// Whether Kafka keeps this topic for itself.
pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// Whether the metrics of two topics of these names could not be told apart: Kafka's metrics write a dot as an underscore.
pub fn collide(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && one.bytes().zip(other.bytes()).all(|(a, b)| a == b || (matches!(a, b'.' | b'_') && matches!(b, b'.' | b'_')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kafkas_rules() {
        for name in ["a", "A-b_c.9", "...", "__x", &"x".repeat(MAX_LENGTH)] {
            assert_eq!(refusal(name), None, "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "ä", "a\n", "a\0", &"x".repeat(MAX_LENGTH + 1)] {
            assert!(refusal(name).is_some(), "{name}");
        }
        assert_eq!(refusal("..").as_deref(), Some("Topic name is invalid: '..' is not allowed"));
    }

    #[test]
    fn names_collide_that_differ_in_dots_and_underscores_only() {
        assert!(collide("a.b_c", "a_b.c"));
        assert!(collide("a", "a"));
        assert!(!collide("a.b", "a-b"));
        assert!(!collide("a.b", "a.bc"));
    }
}

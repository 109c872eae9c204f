//! Topic names: validation, internal topics, collisions.

/// The longest name that Kafka allows.
const MAX_LENGTH: usize = 249;

/// Kafka's internal topics. Clients may read them but not delete records from them.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Kafka's metadata log. No topic may have this name.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Kafka's message if a topic name is invalid.
pub fn invalid_reason(name: &str) -> Option<String> {
    let reason = match name {
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
    Some(format!("Topic name is invalid: {reason}"))
}

/// Whether this is one of Kafka's internal topics.
pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// Whether two names differ only in dots and underscores. Kafka's metric names would be the same: they replace dots by
/// underscores.
pub fn collide(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && one.bytes().zip(other.bytes()).all(|(a, b)| a == b || (matches!(a, b'.' | b'_') && matches!(b, b'.' | b'_')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validates_names_as_kafka_does() {
        for name in ["a", "A-b_c.9", "...", "__x", &"x".repeat(MAX_LENGTH)] {
            assert_eq!(invalid_reason(name), None, "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "ä", "a\n", "a\0", &"x".repeat(MAX_LENGTH + 1)] {
            assert!(invalid_reason(name).is_some(), "{name}");
        }
        assert_eq!(invalid_reason("..").as_deref(), Some("Topic name is invalid: '..' is not allowed"));
    }

    #[test]
    fn dots_and_underscores_collide() {
        assert!(collide("a.b_c", "a_b.c"));
        assert!(collide("a", "a"));
        assert!(!collide("a.b", "a-b"));
        assert!(!collide("a.b", "a.bc"));
    }
}

//! Owns the id of a topic (KIP-516): what tells a topic from another one of the same name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A topic's id, as Kafka's own tools print it: base64 for URLs, 22 characters. Never that of no topic, which is all zeros.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicId(Box<str>);

impl TopicId {
    /// The id of these 128 bits; `None` where all are zero: the cluster gives its topics no ids.
    #[must_use]
    pub fn of_bits(bits: u128) -> Option<Self> {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        if bits == 0 {
            return None;
        }
        // Four zero bits are added at the end, as for any 16 bytes.
        let digit = |place: u32| if place == 21 { bits << 4 } else { bits >> (122 - 6 * place) };
        let text: String =
            (0..22).map(|place| char::from(DIGITS[usize::try_from(digit(place) & 63).unwrap_or_default()])).collect();
        Some(Self(text.into()))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether two ids are of two topics: what is not known, as an older version or an older cluster leaves it, is no
/// other topic's.
#[must_use]
pub fn is_another_topic(kept: Option<&TopicId>, found: Option<&TopicId>) -> bool {
    matches!((kept, found), (Some(kept), Some(found)) if kept != found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both as `org.apache.kafka.common.Uuid` writes them.
    #[test]
    fn an_id_is_written_as_kafka_writes_it() {
        let written = |bits| TopicId::of_bits(bits).expect("an id").to_string();
        assert_eq!(written(1), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(written(u128::MAX), "_____________________w");
        assert_eq!(written(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), "ASNFZ4mrze8BI0VniavN7w");
        assert_eq!(TopicId::of_bits(0), None);
    }

    #[test]
    fn only_two_known_ids_can_differ() {
        let [one, two] = [1, 2].map(TopicId::of_bits);
        assert!(is_another_topic(one.as_ref(), two.as_ref()));
        assert!(!is_another_topic(one.as_ref(), one.as_ref()));
        assert!(!is_another_topic(None, two.as_ref()) && !is_another_topic(one.as_ref(), None));
    }
}

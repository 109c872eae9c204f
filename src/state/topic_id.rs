//! Topic ids (KIP-516): they distinguish a topic from a deleted one of the same name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A topic id as Kafka's tools print it: 22 characters of URL-safe base64. Never all zeros: that
/// is the id on a cluster without topic ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicId(Box<str>);

impl TopicId {
    /// The id with these 128 bits; `None` for zero: the cluster has no topic ids.
    #[must_use]
    pub fn of_bits(bits: u128) -> Option<Self> {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        if bits == 0 {
            return None;
        }
        // Base64 pads 16 bytes with four zero bits.
        let digit = |index: u32| if index == 21 { bits << 4 } else { bits >> (122 - 6 * index) };
        let text: String =
            (0..22).map(|index| char::from(DIGITS[usize::try_from(digit(index) & 63).unwrap_or_default()])).collect();
        Some(Self(text.into()))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether two ids are those of different topics. An unknown id, of an older version or an older cluster, may be any.
#[must_use]
pub fn is_another_topic(kept: Option<&TopicId>, found: Option<&TopicId>) -> bool {
    matches!((kept, found), (Some(kept), Some(found)) if kept != found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are those of `org.apache.kafka.common.Uuid`.
    #[test]
    fn is_written_as_by_kafka() {
        let text = |bits| TopicId::of_bits(bits).expect("an id").to_string();
        assert_eq!(text(1), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(text(u128::MAX), "_____________________w");
        assert_eq!(text(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), "ASNFZ4mrze8BI0VniavN7w");
        assert_eq!(TopicId::of_bits(0), None);
    }

    #[test]
    fn only_known_ids_differ() {
        let [one, two] = [1, 2].map(TopicId::of_bits);
        assert!(is_another_topic(one.as_ref(), two.as_ref()));
        assert!(!is_another_topic(one.as_ref(), one.as_ref()));
        assert!(!is_another_topic(None, two.as_ref()) && !is_another_topic(one.as_ref(), None));
    }
}

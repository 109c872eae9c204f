//! Digest of an offset range: a sum over the hashes of its records, so that digests of ranges can be added.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use xxhash_rust::xxh3::Xxh3Default;

/// The sum modulo 2^128 of the XXH3-128 hashes of a range's records.
///
/// The hash of a record covers, all little-endian: its offset (8 bytes), the length of its key (4 bytes, −1 without a
/// key), the key, the length of its value (likewise), and the value.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Digest(u128);

impl Digest {
    /// Adds a record.
    pub fn add(&mut self, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        let mut hash = Xxh3Default::new();
        hash.update(&offset.to_le_bytes());
        for part in [key, value] {
            // Records are far smaller than 2 GiB, so the lengths fit.
            let length = part.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            hash.update(&length.to_le_bytes());
            hash.update(part.unwrap_or_default());
        }
        self.0 = self.0.wrapping_add(hash.digest128());
    }

    /// The digest of two ranges without a common record.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// The digest of the records that were added since an earlier digest of the same range.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.wrapping_sub(earlier.0))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() != 32 {
            return Err(D::Error::custom("a digest has 32 hex digits"));
        }
        u128::from_str_radix(&text, 16).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hashes_the_documented_bytes() {
        let mut digest = Digest::default();
        digest.add(7, None, Some(b"x"));
        let bytes = [7, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 1, 0, 0, 0, b'x'];
        assert_eq!(digest.to_string(), format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes)));
    }

    #[test]
    fn null_empty_key_and_value_are_distinguished() {
        let of = |key: Option<&[u8]>, value: Option<&[u8]>| {
            let mut digest = Digest::default();
            digest.add(0, key, value);
            digest
        };
        assert_ne!(of(None, Some(b"")), of(Some(b""), None));
        assert_ne!(of(Some(b"ab"), Some(b"c")), of(Some(b"a"), Some(b"bc")));
    }

    proptest! {
        #[test]
        fn is_independent_of_order_and_split(
            records in prop::collection::vec((any::<i64>(), any::<Option<Vec<u8>>>(), any::<Option<Vec<u8>>>()), 0..40),
            split in 0usize..40,
        ) {
            let mut whole = Digest::default();
            for (offset, key, value) in &records {
                whole.add(*offset, key.as_deref(), value.as_deref());
            }
            let (mut left, mut right) = (Digest::default(), Digest::default());
            for (index, (offset, key, value)) in records.iter().enumerate().rev() {
                let side = if index < split { &mut left } else { &mut right };
                side.add(*offset, key.as_deref(), value.as_deref());
            }
            prop_assert_eq!(left.plus(right), whole);
            prop_assert_eq!(whole.since(left), right);
        }

        #[test]
        fn round_trips_through_json(records in prop::collection::vec(any::<i64>(), 0..4)) {
            let mut digest = Digest::default();
            for offset in records { digest.add(offset, None, None); }
            let json = serde_json::to_string(&digest).expect("serializes");
            prop_assert_eq!(serde_json::from_str::<Digest>(&json).expect("parses"), digest);
        }
    }
}

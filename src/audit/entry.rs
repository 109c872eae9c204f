//! Entries: records reduced to what is compared, of a fixed size, so that many of them can be sorted outside of memory.

/// A record, or a part of one, that must be matched with others of the same key.
///
/// Entries are sorted by key, then by place: causes come before effects, each in the order of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// What entries have in common that belong together: a hash, or packed coordinates.
    pub key: u128,
    /// Where the record is, and on which side.
    pub place: Place,
    /// What is compared within a key.
    pub detail: u64,
}

impl Entry {
    /// The size of an encoded entry in bytes.
    pub const SIZE: usize = 32;

    /// The entry as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..16].copy_from_slice(&self.key.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.place.0.to_le_bytes());
        bytes[24..].copy_from_slice(&self.detail.to_le_bytes());
        bytes
    }

    /// The entry of these bytes.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Self {
        let number = |start: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[start..start + 8]);
            u64::from_le_bytes(number)
        };
        Self { key: u128::from(number(0)) | u128::from(number(8)) << 64, place: Place(number(16)), detail: number(24) }
    }
}

/// The side, partition and offset of an entry, packed into 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u64);

/// Which side of a comparison an entry is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// An input, or what must be there.
    Cause,
    /// An output, or what is there.
    Effect,
}

const OFFSET_BITS: u32 = 48;
const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;

impl Place {
    /// The largest partition that fits.
    pub const MAX_PARTITION: i32 = (1 << 15) - 1;

    /// Packs a place. The partition must be at most [`Place::MAX_PARTITION`], and the offset below 2^48: a partition
    /// that gets a million records a second reaches it in nine years.
    #[must_use]
    pub fn new(side: Side, partition: i32, offset: i64) -> Self {
        let side = u64::from(side == Side::Effect) << 63;
        Self(side | u64::from(partition.unsigned_abs()) << OFFSET_BITS | (offset.unsigned_abs() & OFFSET_MASK))
    }

    /// The side.
    #[must_use]
    pub const fn side(self) -> Side {
        if self.0 >> 63 == 0 { Side::Cause } else { Side::Effect }
    }

    /// The partition.
    #[must_use]
    pub fn partition(self) -> i32 {
        i32::try_from(self.0 >> OFFSET_BITS & 0x7fff).unwrap_or(Self::MAX_PARTITION)
    }

    /// The offset.
    #[must_use]
    pub fn offset(self) -> i64 {
        i64::try_from(self.0 & OFFSET_MASK).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_round_trip(key: u128, detail: u64, partition in 0..=Place::MAX_PARTITION, offset in 0_i64..1 << 48, effect: bool) {
            let side = if effect { Side::Effect } else { Side::Cause };
            let place = Place::new(side, partition, offset);
            prop_assert_eq!((place.side(), place.partition(), place.offset()), (side, partition, offset));
            let entry = Entry { key, place, detail };
            prop_assert_eq!(Entry::decode(&entry.encode()), entry);
        }

        #[test]
        fn places_are_in_the_order_of_the_log(left: (bool, u8, u32), right: (bool, u8, u32)) {
            let place = |(effect, partition, offset): (bool, u8, u32)| {
                let side = if effect { Side::Effect } else { Side::Cause };
                Place::new(side, partition.into(), offset.into())
            };
            prop_assert_eq!(place(left).cmp(&place(right)), left.cmp(&right));
        }
    }
}

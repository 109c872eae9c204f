//! Random numbers of the workload: those of an event depend on the seed and its index only.
//!
//! Users rely on the numbers: a seed in a bug report must give the same bytes in every later version. So only published
//! algorithms of other crates are used (XXH3 and xoshiro256**, from a full 32-byte state), and the 64-bit words are
//! converted here: a new version of a crate cannot change its sampling or seeding. Tests fix the words and the bytes of
//! some events.

use rand_xoshiro::Xoshiro256StarStar;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use uuid::Builder;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::Fraction;

/// The purpose of a hash of seed and index.
#[derive(Clone, Copy)]
enum Purpose {
    OrderId = 1,
    StateLow = 2,
    StateHigh = 3,
    Shape = 4,
}

fn hash(seed: u64, index: u64, purpose: Purpose) -> u128 {
    let mut input = [0; 16];
    input[..8].copy_from_slice(&seed.to_le_bytes());
    input[8..].copy_from_slice(&index.to_le_bytes());
    xxh3_128_with_seed(&input, purpose as u64)
}

/// Writes the order id of an event: a UUID of version 8 with a hash of seed and index in its 122 bits.
pub(super) fn order_id(seed: u64, index: u64, text: &mut [u8; 36]) -> &str {
    let bytes = hash(seed, index, Purpose::OrderId).to_be_bytes();
    Builder::from_custom_bytes(bytes).into_uuid().hyphenated().encode_lower(text)
}

/// A number below `end`, for a place in the shape of a workload.
pub(super) fn below(seed: u64, place: u64, end: u64) -> u64 {
    #[allow(clippy::cast_possible_truncation, reason = "half of the hash suffices")]
    let word = hash(seed, place, Purpose::Shape) as u64;
    scaled(word, end)
}

/// The number below `end` for a word, or 0 if `end` is 0.
fn scaled(word: u64, end: u64) -> u64 {
    #[allow(clippy::cast_possible_truncation, reason = "the high half of a 128-bit product")]
    let number = ((u128::from(word) * u128::from(end)) >> 64) as u64;
    number
}

/// The random numbers of one event.
pub(super) struct Draws(Xoshiro256StarStar);

impl Draws {
    pub fn of(seed: u64, index: u64) -> Self {
        let mut state = [0; 32];
        state[..16].copy_from_slice(&hash(seed, index, Purpose::StateLow).to_le_bytes());
        state[16..].copy_from_slice(&hash(seed, index, Purpose::StateHigh).to_le_bytes());
        Self(Xoshiro256StarStar::from_seed(state))
    }

    pub fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`, or 0 if `end` is 0; uniform to within `end` in 2^64.
    pub fn below(&mut self, end: u64) -> u64 {
        scaled(self.word(), end)
    }

    /// Whether this event belongs to a fraction of all events.
    pub fn is_among(&mut self, fraction: Fraction) -> bool {
        fraction.includes(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_an_event_are_fixed() {
        let mut draws = Draws::of(42, 7);
        insta::assert_snapshot!(format!("{:016x} {:016x} {:016x}", draws.word(), draws.word(), draws.word()), @"8a70b5fba2a5e692 ad3091d65d492f42 e2ce6650e5cb76ce");
        let mut text = [0; 36];
        insta::assert_snapshot!(order_id(42, 7, &mut text), @"fae208e3-bd4c-8e29-838b-e296e8806434");
    }

    #[test]
    fn an_order_id_is_a_uuid_of_version_8() {
        let mut text = [0; 36];
        for index in 0..100 {
            let id = uuid::Uuid::parse_str(order_id(1, index, &mut text)).expect("a UUID");
            assert_eq!((id.get_version_num(), id.get_variant()), (8, uuid::Variant::RFC4122));
        }
    }

    #[test]
    fn numbers_below_an_end_are_uniform() {
        let mut counts = [0u32; 10];
        for index in 0..100_000 {
            let number = Draws::of(3, index).below(10);
            counts[usize::try_from(number).expect("small")] += 1;
        }
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
        assert_eq!(Draws::of(3, 0).below(0), 0);
        assert_eq!(Draws::of(3, 0).below(1), 0);
    }
}

//! Sums of money, which may exceed 64 bits of cents; a decimal string in JSON.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::domain::Cents;

/// A sum of money in cents.
///
/// An order line may be worth 10^15 cents, so 64 bits would overflow after some ten thousand of them. In JSON it is a
/// string with two decimals, because many readers would round such a large number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revenue(pub u128);

impl Revenue {
    /// The revenue of `quantity` pieces at `price`.
    #[must_use]
    pub fn of_line(quantity: u32, price: Cents) -> Self {
        // The decoder rejects negative prices.
        Self(u128::from(quantity) * u128::from(price.0.unsigned_abs()))
    }

    /// The sum; saturates instead of wrapping around.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Revenue {
    /// Currency units with two decimals, as in `8.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl FromStr for Revenue {
    type Err = &'static str;

    /// Reads exactly what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORMAT: &str = "expected digits, a point and two digits";
        let (units, cents) = text.split_once('.').ok_or(FORMAT)?;
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(units) || !digits(cents) || cents.len() != 2 {
            return Err(FORMAT);
        }
        let number = |part: &str| part.parse::<u128>().map_err(|_| "the sum exceeds 128 bits");
        number(&[units, cents].concat()).map(Self)
    }
}

impl Serialize for Revenue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Revenue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_line_is_exact() {
        assert_eq!(Revenue::of_line(1_000_000, Cents::LIMIT).to_string(), "10000000000000.00");
        assert_eq!(Revenue(u128::MAX).plus(Revenue(1)), Revenue(u128::MAX));
    }

    #[test]
    fn other_texts_are_errors() {
        for text in ["", "1", "1.", ".10", "1.0", "1.000", "+1.00", "-1.00", "1.0x", "1,00", " 1.00"] {
            assert!(text.parse::<Revenue>().is_err(), "{text:?}");
        }
        assert!(format!("{}.00", u128::MAX).parse::<Revenue>().is_err(), "more than 128 bits");
    }

    proptest! {
        #[test]
        fn round_trips_through_text(cents: u128) {
            prop_assert_eq!(Revenue(cents).to_string().parse::<Revenue>(), Ok(Revenue(cents)));
        }
    }
}

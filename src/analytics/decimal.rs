//! Owns rates and averages: hundredths, rounded once, half to even, from exact integers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A number with two decimals: as text `4.97`, as a JSON number 4.97.
///
/// The JSON number is exact below 10^13, which is more orders a minute than there are people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(u128);

impl Decimal {
    /// `part` of `whole` in percent; 0 of nothing.
    #[must_use]
    pub fn percent(part: u128, whole: u128) -> Self {
        Self(half_even(part.saturating_mul(10_000), whole))
    }

    /// `sum` spread over `count`; 0 over nothing.
    #[must_use]
    pub fn average(sum: u128, count: u128) -> Self {
        Self(half_even(sum.saturating_mul(100), count))
    }
}

/// The quotient rounded to the nearest integer, a tie to the even one; 0 over nothing.
const fn half_even(numerator: u128, denominator: u128) -> u128 {
    if denominator == 0 {
        return 0;
    }
    let (quotient, rest) = (numerator / denominator, numerator % denominator);
    // `rest` against what is missing to the next one, so that nothing is doubled and can overflow.
    let missing = denominator - rest;
    let up = rest > missing || (rest == missing && quotient % 2 == 1);
    quotient + up as u128
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[allow(clippy::cast_precision_loss, reason = "exact below 2^53; the type's limit says so")]
        serializer.serialize_f64(self.0 as f64 / 100.0)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        if !number.is_finite() || number < 0.0 {
            return Err(D::Error::custom("a rate is not negative"));
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative; a larger number stays at the largest value"
        )]
        Ok(Self((number * 100.0).round() as u128))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ties_go_to_the_even_hundredth_and_nothing_is_zero() {
        let text = |part, whole| Decimal::average(part, whole).to_string();
        assert_eq!(text(1, 200), "0.00", "0.005");
        assert_eq!(text(3, 200), "0.02", "0.015");
        assert_eq!(text(5, 200), "0.02", "0.025");
        assert_eq!(text(201, 40_000), "0.01", "0.005025 is above the tie");
        assert_eq!(text(250, 1), "250.00");
        assert_eq!(text(7, 0), "0.00");
        assert_eq!(Decimal::percent(0, 0).to_string(), "0.00");
        assert_eq!(Decimal::percent(497, 10_000).to_string(), "4.97");
        assert_eq!(Decimal::percent(2, 3).to_string(), "66.67");
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        assert!(serde_json::from_str::<Decimal>("-1").is_err());
        assert!(serde_json::from_str::<Decimal>("\"4.97\"").is_err());
    }

    proptest! {
        /// The definition, in integers: no hundredth is nearer, and of two equally near ones it is the even one.
        #[test]
        fn no_hundredth_is_nearer(sum in 0..=u128::from(u64::MAX), count in 1..=u128::from(u64::MAX)) {
            let Decimal(found) = Decimal::average(sum, count);
            let twice_off = (2 * found * count).abs_diff(2 * 100 * sum);
            prop_assert!(twice_off < count || (twice_off == count && found % 2 == 0));
        }

        /// Denominators of which every other sum is a tie, or nearly one.
        #[test]
        fn nor_at_and_around_a_tie(sum in 0u128..20_000, count in prop::sample::select(vec![8u128, 199, 200, 201, 400])) {
            let Decimal(found) = Decimal::average(sum, count);
            let twice_off = (2 * found * count).abs_diff(2 * 100 * sum);
            prop_assert!(twice_off < count || (twice_off == count && found % 2 == 0));
        }

        #[test]
        fn it_survives_json(hundredths in 0u128..1_000_000_000_000_000) {
            let json = serde_json::to_string(&Decimal(hundredths)).expect("serializes");
            prop_assert_eq!(serde_json::from_str::<Decimal>(&json).expect("parses"), Decimal(hundredths));
            let text = Decimal(hundredths).to_string();
            prop_assert!(json.len() <= text.len() && text.starts_with(json.trim_end_matches('0')), "{} {}", json, text);
        }
    }
}

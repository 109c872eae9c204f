//! Decimals with two places for rates and averages, rounded half to even from exact integers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A number with two decimal places: `4.97` as text, 4.97 as a JSON number, which is exact below 10^13.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(u128);

impl Decimal {
    /// `part` of `whole` in percent; 0 if `whole` is 0.
    #[must_use]
    pub fn percent(part: u128, whole: u128) -> Self {
        Self(half_even(part.saturating_mul(10_000), whole))
    }

    /// `sum` divided by `count`; 0 if `count` is 0.
    #[must_use]
    pub fn average(sum: u128, count: u128) -> Self {
        Self(half_even(sum.saturating_mul(100), count))
    }
}

/// The quotient, rounded half to even; 0 if the denominator is 0.
const fn half_even(numerator: u128, denominator: u128) -> u128 {
    if denominator == 0 {
        return 0;
    }
    let (quotient, remainder) = (numerator / denominator, numerator % denominator);
    // Compares the remainder with its complement: doubling it could overflow.
    let complement = denominator - remainder;
    let up = remainder > complement || (remainder == complement && quotient % 2 == 1);
    quotient + up as u128
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[allow(clippy::cast_precision_loss, reason = "exact below 2^53")]
        serializer.serialize_f64(self.0 as f64 / 100.0)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        if !number.is_finite() || number < 0.0 {
            return Err(D::Error::custom("expected a number that is not negative"));
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative; a larger number saturates"
        )]
        Ok(Self((number * 100.0).round() as u128))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ties_round_to_even_and_zero_divides_to_zero() {
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
    fn negative_numbers_and_strings_are_errors() {
        assert!(serde_json::from_str::<Decimal>("-1").is_err());
        assert!(serde_json::from_str::<Decimal>("\"4.97\"").is_err());
    }

    proptest! {
        /// The definition in integers: no other value is nearer, and of two equally near ones it is the even one.
        #[test]
        fn is_the_nearest_value(sum in 0..=u128::from(u64::MAX), count in 1..=u128::from(u64::MAX)) {
            let Decimal(hundredths) = Decimal::average(sum, count);
            let twice_off = (2 * hundredths * count).abs_diff(2 * 100 * sum);
            prop_assert!(twice_off < count || (twice_off == count && hundredths % 2 == 0));
        }

        /// Denominators for which every other sum is a tie, or nearly one.
        #[test]
        fn is_the_nearest_value_around_ties(sum in 0u128..20_000, count in prop::sample::select(vec![8u128, 199, 200, 201, 400])) {
            let Decimal(hundredths) = Decimal::average(sum, count);
            let twice_off = (2 * hundredths * count).abs_diff(2 * 100 * sum);
            prop_assert!(twice_off < count || (twice_off == count && hundredths % 2 == 0));
        }

        #[test]
        fn round_trips_through_json(hundredths in 0u128..1_000_000_000_000_000) {
            let json = serde_json::to_string(&Decimal(hundredths)).expect("serializes");
            prop_assert_eq!(serde_json::from_str::<Decimal>(&json).expect("parses"), Decimal(hundredths));
            let text = Decimal(hundredths).to_string();
            prop_assert!(json.len() <= text.len() && text.starts_with(json.trim_end_matches('0')), "{} {}", json, text);
        }
    }
}

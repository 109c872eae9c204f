//! Money in integer cents, its text, and the conversion from JSON's floating point.

use std::fmt;

/// An amount of money in cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cents(pub i64);

impl Cents {
    /// The largest price or total of an event: 10,000,000.00.
    pub const LIMIT: Self = Self(1_000_000_000);

    /// [`Cents::LIMIT`] in currency units.
    const LIMIT_UNITS: f64 = 10_000_000.0;

    /// The largest deviation from a whole cent, in cents: 0.000001 units (`docs/reference/events.md`).
    const TOLERANCE: f64 = 0.000_1;

    /// Converts an amount in currency units to cents, with a tolerance of 0.000001 units for floating-point errors.
    ///
    /// `None` for an amount that is not finite, negative, above [`Cents::LIMIT`], or not near a whole cent. `-0.0` is
    /// 0.
    #[must_use]
    pub fn from_units(units: f64) -> Option<Self> {
        if !(0.0..=Self::LIMIT_UNITS).contains(&units) {
            return None;
        }
        let exact = units * 100.0;
        let cents = exact.round();
        // A double and a product are each off by half an ulp at most: accept amounts at the edge of the tolerance.
        let rounding = exact * f64::EPSILON;
        #[allow(clippy::cast_possible_truncation, reason = "whole, and checked against the limit")]
        ((exact - cents).abs() <= Self::TOLERANCE + rounding).then_some(Self(cents as i64))
    }

    /// Appends the amount in currency units with two decimals, as in `8.50`: a JSON number.
    pub fn write(self, out: &mut Vec<u8>) {
        if self.0 < 0 {
            out.push(b'-');
        }
        let magnitude = self.0.unsigned_abs();
        out.extend_from_slice(itoa::Buffer::new().format(magnitude / 100).as_bytes());
        let hundredths = magnitude % 100;
        #[allow(clippy::cast_possible_truncation, reason = "single digits")]
        out.extend_from_slice(&[b'.', b'0' + (hundredths / 10) as u8, b'0' + (hundredths % 10) as u8]);
    }
}

impl fmt::Display for Cents {
    /// The amount in currency units with two decimals, as in `8.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", magnitude / 100, magnitude % 100)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_out_of_range_are_rejected() {
        for (units, cents) in [
            (0.0, Some(0)),
            (-0.0, Some(0)),
            (0.01, Some(1)),
            (10_000_000.0, Some(1_000_000_000)),
            (10_000_000.000_000_1, None),
            (10_000_000.01, None),
            (-0.01, None),
            (-0.000_000_1, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (f64::NEG_INFINITY, None),
            (f64::MAX, None),
            (f64::MIN_POSITIVE, Some(0)),
        ] {
            assert_eq!(Cents::from_units(units), cents.map(Cents), "{units}");
        }
    }

    proptest! {
        #[test]
        fn an_amount_round_trips_through_text(cents in 0..=Cents::LIMIT.0) {
            let units: f64 = Cents(cents).to_string().parse().expect("a number");
            prop_assert_eq!(Cents::from_units(units), Some(Cents(cents)));
        }

        #[test]
        fn a_millionth_is_tolerated(cents in 1..Cents::LIMIT.0, above: bool) {
            let near = |micros: i64| {
                // In ten-millionths of a unit, so that the text is exact.
                let value = cents * 100_000 + if above { micros } else { -micros };
                let text = format!("{}.{:07}", value / 10_000_000, value % 10_000_000);
                Cents::from_units(text.parse().expect("a number"))
            };
            prop_assert_eq!(near(10), Some(Cents(cents)));
            prop_assert_eq!(near(11), None);
        }

        #[test]
        fn write_and_display_agree(cents: i64) {
            let mut written = Vec::new();
            Cents(cents).write(&mut written);
            prop_assert_eq!(String::from_utf8(written).expect("ASCII"), Cents(cents).to_string());
        }
    }
}

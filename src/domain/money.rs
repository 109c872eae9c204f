//! Owns money: integer cents, and the one conversion from JSON's floating point.

use std::fmt;

/// An amount of money in cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cents(pub i64);

impl Cents {
    /// The largest price or total an event may state: 10,000,000.00.
    pub const LIMIT: Self = Self(1_000_000_000);

    /// Reads an amount in currency units as cents, forgiving float noise of up to 0.000001 units.
    ///
    /// `None` for what is not finite, negative, above [`Cents::LIMIT`], or further than the noise from a whole cent.
    #[must_use]
    pub fn from_units(units: f64) -> Option<Self> {
        // Below the limit a product's rounding error is at most 1.2e-7 cents: far under the noise allowed.
        let cents = (units * 100.0).round();
        let is_whole = (units * 100.0 - cents).abs() <= 0.0001 + 1e-9;
        #[allow(clippy::cast_precision_loss, reason = "the limit is far below 2^53")]
        let limit = Self::LIMIT.0 as f64;
        #[allow(clippy::cast_possible_truncation, reason = "checked against the limit")]
        (is_whole && (0.0..=limit).contains(&cents)).then_some(Self(cents as i64))
    }
}

impl fmt::Display for Cents {
    /// Currency units with two decimals, as in `8.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", magnitude / 100, magnitude % 100)
    }
}

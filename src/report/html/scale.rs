//! Scales of charts: map numbers to coordinates within the chart, and choose round ticks.

/// Larger numbers are drawn as this one, to keep coordinates finite.
const LARGEST: f64 = 1e15;

/// A number that can be drawn; `None` for NaN.
pub(super) fn drawable(number: f64) -> Option<f64> {
    (!number.is_nan()).then(|| number.clamp(-LARGEST, LARGEST))
}

/// A linear scale from numbers to coordinates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Maps `low..=high` to `from..=to`. An empty range is extended.
    pub(super) fn new([low, high]: [f64; 2], [from, to]: [f64; 2]) -> Self {
        let low = drawable(low).unwrap_or_default();
        let high = drawable(high).unwrap_or_default();
        let high = if high - low > f64::EPSILON * low.abs() { high } else { low + low.abs().max(1.0) };
        Self { low, high, from, to }
    }

    /// The coordinate of a number, clamped to the range.
    pub(super) fn at(&self, number: f64) -> f64 {
        let number = drawable(number).unwrap_or(self.low).clamp(self.low, self.high);
        self.from + (self.to - self.from) * ((number - self.low) / (self.high - self.low))
    }

    /// The upper end of the range.
    pub(super) const fn high(&self) -> f64 {
        self.high
    }

    /// The lower end of the range.
    pub(super) const fn low(&self) -> f64 {
        self.low
    }
}

/// The unit of a scale, which decides about its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Counts: steps are integers.
    Count,
    /// Seconds: steps are seconds, half minutes, minutes, hours.
    Seconds,
}

/// The distance of ticks, so that at most about `most` of them are within `span`.
pub(super) fn step(span: f64, most: usize, unit: Unit) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a handful of ticks")]
    let wanted = drawable(span).unwrap_or_default().max(f64::MIN_POSITIVE) / most.max(1) as f64;
    if unit == Unit::Seconds && wanted > 5.0 {
        const STEPS: [f64; 13] =
            [10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 21600.0, 86400.0];
        if let Some(step) = STEPS.into_iter().find(|step| *step >= wanted * 0.9) {
            return step;
        }
    }
    let smallest = match unit {
        Unit::Count => 1.0,
        Unit::Seconds => 0.1,
    };
    let magnitude = 10f64.powf(wanted.max(smallest).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * magnitude).find(|step| *step >= wanted);
    step.unwrap_or(magnitude * 10.0).max(smallest)
}

/// The multiples of a step within a range, including both ends. Their number is bounded.
pub(super) fn ticks([low, high]: [f64; 2], step: f64) -> Vec<f64> {
    let first = (low / step - 1e-9).ceil();
    (0..100).map(|index| (first + f64::from(index)) * step).take_while(|tick| *tick <= high + step * 1e-9).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn steps_are_round() {
        assert_eq!(step(9_300.0, 5, Unit::Count).to_string(), "2000");
        assert_eq!(step(3.0, 5, Unit::Count).to_string(), "1", "no half messages");
        assert_eq!(step(120.0, 8, Unit::Seconds).to_string(), "15");
        assert_eq!(step(3.0, 6, Unit::Seconds).to_string(), "0.5");
        assert_eq!(ticks([0.0, 60.0], 15.0), [0.0, 15.0, 30.0, 45.0, 60.0]);
    }

    #[test]
    fn empty_range_is_extended() {
        for (low, high) in [(0.0, 0.0), (5.0, 5.0), (3.0, 1.0), (f64::NAN, f64::NAN), (1e15, 1e15)] {
            let scale = Scale::new([low, high], [10.0, 90.0]);
            assert!(scale.high() > scale.low() && scale.at(low) >= 10.0, "{scale:?}");
        }
    }

    proptest! {
        #[test]
        fn coordinates_are_always_inside(low: f64, high: f64, number: f64) {
            let place = Scale::new([low, high], [10.0, 90.0]).at(number);
            prop_assert!((10.0..=90.0).contains(&place), "{}", place);
        }

        #[test]
        fn ticks_are_few_sorted_and_inside(high in 1e-3f64..1e15, most in 1usize..12, seconds: bool) {
            let unit = if seconds { Unit::Seconds } else { Unit::Count };
            let found = ticks([0.0, high], step(high, most, unit));
            prop_assert!(!found.is_empty() && found.len() <= most + 2, "{:?}", found);
            prop_assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(found.iter().all(|tick| *tick <= high * 1.000_001));
        }
    }
}

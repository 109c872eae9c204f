//! Lag over time: its peak, its growth and drain rates, and the predicted drain time.

use super::{LagSample, LagValue, Prediction};

/// A window of a group's lag samples.
///
/// The rise ends at the first sample within 5 % of the peak, and the fall begins at the last such sample. The lag may
/// have stayed at its peak in between.
#[derive(Debug, Clone)]
pub(super) struct LagCurve {
    /// The time that values in seconds are relative to.
    origin: f64,
    points: Vec<CurvePoint>,
    /// The largest lag; `None` without a point.
    peak: Option<i64>,
    /// Whether the last sample of the window has a known lag.
    ends_known: bool,
    /// The moments at which a rate may have changed.
    changes: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct CurvePoint {
    at: f64,
    messages: i64,
}

/// The points from the peak to the end of the fall.
struct Fall<'c> {
    points: &'c [CurvePoint],
    drained: bool,
}

impl LagCurve {
    /// The samples of a window, in seconds of the run. Ignores samples without a known lag, and those that are not
    /// later than the one before.
    pub(super) fn of(samples: &[LagSample], from: Option<f64>, until: Option<f64>) -> Self {
        let inside =
            |at: f64| at.is_finite() && from.is_none_or(|from| at >= from) && until.is_none_or(|until| at <= until);
        let mut points: Vec<CurvePoint> = Vec::new();
        let mut ends_known = false;
        for sample in samples.iter().filter(|sample| inside(sample.at_seconds)) {
            ends_known = sample.messages.is_some();
            let later = points.last().is_none_or(|last| sample.at_seconds > last.at);
            if let (true, Some(messages)) = (later, sample.messages) {
                points.push(CurvePoint { at: sample.at_seconds, messages: messages.max(0) });
            }
        }
        let peak = points.iter().map(|point| point.messages).max();
        Self { origin: from.unwrap_or(0.0), points, peak, ends_known, changes: Vec::new() }
    }

    /// The same curve, with the moments at which a rate may have changed: a fall that includes one has no prediction.
    pub(super) fn with_changes(self, changes: Vec<f64>) -> Self {
        Self { changes, ..self }
    }

    /// A value of the curve, or the reason why it has none.
    pub(super) fn value(&self, value: LagValue) -> Result<f64, &'static str> {
        let (Some(peak), Some(last)) = (self.peak, self.points.last()) else {
            return Err("its lag was never known: the group has no committed offset, or not on every partition");
        };
        let no_peak = if peak == 0 { Err("it never had any lag") } else { Ok(()) };
        match value {
            LagValue::Peak => Ok(number(peak)),
            LagValue::Final if !self.ends_known => Err("its lag at the end is unknown"),
            LagValue::Final => Ok(number(last.messages)),
            LagValue::PeakSeconds => {
                let at = self.points.iter().find(|point| point.messages == peak).map_or(last.at, |point| point.at);
                no_peak.map(|()| at - self.origin)
            }
            LagValue::GrowthPerSecond => {
                no_peak?;
                slope(self.rise()).filter(|slope| *slope > 0.0).ok_or("its lag never rose")
            }
            LagValue::BeganToFallSeconds => {
                let fall = self.fall().ok_or("its lag never fell")?;
                Ok(fall.points.first().map_or(0.0, |first| first.at) - self.origin)
            }
            LagValue::FallPerSecond => {
                let fall = self.fall().ok_or("its lag never fell")?;
                slope(fall.points).map(|slope| -slope).ok_or("its lag never fell")
            }
            LagValue::DrainSeconds => {
                let fall = self.fall().filter(|fall| fall.drained).ok_or("its lag never fell to 0")?;
                Ok(fall.duration())
            }
            LagValue::PredictedDrainSeconds => {
                let fall = self.fall().ok_or("its lag never fell")?;
                if fall.includes(&self.changes) {
                    return Err(
                        "a process was started, stopped, killed, paused or resumed, or ended, while its lag fell",
                    );
                }
                fall.predicted()
                    .map(|(_, seconds)| seconds)
                    .ok_or("its lag fell too fast or too unevenly for a prediction")
            }
        }
    }

    /// From the last minimum to the first point near the peak.
    fn rise(&self) -> &[CurvePoint] {
        let Some(end) = self.points.iter().position(|point| self.near_peak(point)) else {
            return &[];
        };
        let lowest = self.points[..=end].iter().map(|point| point.messages).min();
        let start = self.points[..=end].iter().rposition(|point| Some(point.messages) == lowest).unwrap_or(end);
        &self.points[start..=end]
    }

    /// From the last point near the peak to the first point without lag, or to the end; `None` if the lag never fell.
    fn fall(&self) -> Option<Fall<'_>> {
        let start = self.points.iter().rposition(|point| point.messages > 0 && self.near_peak(point))?;
        let rest = &self.points[start..];
        let drained = rest.iter().position(|point| point.messages == 0);
        let points = &rest[..drained.map_or(rest.len(), |end| end + 1)];
        (points.len() > 1).then_some(Fall { points, drained: drained.is_some() })
    }

    fn near_peak(&self, point: &CurvePoint) -> bool {
        // In 128 bits, since a sample may be as large as an i64.
        self.peak.is_some_and(|peak| i128::from(point.messages) * 20 >= i128::from(peak) * 19)
    }
}

impl Fall<'_> {
    fn duration(&self) -> f64 {
        match (self.points.first(), self.points.last()) {
            (Some(first), Some(last)) => last.at - first.at,
            _ => 0.0,
        }
    }

    /// Whether one of these moments is within the fall. A change after the last sample with lag does not count: a process
    /// may end when there is nothing left to read, before the next sample shows it.
    fn includes(&self, changes: &[f64]) -> bool {
        let first = self.points.first().map_or(0.0, |point| point.at);
        let last = self.points.iter().rfind(|point| point.messages > 0).map_or(first, |point| point.at);
        changes.iter().any(|change| *change > first && *change <= last)
    }

    /// The rate over the first quarter of the fall (at least three samples) in messages a second, and the resulting
    /// duration of the whole fall in seconds.
    fn predicted(&self) -> Option<(f64, f64)> {
        let first = self.points.first()?;
        let quarter =
            self.points.iter().position(|point| i128::from(point.messages) * 4 <= i128::from(first.messages) * 3)?;
        let quarter = self.points.get(..=quarter.max(2))?;
        let rate = slope(quarter).map(|slope| -slope).filter(|rate| *rate > 0.0)?;
        Some((rate, number(first.messages) / rate))
    }
}

/// The predicted and the actual end of each drain of a group. A drain is a fall from a peak towards 0; the prediction
/// uses the rate of its first quarter.
///
/// Ignores peaks below a tenth of the highest, and falls of fewer than three samples. Ignores also a drain during which
/// a rate may have changed, at one of the moments of `changes`: a prediction says what happens if nothing changes.
#[must_use]
pub fn predictions(samples: &[LagSample], changes: &[f64]) -> Vec<Prediction> {
    let whole = LagCurve::of(samples, None, None);
    let highest = whole.peak.unwrap_or_default();
    let mut predictions = Vec::new();
    for hump in whole.points.split_inclusive(|point| point.messages == 0) {
        let peak = hump.iter().map(|point| point.messages).max();
        let hump = LagCurve { origin: 0.0, points: hump.to_vec(), peak, ends_known: true, changes: Vec::new() };
        let large = peak.is_some_and(|peak| peak > 0 && i128::from(peak) * 10 >= i128::from(highest));
        let Some(fall) = hump.fall().filter(|fall| large && !fall.includes(changes)) else {
            continue;
        };
        if let (Some((per_second, seconds)), Some(first), Some(last)) =
            (fall.predicted(), fall.points.first(), fall.points.last())
        {
            predictions.push(Prediction {
                at_seconds: first.at,
                messages: first.messages,
                per_second,
                drained_at_seconds: first.at + seconds,
                was_drained_at_seconds: fall.drained.then_some(last.at),
            });
        }
    }
    predictions
}

/// The slope by least squares, in messages a second; `None` for fewer than two points.
fn slope(points: &[CurvePoint]) -> Option<f64> {
    let (first, count) = (points.first()?, number(i64::try_from(points.len()).ok()?));
    if points.len() < 2 {
        return None;
    }
    // Relative to the first point, to keep precision in long runs and with large lags.
    let moved = points.iter().map(|point| (point.at - first.at, number(point.messages) - number(first.messages)));
    let (mean_at, mean_messages) =
        moved.clone().fold((0.0, 0.0), |(at, messages), point| (at + point.0 / count, messages + point.1 / count));
    let (together, alone) = moved.fold((0.0, 0.0), |(together, alone), (at, messages)| {
        (together + (at - mean_at) * (messages - mean_messages), alone + (at - mean_at) * (at - mean_at))
    });
    let slope = together / alone;
    slope.is_finite().then_some(slope)
}

#[allow(clippy::cast_precision_loss, reason = "for rates; counts above 2^53 are out of reach")]
fn number(messages: i64) -> f64 {
    messages as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(at_seconds: f64, messages: Option<i64>) -> LagSample {
        LagSample { at_seconds, messages, seconds: None, partitions: Vec::new() }
    }

    /// Samples every 200 ms of a lag that is 0 for 1 s, rises by 600/s for 5 s, is steady for 2 s and falls by 1,500/s.
    fn throttled_run() -> Vec<LagSample> {
        (0..=60)
            .map(|step| {
                let lag = match step * 200 {
                    0..=1000 => 0,
                    at @ ..=6000 => (at - 1000) * 6 / 10,
                    ..=8000 => 3000,
                    at => (3000 - (at - 8000) * 3 / 2).max(0),
                };
                sample(f64::from(step) * 0.2, Some(lag.into()))
            })
            .collect()
    }

    fn value(samples: &[LagSample], value: LagValue) -> f64 {
        LagCurve::of(samples, None, None).value(value).expect("there is one")
    }

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() <= right.abs() * 1e-6 + 1e-6
    }

    #[test]
    fn unknown_end_has_no_final_lag() {
        let samples = [sample(0.0, Some(5)), sample(1.0, Some(0)), sample(2.0, None)];
        let of = |until| LagCurve::of(&samples, None, until);
        assert!(of(None).value(LagValue::Final).is_err());
        assert_eq!(of(Some(1.5)).value(LagValue::Final), Ok(0.0), "the window ends before");
        assert_eq!(of(None).value(LagValue::Peak), Ok(5.0));
    }

    #[test]
    fn values_of_a_throttled_run() {
        let samples = throttled_run();
        for (what, expected) in [
            (LagValue::Peak, 3000.0),
            (LagValue::Final, 0.0),
            (LagValue::GrowthPerSecond, 600.0),
            (LagValue::PeakSeconds, 6.0),
            (LagValue::BeganToFallSeconds, 8.0),
            (LagValue::FallPerSecond, 1500.0),
            (LagValue::DrainSeconds, 2.0),
            (LagValue::PredictedDrainSeconds, 2.0),
        ] {
            let seen = value(&samples, what);
            assert!((seen - expected).abs() < expected * 0.06 + 0.05, "{what:?}: {seen}, expected {expected}");
        }
        let predictions = predictions(&samples, &[]);
        assert_eq!(predictions.len(), 1);
        assert_eq!(predictions[0].messages, 3000);
        assert!(close(predictions[0].drained_at_seconds, 10.0), "{predictions:?}");
        assert!(predictions[0].was_drained_at_seconds.is_some_and(|at| close(at, 10.0)));
    }

    #[test]
    fn window_limits_the_samples_and_sets_the_origin() {
        let samples = throttled_run();
        let rising = LagCurve::of(&samples, Some(2.0), Some(4.0));
        assert!(close(rising.value(LagValue::Peak).expect("some"), 1800.0));
        assert!(close(rising.value(LagValue::GrowthPerSecond).expect("some"), 600.0));
        assert!(close(rising.value(LagValue::PeakSeconds).expect("some"), 2.0));
        assert_eq!(rising.value(LagValue::DrainSeconds), Err("its lag never fell to 0"));
    }

    #[test]
    fn undefined_values_are_errors() {
        let none = LagCurve::of(&[sample(0.0, None), sample(f64::NAN, Some(1))], None, None);
        let flat = LagCurve::of(&[sample(0.0, Some(0)), sample(1.0, Some(0))], None, None);
        let rising = LagCurve::of(&[sample(0.0, Some(0)), sample(1.0, Some(10))], None, None);
        let falling = LagCurve::of(&[sample(0.0, Some(10)), sample(1.0, Some(0))], None, None);
        for (_, what) in LagValue::NAMED {
            assert!(none.value(what).is_err(), "{what:?}");
            assert_eq!(flat.value(what).is_ok(), matches!(what, LagValue::Peak | LagValue::Final), "{what:?}");
        }
        assert!(rising.value(LagValue::FallPerSecond).is_err() && rising.value(LagValue::GrowthPerSecond).is_ok());
        assert!(falling.value(LagValue::GrowthPerSecond).is_err() && falling.value(LagValue::FallPerSecond).is_ok());
        assert!(falling.value(LagValue::PredictedDrainSeconds).is_err(), "two samples are too few");
    }

    #[test]
    fn predicts_each_drain_and_ignores_ripples() {
        let humps = [0, 1000, 800, 600, 400, 200, 0, 5, 0, 500, 400, 300, 200, 100];
        let samples: Vec<_> = (0u32..).zip(humps).map(|(at, lag)| sample(f64::from(at), Some(lag))).collect();
        let predictions = predictions(&samples, &[]);
        let times: Vec<_> =
            predictions.iter().map(|one| (one.drained_at_seconds, one.was_drained_at_seconds)).collect();
        assert_eq!(times.len(), 2, "{predictions:?}");
        assert!(close(times[0].0, 6.0) && times[0].1.is_some_and(|at| close(at, 6.0)));
        assert!(close(times[1].0, 14.0) && times[1].1.is_none());
    }

    #[test]
    fn changed_rate_has_no_prediction() {
        let samples = throttled_run();
        let count = |changes: &[f64]| predictions(&samples, changes).len();
        let fall = predictions(&samples, &[]);
        let (start, end) = (fall[0].at_seconds, fall[0].was_drained_at_seconds.expect("drained"));
        assert_eq!(count(&[0.0, 2.0, start - 0.01, start]), 1, "changes before the fall");
        assert_eq!(count(&[start + 0.01]), 0, "a process started after the fall began");
        assert_eq!(count(&[f64::midpoint(start, end)]), 0);
        assert_eq!(count(&[end - 0.001, end, end + 1.0]), 1, "a process that ended when all was read");
        let value = |changes: &[f64]| {
            LagCurve::of(&samples, None, None).with_changes(changes.to_vec()).value(LagValue::PredictedDrainSeconds)
        };
        assert!(value(&[start, end]).is_ok(), "no change within the fall");
        let why = value(&[f64::midpoint(start, end)]).expect_err("a changed rate");
        assert!(why.ends_with("while its lag fell"), "{why}");
        let two: Vec<_> = samples
            .iter()
            .cloned()
            .chain(samples.iter().map(|sample| LagSample { at_seconds: sample.at_seconds + 13.0, ..sample.clone() }))
            .collect();
        assert_eq!((predictions(&two, &[]).len(), predictions(&two, &[start + 0.5]).len()), (2, 1), "only that drain");
    }

    fn any_samples() -> impl Strategy<Value = Vec<LagSample>> {
        let at = prop_oneof![4 => 0.0..100.0, 1 => any::<f64>()];
        let lag = prop_oneof![4 => (0i64..5000).prop_map(Some), 1 => any::<Option<i64>>()];
        prop::collection::vec((at, lag).prop_map(|(at, lag)| sample(at, lag)), 0..40)
    }

    proptest! {
        #[test]
        fn steady_fall_is_predicted_exactly(
            start in 0.0f64..1000.0, rate in 1.0f64..1_000_000.0, step in 0.05f64..1.0, count in 12i32..60,
        ) {
            let lag = |index: i32| (rate * step * f64::from(count - index)).round();
            #[allow(clippy::cast_possible_truncation, reason = "whole and small")]
            let samples: Vec<_> = (0..=count).map(|index| sample(start + step * f64::from(index), Some(lag(index) as i64 * 1000))).collect();
            let predicted = predictions(&samples, &[]);
            prop_assert_eq!(predicted.len(), 1);
            let (predicted, was) = (predicted[0].drained_at_seconds, predicted[0].was_drained_at_seconds.expect("drained"));
            // Rounding to whole messages moves the rate a little when there are few of them.
            prop_assert!((predicted - was).abs() <= step * f64::from(count) * (0.02 + 2.0 / (rate * step)), "{predicted} {was}");
        }

        #[test]
        fn values_are_finite_and_in_bounds(samples in any_samples(), from in any::<Option<f64>>(), until: Option<f64>) {
            let curve = LagCurve::of(&samples, from.filter(|from| from.is_finite()), until);
            for (_, what) in LagValue::NAMED {
                if let Ok(value) = curve.value(what) {
                    prop_assert!(value.is_finite(), "{what:?} {value}");
                    let positive = matches!(what, LagValue::GrowthPerSecond | LagValue::DrainSeconds | LagValue::PredictedDrainSeconds);
                    prop_assert!(!positive || value > 0.0, "{what:?} {value}");
                }
            }
            if let (Ok(peak), Ok(last)) = (curve.value(LagValue::Peak), curve.value(LagValue::Final)) {
                prop_assert!(0.0 <= last && last <= peak);
            }
        }

        #[test]
        fn predictions_are_finite_and_ordered(samples in any_samples()) {
            let predictions = predictions(&samples, &[]);
            for prediction in &predictions {
                prop_assert!(prediction.messages > 0 && prediction.per_second > 0.0 && prediction.per_second.is_finite());
                prop_assert!(prediction.drained_at_seconds >= prediction.at_seconds);
                prop_assert!(prediction.was_drained_at_seconds.is_none_or(|at| at > prediction.at_seconds));
            }
            prop_assert!(predictions.is_sorted_by(|left, right| left.at_seconds < right.at_seconds));
        }

        #[test]
        fn times_do_not_depend_on_the_scale(samples in prop::collection::vec(0i64..5000, 3..40), factor in 1i64..1000) {
            let curve = |factor: i64| {
                let samples: Vec<_> = (0u32..).zip(&samples).map(|(at, lag)| sample(f64::from(at), Some(lag * factor))).collect();
                LagCurve::of(&samples, None, None)
            };
            let (one, other) = (curve(1), curve(factor));
            for what in [LagValue::PeakSeconds, LagValue::BeganToFallSeconds, LagValue::DrainSeconds, LagValue::PredictedDrainSeconds] {
                match (one.value(what), other.value(what)) {
                    (Ok(one), Ok(other)) => prop_assert!(close(one, other), "{what:?} {one} {other}"),
                    (one, other) => prop_assert_eq!(one, other),
                }
            }
        }
    }
}

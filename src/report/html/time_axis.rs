//! The time axis of a page: its charts have the same margins and the same range, so that stacked charts line up.

use super::{
    format,
    scale::{Scale, Unit, drawable, step, ticks},
    svg::{Anchor, Mark, Point, Size, width_of},
};
use crate::domain::EventTime;
use crate::scenario::LagSeries;

/// The margin on the left, with the numbers of the other axis.
pub(super) const LEFT: f64 = 64.0;
/// The margin on the right.
const RIGHT: f64 = 28.0;
/// How far a prediction may extend the axis: a late one must not shrink the run itself.
const FARTHEST: f64 = 1.3;

/// A range of time in seconds, and the clock time of its zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeAxis {
    low: f64,
    high: f64,
    start_millis: Option<i64>,
}

impl TimeAxis {
    /// The axis of a run from 0 to `end` with the lag of these groups. `started` is RFC 3339, or empty.
    pub(super) fn new(groups: &[LagSeries], end: f64, started: &str) -> Self {
        let samples =
            || groups.iter().flat_map(|group| &group.samples).filter_map(|sample| drawable(sample.at_seconds));
        let earliest = samples().fold(0.0, f64::min);
        let latest = samples().fold(drawable(end).unwrap_or_default().max(0.0), f64::max);
        let predicted = groups.iter().flat_map(|group| &group.predictions);
        let predicted = predicted.filter_map(|prediction| drawable(prediction.drained_at_seconds));
        let high = predicted.fold(latest, f64::max).min(earliest + (latest - earliest) * FARTHEST);
        Self { low: earliest, high, start_millis: EventTime::parse(started).ok().map(EventTime::millis) }
    }

    /// The horizontal scale of a chart.
    pub(super) fn scale(&self, size: Size) -> Scale {
        Scale::new([self.low, self.high], [LEFT, size.width() - RIGHT])
    }

    /// Left and right end of the axis.
    pub(super) const fn ends(size: Size) -> [f64; 2] {
        [LEFT, size.width() - RIGHT]
    }

    /// The height of the labels below the axis.
    pub(super) const fn height(&self) -> f64 {
        if self.start_millis.is_some() { 46.0 } else { 30.0 }
    }

    /// Draws the axis: seconds at the ticks, and the clock time at both ends.
    pub(super) fn draw(&self, marks: &mut Vec<Mark>, size: Size, bottom: f64) {
        let (x, [left, right]) = (self.scale(size), Self::ends(size));
        let (low, high) = (x.low(), x.high());
        marks.push(Mark::line("axis", Point(left, bottom), Point(right, bottom)));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a chart has some ten ticks")]
        let most = ((right - left) / 72.0) as usize;
        for tick in ticks([low, high], step(high - low, most, Unit::Seconds)) {
            let place = x.at(tick);
            marks.push(Mark::line("axis", Point(place, bottom), Point(place, bottom + 5.0)));
            let text = format::moment(tick, high);
            let half = width_of(&text) / 2.0;
            let at = Point(place.clamp(half, (right + RIGHT - half).max(half)), bottom + 19.0);
            marks.push(Mark::Text { class: "tick", at, anchor: Anchor::Middle, text });
        }
        for (at, place, anchor) in [(low, left, Anchor::Start), (high, right, Anchor::End)] {
            if let Some(text) = self.clock(at) {
                marks.push(Mark::Text { class: "clock", at: Point(place, bottom + 36.0), anchor, text });
            }
        }
    }

    /// The clock time at a second: `12:41:07 UTC`.
    fn clock(&self, at: f64) -> Option<String> {
        #[allow(clippy::cast_possible_truncation, reason = "a float is clamped to the range of an integer")]
        let millis = self.start_millis?.checked_add((at * 1_000.0).round() as i64)?;
        let text = EventTime::from_millis(millis)?.to_string();
        Some(format!("{} UTC", text.get(11..19)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_times_are_at_the_ends() {
        let axis = TimeAxis::new(&[], 121.0, "2026-11-22T23:59:07.613Z");
        let mut marks = Vec::new();
        axis.draw(&mut marks, Size::Narrow, 100.0);
        let clock = |mark: &Mark| match mark {
            Mark::Text { class: "clock", text, .. } => Some(text.clone()),
            _ => None,
        };
        assert_eq!(marks.iter().filter_map(clock).collect::<Vec<_>>(), ["23:59:07 UTC", "00:01:08 UTC"]);
        for (started, end) in [("", 5.0), ("yesterday", 5.0), ("2026-11-22T23:59:07.613Z", 1e300)] {
            let mut marks = Vec::new();
            TimeAxis::new(&[], end, started).draw(&mut marks, Size::Wide, 100.0);
            assert!(marks.iter().filter_map(clock).count() < 2, "{started} {end}");
        }
    }
}

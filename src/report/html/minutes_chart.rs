//! Chart of orders per minute: bars stacked by outcome, which differ in texture as well as in colour.

use super::{
    format,
    scale::{Scale, Unit, step, ticks},
    svg::{Anchor, Mark, Point, Size, Svg, width_of},
};

/// The outcomes of orders, from the bottom of a bar to its top.
pub(super) const OUTCOMES: [&str; 4] = ["reserved", "rejected", "released", "pending"];

/// The index of rejected orders.
pub(super) const REJECTED: usize = 1;

/// The largest bar: larger numbers are cut at the top of the chart.
const LARGEST: f64 = 5e14;

/// One bar: its label and the orders of each outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Minute {
    /// `12:05`
    pub(super) label: String,
    pub(super) orders: [u64; 4],
}

impl Minute {
    pub(super) fn total(&self) -> u64 {
        self.orders.iter().fold(0, |sum, orders| sum.saturating_add(*orders))
    }
}

/// The content of a chart of minutes.
#[derive(Debug, Clone)]
pub(super) struct MinutesChart<'a> {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) minutes: &'a [Minute],
    /// The least end of the axis, so that two charts have the same scale.
    pub(super) at_least: u64,
}

/// The number of minutes per bar, so that bars are wide enough to see.
pub(super) fn minutes_a_bar(minutes: usize, size: Size) -> usize {
    let most = match size {
        Size::Wide => 120,
        Size::Narrow => 45,
        Size::Half => 60,
    };
    minutes.div_ceil(most).max(1)
}

impl MinutesChart<'_> {
    /// The chart at one size.
    pub(super) fn at(&self, size: Size) -> Svg {
        let together = minutes_a_bar(self.minutes.len(), size);
        let bars: Vec<_> = self.minutes.chunks(together).map(averaged).collect();
        let tallest = bars.iter().map(|(_, orders)| orders.iter().sum()).fold(0.0, f64::max);
        #[allow(clippy::cast_precision_loss, reason = "a coordinate of a chart")]
        let tallest = tallest.max(self.at_least as f64).min(LARGEST);
        let y_step = step(tallest, 4, Unit::Count);
        let y_high = ((tallest / y_step).ceil() * y_step).max(y_step);
        let y_labels: Vec<_> =
            ticks([0.0, y_high], y_step).into_iter().map(|tick| (tick, format::short(tick))).collect();

        let left = y_labels.iter().map(|(_, label)| width_of(label)).fold(20.0, f64::max) + 10.0;
        let right = size.width() - 8.0;
        let (top, bottom) = (12.0, if size == Size::Wide { 252.0 } else { 192.0 });
        let y = Scale::new([0.0, y_high], [bottom, top]);
        let mut marks = Vec::new();
        for (tick, label) in &y_labels {
            let class = if *tick == 0.0 { "axis" } else { "grid" };
            marks.push(Mark::line(class, Point(left, y.at(*tick)), Point(right, y.at(*tick))));
            let at = Point(left - 6.0, y.at(*tick) + 4.0);
            marks.push(Mark::Text { class: "tick", at, anchor: Anchor::End, text: label.clone() });
        }
        #[allow(clippy::cast_precision_loss, reason = "some hundred bars")]
        let pitch = (right - left) / bars.len().max(1) as f64;
        let gap = (pitch * 0.16).min(4.0);
        let mut free = 0.0;
        for (index, (label, orders)) in bars.iter().enumerate() {
            #[allow(clippy::cast_precision_loss, reason = "some hundred bars")]
            let from = left + pitch * index as f64;
            let (bar, width) = (from + gap / 2.0, pitch - gap);
            stack(&mut marks, orders, &y, bar, width.min(64.0));
            let half = width_of(label) / 2.0;
            let middle = bar + width.min(64.0) / 2.0;
            if middle - half >= free && middle + half <= size.width() {
                marks.push(Mark::line("axis", Point(middle, bottom), Point(middle, bottom + 4.0)));
                let at = Point(middle, bottom + 18.0);
                marks.push(Mark::Text { class: "tick", at, anchor: Anchor::Middle, text: label.clone() });
                free = middle + half + 16.0;
            }
        }
        Svg {
            id: self.id.clone(),
            size,
            height: bottom + 26.0,
            title: self.title.clone(),
            description: self.description.clone(),
            marks,
        }
    }
}

/// Several minutes as one bar: the label of the first, and the mean of each outcome.
fn averaged(minutes: &[Minute]) -> (String, [f64; 4]) {
    let label = minutes.first().map(|minute| super::svg::fitting(&minute.label, 90.0)).unwrap_or_default();
    #[allow(clippy::cast_precision_loss, reason = "a coordinate of a chart")]
    let mean = |outcome: usize| {
        minutes.iter().map(|minute| minute.orders[outcome] as f64).sum::<f64>() / minutes.len().max(1) as f64
    };
    (label, std::array::from_fn(mean))
}

/// The classes of the outcomes' areas.
pub(super) const AREAS: [&str; 4] = ["o-reserved", "o-rejected", "o-released", "o-pending"];
const TEXTURES: [&str; 4] = ["", "t-rejected", "t-released", ""];

fn stack(marks: &mut Vec<Mark>, orders: &[f64; 4], y: &Scale, left: f64, width: f64) {
    let mut below = 0.0;
    for (outcome, orders) in orders.iter().enumerate() {
        if *orders <= 0.0 {
            continue;
        }
        let (bottom, top) = (y.at(below), y.at(below + orders));
        below += orders;
        marks.push(Mark::Area { class: AREAS[outcome], at: Point(left, top), width, height: bottom - top });
        marks.extend(texture(outcome, [left, left + width], [top, bottom]));
    }
}

/// The texture of an outcome, to recognize it without colour: stripes for rejected orders, dots for released ones.
pub(super) fn texture(outcome: usize, [left, right]: [f64; 2], [top, bottom]: [f64; 2]) -> Option<Mark> {
    let class = TEXTURES[outcome];
    let heights = (0..200).map(|index| top + 2.0 + f64::from(index) * 4.0).take_while(|height| *height <= bottom - 1.0);
    let lines: Vec<_> = heights.map(|height| vec![Point(left, height), Point(right, height)]).collect();
    (!class.is_empty() && !lines.is_empty()).then_some(Mark::Lines { class, lines })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::html::svg::testing::{outside, overlapping};

    fn chart(minutes: &[Minute]) -> MinutesChart<'_> {
        let (title, description) = ("Orders".to_owned(), "By minute.".to_owned());
        MinutesChart { id: "minutes".into(), title, description, minutes, at_least: 0 }
    }

    fn minute(index: usize, orders: [u64; 4]) -> Minute {
        Minute { label: format!("{:02}:{:02}", index / 60 % 24, index % 60), orders }
    }

    fn areas(svg: &Svg, of: &str) -> Vec<(Point, f64, f64)> {
        let area = |mark: &Mark| match mark {
            Mark::Area { class, at, width, height } if *class == of => Some((*at, *width, *height)),
            _ => None,
        };
        svg.marks.iter().filter_map(area).collect()
    }

    #[test]
    fn outcomes_are_stacked_in_proportion() {
        let minutes = [minute(0, [60, 20, 10, 10])];
        let svg = chart(&minutes).at(Size::Wide);
        let [reserved, rejected, released, pending] = AREAS.map(|class| areas(&svg, class)[0]);
        for (upper, lower) in [(rejected, reserved), (released, rejected), (pending, released)] {
            assert!((upper.0.1 + upper.2 - lower.0.1).abs() < 1e-9, "no gap and no overlap");
        }
        assert!((reserved.2 / rejected.2 - 3.0).abs() < 1e-9);
        assert!((released.2 - pending.2).abs() < 1e-9);
    }

    #[test]
    fn many_minutes_share_bars() {
        let minutes: Vec<_> = (0..1440).map(|index| minute(index, [250, 0, 0, 0])).collect();
        assert_eq!(areas(&chart(&minutes).at(Size::Wide), "o-reserved").len(), 120);
        assert_eq!(areas(&chart(&minutes).at(Size::Narrow), "o-reserved").len(), 45);
    }

    proptest! {
        #[test]
        fn marks_are_inside_and_labels_do_not_overlap(
            orders in prop::collection::vec(prop::array::uniform4(prop_oneof![4 => 0u64..400, 1 => any::<u64>()]), 0..200),
        ) {
            let minutes: Vec<_> = orders.into_iter().enumerate().map(|(index, orders)| minute(index, orders)).collect();
            for size in [Size::Wide, Size::Narrow, Size::Half] {
                let svg = chart(&minutes).at(size);
                prop_assert!(outside(&svg).is_empty(), "{:?}", outside(&svg));
                prop_assert!(overlapping(&svg).is_empty(), "{:?}", overlapping(&svg));
            }
        }
    }
}

//! Owns the picture of orders per minute: bars stacked by what became of the orders, told apart by texture as by hue.

use super::{
    format,
    scale::{Scale, Unit, step, ticks},
    svg::{Anchor, Mark, Point, Size, Svg, room_of},
};

/// What can become of an order, from the bottom of a bar to its top.
pub(super) const OUTCOMES: [&str; 4] = ["reserved", "rejected", "released", "pending"];

/// Bars of more orders than this end at the top of the picture: a scale knows no larger numbers.
const LARGEST: f64 = 5e14;

/// One bar: its label and the orders of each outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Minute {
    /// As people say it: `12:05`.
    pub(super) label: String,
    pub(super) orders: [u64; 4],
}

impl Minute {
    pub(super) fn total(&self) -> u64 {
        self.orders.iter().fold(0, |sum, orders| sum.saturating_add(*orders))
    }
}

/// What a picture of minutes shows.
#[derive(Debug, Clone)]
pub(super) struct MinutesChart<'a> {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) minutes: &'a [Minute],
    /// Where the axis ends at least, so that two pictures can be compared.
    pub(super) at_least: u64,
}

/// Minutes that one bar stands for, so that bars stay wide enough to be seen.
pub(super) fn minutes_a_bar(minutes: usize, size: Size) -> usize {
    let most = match size {
        Size::Wide => 120,
        Size::Narrow => 45,
        Size::Half => 60,
    };
    minutes.div_ceil(most).max(1)
}

impl MinutesChart<'_> {
    /// The picture at one size.
    pub(super) fn at(&self, size: Size) -> Svg {
        let together = minutes_a_bar(self.minutes.len(), size);
        let bars: Vec<_> = self.minutes.chunks(together).map(averaged).collect();
        let tallest = bars.iter().map(|(_, orders)| orders.iter().sum()).fold(0.0, f64::max);
        #[allow(clippy::cast_precision_loss, reason = "a place on a picture")]
        let tallest = tallest.max(self.at_least as f64).min(LARGEST);
        let y_step = step(tallest, 4, Unit::Count);
        let y_high = ((tallest / y_step).ceil() * y_step).max(y_step);
        let y_labels: Vec<_> =
            ticks([0.0, y_high], y_step).into_iter().map(|tick| (tick, format::short(tick))).collect();

        let left = y_labels.iter().map(|(_, label)| room_of(label)).fold(20.0, f64::max) + 10.0;
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
            let half = room_of(label) / 2.0;
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

/// Several minutes as one bar: the first one's label and the mean of each outcome.
fn averaged(minutes: &[Minute]) -> (String, [f64; 4]) {
    let label = minutes.first().map(|minute| super::svg::fitting(&minute.label, 90.0)).unwrap_or_default();
    #[allow(clippy::cast_precision_loss, reason = "a place on a picture")]
    let mean = |outcome: usize| {
        minutes.iter().map(|minute| minute.orders[outcome] as f64).sum::<f64>() / minutes.len().max(1) as f64
    };
    (label, std::array::from_fn(mean))
}

const AREAS: [&str; 4] = ["o-reserved", "o-rejected", "o-released", "o-pending"];
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

/// Lines within an area, so that it is known without its hue: stripes for rejected orders, dots for released ones.
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

    fn picture(minutes: &[Minute]) -> MinutesChart<'_> {
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
    fn outcomes_stand_on_each_other_and_their_heights_are_in_proportion() {
        let minutes = [minute(0, [60, 20, 10, 10])];
        let svg = picture(&minutes).at(Size::Wide);
        let [reserved, rejected, released, pending] = AREAS.map(|class| areas(&svg, class)[0]);
        for (upper, lower) in [(rejected, reserved), (released, rejected), (pending, released)] {
            assert!((upper.0.1 + upper.2 - lower.0.1).abs() < 1e-9, "no gap and no overlap");
        }
        assert!((reserved.2 / rejected.2 - 3.0).abs() < 1e-9);
        assert!((released.2 - pending.2).abs() < 1e-9);
    }

    #[test]
    fn a_day_of_minutes_is_drawn_in_fewer_bars() {
        let minutes: Vec<_> = (0..1440).map(|index| minute(index, [250, 0, 0, 0])).collect();
        assert_eq!(areas(&picture(&minutes).at(Size::Wide), "o-reserved").len(), 120);
        assert_eq!(areas(&picture(&minutes).at(Size::Narrow), "o-reserved").len(), 45);
    }

    proptest! {
        #[test]
        fn all_that_is_drawn_is_within_the_view_box_and_no_label_stands_on_another(
            orders in prop::collection::vec(prop::array::uniform4(prop_oneof![4 => 0u64..400, 1 => any::<u64>()]), 0..200),
        ) {
            let minutes: Vec<_> = orders.into_iter().enumerate().map(|(index, orders)| minute(index, orders)).collect();
            for size in [Size::Wide, Size::Narrow, Size::Half] {
                let svg = picture(&minutes).at(size);
                prop_assert!(outside(&svg).is_empty(), "{:?}", outside(&svg));
                prop_assert!(overlapping(&svg).is_empty(), "{:?}", overlapping(&svg));
            }
        }
    }
}

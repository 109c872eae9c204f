//! Bar charts with a row per bar: the timeline of processes, and counts. The name is above its row, so that any width
//! works.

use super::{
    format,
    minutes_chart::{AREAS, REJECTED, texture},
    scale::Scale,
    svg::{Anchor, Mark, Point, Size, Svg, fitting, width_of},
    time_axis::TimeAxis,
};
use crate::scenario::EndedBy;

const ROW: f64 = 37.0;
const BAR: f64 = 11.0;

/// A process on the timeline.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) name: String,
    pub(super) from: f64,
    /// `None` while it is running.
    pub(super) to: Option<f64>,
    pub(super) background: bool,
    pub(super) ended_by: Option<EndedBy>,
    /// Whether it ended with an error.
    pub(super) failed: bool,
}

/// The timeline of processes, below the lag charts of the same run and with the same axis. A process without an end was
/// running at `end`.
pub(super) fn timeline_chart(
    (id, title, description): (&str, &str, &str),
    spans: &[Span],
    axis: &TimeAxis,
    end: f64,
    size: Size,
) -> Svg {
    let [left, right] = TimeAxis::ends(size);
    let x = axis.scale(size);
    let mut marks = Vec::new();
    let mut top = 4.0;
    for span in spans {
        let (from, to) = (x.at(span.from), x.at(span.to.unwrap_or(end)));
        let (from, to) = (from.min(to), from.max(to));
        let name = fitting(&span.name, right - left);
        let width = width_of(&name);
        let at = Point(from.min(right - width).max(left), top + 11.0);
        marks.push(Mark::Text { class: "label", at, anchor: Anchor::Start, text: name });
        let bar = top + 15.0;
        let class = match (span.failed, span.background) {
            (true, _) => "span failed",
            (false, true) => "span background",
            (false, false) => "span",
        };
        let width = (to - from).max(2.0);
        marks.push(Mark::Area { class, at: Point(from, bar), width, height: BAR });
        let place = Point(from + width, bar + BAR / 2.0);
        match span.ended_by {
            Some(EndedBy::Kill) => marks.push(Mark::Cross { class: "killed", at: place, radius: 5.0 }),
            Some(EndedBy::Stop) => marks.push(Mark::Diamond { class: "stopped", at: place, radius: 5.0 }),
            Some(EndedBy::Itself | EndedBy::End) | None => {}
        }
        top += ROW;
    }
    axis.draw(&mut marks, size, top + 4.0);
    let (title, description) = (title.to_owned(), description.to_owned());
    Svg { id: id.to_owned(), size, height: top + 4.0 + axis.height(), title, description, marks }
}

/// A bar of a count.
#[derive(Debug, Clone)]
pub(super) struct Count {
    pub(super) name: String,
    pub(super) number: u64,
    /// Text after the number, as in `of 1,234`.
    pub(super) note: String,
}

/// Counts of rejected orders as bars.
pub(super) fn counts_chart(id: &str, title: &str, description: &str, counts: &[Count], size: Size) -> Svg {
    let texts: Vec<_> = counts
        .iter()
        .map(|row| fitting(&format!("{} {}", format::grouped(row.number), row.note), size.width() / 2.0))
        .collect();
    let beside = texts.iter().map(|text| width_of(text)).fold(0.0, f64::max) + 10.0;
    #[allow(clippy::cast_precision_loss, reason = "a coordinate of a chart")]
    let most = counts.iter().map(|row| row.number as f64).fold(1.0, f64::max);
    let left = 4.0;
    let x = Scale::new([0.0, most], [left, size.width() - beside]);
    let mut marks = Vec::new();
    let mut top = 2.0;
    for (row, text) in counts.iter().zip(texts) {
        let name = fitting(&row.name, size.width() - left);
        marks.push(Mark::Text { class: "label", at: Point(left, top + 11.0), anchor: Anchor::Start, text: name });
        #[allow(clippy::cast_precision_loss, reason = "a coordinate of a chart")]
        let end = x.at(row.number as f64).max(left + 1.0);
        let bar = top + 15.0;
        marks.push(Mark::Area { class: AREAS[REJECTED], at: Point(left, bar), width: end - left, height: BAR });
        marks.extend(texture(REJECTED, [left, end], [bar, bar + BAR]));
        marks.push(Mark::Text { class: "tick", at: Point(end + 6.0, bar + 10.0), anchor: Anchor::Start, text });
        top += ROW;
    }
    let (title, description) = (title.to_owned(), description.to_owned());
    Svg { id: id.to_owned(), size, height: top + 2.0, title, description, marks }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::html::svg::testing::{outside, overlapping};

    #[test]
    fn bars_are_at_the_times_of_the_axis() {
        let span = Span {
            name: "orders".to_owned(),
            from: 2.0,
            to: Some(6.0),
            background: false,
            ended_by: None,
            failed: false,
        };
        // The axis ends later than the processes.
        let axis = TimeAxis::new(&[], 20.0, "");
        let svg = timeline_chart(("timeline", "", ""), &[span], &axis, 6.0, Size::Wide);
        let x = axis.scale(Size::Wide);
        let bar = svg.marks.iter().find_map(|mark| match mark {
            Mark::Area { class: "span", at, width, .. } => Some((at.0, at.0 + width)),
            _ => None,
        });
        let (from, to) = bar.expect("a bar");
        assert!((from - x.at(2.0)).abs() < 0.01 && (to - x.at(6.0)).abs() < 0.01, "{from} to {to}");
    }

    proptest! {
        #[test]
        fn marks_are_inside_and_labels_do_not_overlap(
            rows in prop::collection::vec((".{0,200}", any::<f64>(), prop::option::of(0.0f64..500.0), any::<u64>()), 0..40),
            end in 0.0f64..1000.0,
        ) {
            let span = |(name, from, to, count): &(String, f64, Option<f64>, u64)| Span {
                name: name.clone(),
                from: *from,
                to: *to,
                background: count % 2 == 0,
                ended_by: [None, Some(EndedBy::Kill), Some(EndedBy::Stop)][usize::from(count.to_le_bytes()[0]) % 3],
                failed: false,
            };
            let count = |(name, _, _, count): &(String, f64, Option<f64>, u64)| {
                Count { name: name.clone(), number: *count, note: name.clone() }
            };
            let spans: Vec<_> = rows.iter().map(span).collect();
            let counts: Vec<_> = rows.iter().map(count).collect();
            for size in [Size::Wide, Size::Narrow, Size::Half] {
                let axis = TimeAxis::new(&[], end, "2026-11-22T12:41:07.113Z");
                let timeline = timeline_chart(("a", "", ""), &spans, &axis, end, size);
                for svg in [timeline, counts_chart("b", "", "", &counts, size)] {
                    prop_assert!(outside(&svg).is_empty(), "{:?}", outside(&svg));
                    prop_assert!(overlapping(&svg).is_empty(), "{:?}", overlapping(&svg));
                }
            }
        }
    }
}

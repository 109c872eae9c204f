//! Chart of a group's lag over time: the samples, the events of the run with their names, and the predicted drain.

use super::{
    event_labels::{ChartEvent, EventLabels},
    format,
    scale::{Scale, Unit, drawable, step, ticks},
    svg::{Anchor, Mark, Point, Size, Svg, width_of},
    time_axis::{LEFT, TimeAxis},
};
use crate::scenario::Prediction;

/// The room above the plot, for the label of the peak.
const ABOVE: f64 = 24.0;
/// The most points of a line. More are reduced to the lowest and highest of each column.
const COLUMNS: usize = 600;

/// The content of a lag chart.
#[derive(Debug, Clone)]
pub(super) struct LagChart<'a> {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) description: String,
    /// The unit: messages or seconds.
    pub(super) unit: Unit,
    /// Time and lag; `None` if the lag is unknown.
    pub(super) samples: Vec<(f64, Option<f64>)>,
    pub(super) events: &'a [ChartEvent],
    pub(super) predictions: &'a [Prediction],
    pub(super) axis: TimeAxis,
}

impl LagChart<'_> {
    /// The events of the chart at one size.
    pub(super) fn labels(&self, size: Size) -> EventLabels {
        EventLabels::new(self.events, &self.axis.scale(size), size.width())
    }

    /// The chart at one size.
    pub(super) fn at(&self, size: Size) -> Svg {
        let samples: Vec<(f64, Option<f64>)> =
            self.samples.iter().filter_map(|(at, lag)| Some((drawable(*at)?, lag.and_then(drawable)))).collect();
        let peak = samples.iter().filter_map(|(at, lag)| Some((*at, (*lag)?))).reduce(highest);
        let lowest = samples.iter().filter_map(|(_, lag)| *lag).fold(0.0, f64::min);
        let highest = peak.map_or(0.0, |(_, lag)| lag).max(0.0);

        let plot_height = match (self.unit, size) {
            (Unit::Seconds, _) => 110.0,
            (Unit::Count, Size::Narrow) => 190.0,
            (Unit::Count, _) => 240.0,
        };
        let y_step = step(highest - lowest, if self.unit == Unit::Seconds { 3 } else { 5 }, self.unit);
        let (y_low, y_high) = ((lowest / y_step).floor() * y_step, ((highest / y_step).ceil() * y_step).max(y_step));
        let x = self.axis.scale(size);
        let [left, right] = TimeAxis::ends(size);
        let labels = self.labels(size);
        let top = labels.height() + ABOVE;
        let bottom = top + plot_height;
        let y = Scale::new([y_low, y_high], [bottom, top]);

        let mut marks = Vec::new();
        for tick in ticks([y_low, y_high], y_step) {
            let class = if tick == 0.0 { "axis" } else { "grid" };
            marks.push(Mark::line(class, Point(left, y.at(tick)), Point(right, y.at(tick))));
            let at = Point(LEFT - 6.0, y.at(tick) + 4.0);
            let text = match self.unit {
                Unit::Count => format::short(tick),
                Unit::Seconds => format::age(tick, y_high.max(-y_low)),
            };
            marks.push(Mark::Text { class: "tick", at, anchor: Anchor::End, text });
        }
        if self.unit == Unit::Count {
            let at = Point(1.0, top - 10.0);
            marks.push(Mark::Text { class: "clock", at, anchor: Anchor::Start, text: "messages".to_owned() });
        }
        self.axis.draw(&mut marks, size, bottom);
        let runs = unbroken(&samples);
        for run in runs.iter().filter(|run| run.len() > 1) {
            marks.push(Mark::Lines { class: "lag-area", lines: vec![area(&thinned(run), &x, &y)] });
        }
        labels.draw_lines(&mut marks, labels.height(), bottom);
        for run in &runs {
            let places: Vec<_> = thinned(run).iter().map(|(at, lag)| Point(x.at(*at), y.at(*lag))).collect();
            match places[..] {
                [only] => marks.push(Mark::Dot { class: "lag-dot", at: only, radius: 3.0 }),
                _ => marks.push(Mark::Lines { class: "lag-line", lines: vec![places] }),
            }
        }
        if self.unit == Unit::Count {
            for prediction in self.predictions {
                draw_prediction(&mut marks, prediction, &x, &y);
            }
        }
        labels.draw_names(&mut marks, labels.height());
        if let Some((at, lag)) = peak.filter(|(_, lag)| *lag > 0.0) {
            let text = match self.unit {
                Unit::Count => format!("peak {}", format::decimal(lag, 0)),
                Unit::Seconds => format!("peak {}", format::seconds(lag)),
            };
            let place = Point(x.at(at), y.at(lag));
            marks.push(Mark::Dot { class: "peak", at: place, radius: 4.0 });
            let half = width_of(&text) / 2.0;
            let middle = place.0.clamp(left + half, (right - half).max(left + half));
            let at = Point(middle, place.1 - 9.0);
            marks.push(Mark::Text { class: "label halo", at, anchor: Anchor::Middle, text });
        }
        Svg {
            id: self.id.clone(),
            size,
            height: bottom + self.axis.height(),
            title: self.title.clone(),
            description: self.description.clone(),
            marks,
        }
    }
}

fn highest(best: (f64, f64), found: (f64, f64)) -> (f64, f64) {
    // NaN is not the peak.
    if best.1 >= found.1 { best } else { found }
}

/// The outline of the area between a line and 0.
fn area(run: &[(f64, f64)], x: &Scale, y: &Scale) -> Vec<Point> {
    let edge = |at: Option<&(f64, f64)>| at.map(|(at, _)| Point(x.at(*at), y.at(0.0)));
    let line = run.iter().map(|(at, lag)| Point(x.at(*at), y.at(*lag)));
    edge(run.first()).into_iter().chain(line).chain(edge(run.last())).collect()
}

/// The lines between the gaps of unknown lag.
fn unbroken(samples: &[(f64, Option<f64>)]) -> Vec<Vec<(f64, f64)>> {
    let runs = samples.split(|(_, lag)| lag.is_none());
    let known = runs.map(|run| run.iter().filter_map(|(at, lag)| Some((*at, (*lag)?))).collect::<Vec<_>>());
    known.filter(|run| !run.is_empty()).collect()
}

/// A line with fewer points: the first, lowest, highest and last of each column.
fn thinned(run: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if run.len() <= COLUMNS {
        return run.to_vec();
    }
    let mut kept = Vec::new();
    for column in run.chunks(run.len().div_ceil(COLUMNS / 4)) {
        let by = |better: fn(f64, f64) -> bool| {
            (0..column.len()).fold(0, |best, next| if better(column[next].1, column[best].1) { next } else { best })
        };
        let mut places = vec![0, by(|next, best| next < best), by(|next, best| next > best), column.len() - 1];
        places.sort_unstable();
        places.dedup();
        kept.extend(places.into_iter().map(|place| column[place]));
    }
    kept
}

fn draw_prediction(marks: &mut Vec<Mark>, prediction: &Prediction, x: &Scale, y: &Scale) {
    let Prediction { at_seconds: from, drained_at_seconds: to, was_drained_at_seconds: was, messages, .. } = prediction;
    let (Some(from), Some(to)) = (drawable(*from), drawable(*to)) else { return };
    #[allow(clippy::cast_precision_loss, reason = "a coordinate of a chart")]
    let lag = *messages as f64;
    if to > from {
        // If the chart ends before the prediction, the line is cut there.
        let end = to.min(x.high());
        let left = lag * (1.0 - (end - from) / (to - from));
        let line = [Point(x.at(from), y.at(lag)), Point(x.at(end), y.at(left))];
        marks.push(Mark::Lines { class: "predicted", lines: vec![line.to_vec()] });
    }
    if to <= x.high() {
        marks.push(Mark::Diamond { class: "predicted-end", at: Point(x.at(to), y.at(0.0)), radius: 6.0 });
    }
    if let Some(was) = was.and_then(drawable) {
        marks.push(Mark::Dot { class: "drained", at: Point(x.at(was), y.at(0.0)), radius: 4.5 });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        report::html::svg::testing::{outside, overlapping},
        scenario::{EventKind, LagSample, LagSeries},
    };

    fn chart<'a>(
        samples: Vec<(f64, Option<f64>)>,
        events: &'a [ChartEvent],
        predictions: &'a [Prediction],
    ) -> LagChart<'a> {
        let end = samples.last().map_or(0.0, |(at, _)| *at);
        let (title, description) = ("Lag".to_owned(), "Rises and falls.".to_owned());
        let lag = |(at_seconds, _): &(f64, Option<f64>)| LagSample {
            at_seconds: *at_seconds,
            messages: None,
            seconds: None,
            partitions: Vec::new(),
        };
        let series = LagSeries {
            group: String::new(),
            samples: samples.iter().map(lag).collect(),
            predictions: predictions.to_vec(),
        };
        let axis = TimeAxis::new(&[series], end, "2026-11-22T12:41:07.113Z");
        LagChart { id: "lag".into(), title, description, unit: Unit::Count, samples, events, predictions, axis }
    }

    fn event(at: f64, kind: EventKind, name: &str) -> ChartEvent {
        ChartEvent { at, kind, name: name.to_owned(), rate: None }
    }

    fn sizes() -> [Size; 3] {
        [Size::Wide, Size::Narrow, Size::Half]
    }

    fn names(svg: &Svg) -> Vec<String> {
        let text = |mark: &Mark| match mark {
            Mark::Text { class: "event-name" | "event-name kill", text, .. } => Some(text.clone()),
            _ => None,
        };
        svg.marks.iter().filter_map(text).collect()
    }

    #[test]
    fn unusual_samples_are_drawn() {
        let nonsense =
            vec![(f64::NAN, Some(1.0)), (1.0, Some(f64::INFINITY)), (2.0, Some(f64::NAN)), (3.0, Some(-5.0))];
        for samples in [vec![], vec![(0.0, Some(0.0))], vec![(5.0, Some(7.0))], vec![(1.0, None)], nonsense] {
            for size in sizes() {
                let svg = chart(samples.clone(), &[], &[]).at(size);
                assert!(outside(&svg).is_empty(), "{samples:?} {size:?}: {:?}", outside(&svg));
            }
        }
    }

    #[test]
    fn unknown_lag_is_a_gap_in_the_line() {
        let samples = [Some(1.0), Some(2.0), None, Some(3.0), None, Some(4.0), Some(5.0)];
        let samples: Vec<_> = (0u8..).map(f64::from).zip(samples).collect();
        assert_eq!(unbroken(&samples).iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 2]);
    }

    #[test]
    fn thinned_line_keeps_ends_and_extremes() {
        let mut line: Vec<_> = (0..50_000).map(|at| (f64::from(at), 10.0)).collect();
        line[31_111].1 = 99.0;
        line[7].1 = -3.0;
        let kept = thinned(&line);
        assert!(kept.len() <= COLUMNS, "{}", kept.len());
        assert_eq!((kept[0], kept[kept.len() - 1]), (line[0], line[49_999]));
        assert!(kept.contains(&(31_111.0, 99.0)) && kept.contains(&(7.0, -3.0)));
        assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn events_have_their_names_on_the_chart() {
        let samples = vec![(0.0, Some(0.0)), (100.0, Some(9.0))];
        let apart = [
            event(0.0, EventKind::Started, "slow"),
            event(12.0, EventKind::Killed, "slow"),
            event(12.1, EventKind::Throttled, "fast"),
            event(99.0, EventKind::Ended, "fast"),
        ];
        for size in sizes() {
            let shown = names(&chart(samples.clone(), &apart, &[]).at(size));
            assert_eq!(shown, ["slow starts", "slow killed · fast starts", "fast ends"], "{size:?}");
        }
        let crowd: Vec<_> = (0..200).map(|index| event(f64::from(index) / 2.0, EventKind::Ended, "orders")).collect();
        let crowd = [crowd, vec![event(30.0, EventKind::Killed, "till")]].concat();
        let crowded = chart(samples, &crowd, &[]);
        let shown = names(&crowded.at(Size::Narrow));
        assert!(shown.contains(&"till killed".to_owned()) && shown.len() < 20, "kills come first: {shown:?}");
        assert!(!crowded.labels(Size::Narrow).is_complete && chart(vec![], &apart, &[]).labels(Size::Wide).is_complete);
    }

    #[test]
    fn kills_and_stops_have_names_on_a_narrow_chart() {
        let samples = |end| vec![(0.0, Some(9.0)), (end, Some(0.0))];
        let mut crash = vec![event(0.0, EventKind::Started, "orders"), event(0.1, EventKind::Ended, "orders")];
        for (number, at) in (1..=5_u32).map(|number| (number, f64::from(number) * 1.4)) {
            let name = format!("victim#{number}");
            crash.push(event(at - 1.3, EventKind::Throttled, &name));
            crash.push(event(at - 0.1, EventKind::Killed, &name));
        }
        crash.extend([event(7.1, EventKind::Started, "survivor"), event(7.5, EventKind::Ended, "survivor")]);
        let shown = names(&chart(samples(7.9), &crash, &[]).at(Size::Narrow));
        let kills = shown.iter().filter(|name| name.ends_with(" killed"));
        assert_eq!(
            kills.collect::<Vec<_>>(),
            ["#1 killed", "#2 killed", "#3 killed", "#4 killed", "#5 killed"],
            "{shown:?}"
        );

        // Here the names on the left must be on the right of their lines, and those on the right on the left.
        let scale_out = [
            event(0.0, EventKind::Throttled, "first"),
            event(3.0, EventKind::Throttled, "second"),
            event(8.3, EventKind::Ended, "orders"),
            event(9.5, EventKind::Stopped, "third"),
            event(13.9, EventKind::Stopped, "first"),
        ];
        let shown = names(&chart(samples(14.4), &scale_out, &[]).at(Size::Narrow));
        assert_eq!(shown, ["first starts", "second starts", "orders ends", "third stopped", "first stopped"]);

        let throttled = [
            event(0.0, EventKind::Throttled, "slow"),
            event(0.2, EventKind::Started, "rush"),
            event(5.2, EventKind::Ended, "rush"),
            event(5.2, EventKind::Started, "hold"),
            event(7.2, EventKind::Ended, "hold"),
            event(7.4, EventKind::Stopped, "slow"),
            event(7.4, EventKind::Throttled, "fast"),
            event(10.3, EventKind::Stopped, "fast"),
        ];
        let shown = names(&chart(samples(10.3), &throttled, &[]).at(Size::Narrow));
        assert_eq!(shown, ["slow starts · rush starts", "hold starts", "slow stopped · fast starts", "fast stopped"]);
    }

    #[test]
    fn no_line_crosses_a_name() {
        let samples = vec![(0.0, Some(0.0)), (10.0, Some(9.0))];
        let events: Vec<_> = [0.0, 0.2, 1.0, 1.4, 4.0, 4.4, 4.8, 9.9, 10.0]
            .map(|at| event(at, EventKind::Started, "a process with a name"))
            .into();
        for size in sizes() {
            let svg = chart(samples.clone(), &events, &[]).at(size);
            let lines = svg.marks.iter().filter_map(|mark| match mark {
                Mark::Lines { class: "event", lines } => Some((lines[0][0], lines[0][1])),
                _ => None,
            });
            for mark in &svg.marks {
                let Mark::Text { class: "event-name", at, anchor, text } = mark else { continue };
                let width = width_of(text) * 0.9;
                let left = if *anchor == Anchor::End { at.0 - width } else { at.0 };
                for (top, bottom) in lines.clone() {
                    let is_crossed = top.0 > left && top.0 < left + width && top.1 < at.1 && bottom.1 > at.1;
                    assert!(!is_crossed, "{size:?}: the line at {} crosses {text} at {left}", top.0);
                }
            }
        }
    }

    #[test]
    fn prediction_is_cut_at_the_end_of_the_chart() {
        let prediction = Prediction {
            at_seconds: 50.0,
            messages: 100,
            per_second: 0.1,
            drained_at_seconds: 1050.0,
            was_drained_at_seconds: None,
        };
        let samples = vec![(0.0, Some(0.0)), (50.0, Some(100.0)), (100.0, Some(90.0))];
        let svg = chart(samples, &[], &[prediction]).at(Size::Wide);
        assert!(svg.marks.iter().any(|mark| matches!(mark, Mark::Lines { class: "predicted", .. })));
        assert!(!svg.marks.iter().any(|mark| matches!(mark, Mark::Diamond { .. })), "its end is not on the chart");
        assert!(outside(&svg).is_empty());
    }

    prop_compose! {
        fn any_number()(number in prop_oneof![
            4 => -10.0f64..10_000.0, 1 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(0.0),
        ]) -> f64 { number }
    }

    fn any_kind() -> impl Strategy<Value = EventKind> {
        prop::sample::select(vec![EventKind::Started, EventKind::Killed, EventKind::Held])
    }

    proptest! {
        #[test]
        fn marks_are_inside_the_view_box(
            samples in prop::collection::vec((any_number(), prop::option::of(any_number())), 0..40),
            events in prop::collection::vec((any_number(), any_kind(), ".{0,30}"), 0..130),
            from in any_number(), to in any_number(), was in prop::option::of(any_number()), messages: i64, seconds: bool,
        ) {
            let prediction = Prediction {
                at_seconds: from, messages, per_second: 1.0, drained_at_seconds: to, was_drained_at_seconds: was,
            };
            let predictions = [prediction];
            let events: Vec<_> = events.iter().map(|(at, kind, name)| event(*at, *kind, name)).collect();
            let mut chart = chart(samples, &events, &predictions);
            chart.unit = if seconds { Unit::Seconds } else { Unit::Count };
            for size in sizes() {
                let svg = chart.at(size);
                prop_assert!(outside(&svg).is_empty(), "{:?}", outside(&svg));
            }
        }

        #[test]
        fn labels_do_not_overlap(
            lags in prop::collection::vec(0.0f64..20_000.0, 1..40),
            events in prop::collection::vec((0.0f64..120.0, any_kind(), "[a-z#0-9]{0,20}"), 0..40),
        ) {
            let samples = (0_u32..).map(f64::from).zip(lags).map(|(at, lag)| (at, Some(lag))).collect();
            let events: Vec<_> = events.iter().map(|(at, kind, name)| event(*at, *kind, name)).collect();
            for size in sizes() {
                let mut svg = chart(Vec::clone(&samples), &events, &[]).at(size);
                // The label of the peak may cover a line but no number of the axis: it is within the plot.
                svg.marks.retain(|mark| !matches!(mark, Mark::Text { class: "label halo", .. }));
                prop_assert!(overlapping(&svg).is_empty(), "{:?}", overlapping(&svg));
            }
        }
    }
}

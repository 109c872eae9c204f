//! Chart of a group's lag over time: the samples, the events of the run, and the predicted drain.

use super::{
    format,
    scale::{Scale, Unit, drawable, step, ticks},
    svg::{Anchor, LETTER, Mark, Point, Size, Svg, width_of},
};
use crate::scenario::{EventKind, Prediction};

/// Heights of the parts of a chart.
const MARK_ROW: f64 = 19.0;
const BELOW: f64 = 36.0;
/// The most rows of event marks.
const ROWS: usize = 3;
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
    /// Time and kind of each event, in the order of their numbers.
    pub(super) events: &'a [(f64, EventKind)],
    pub(super) predictions: &'a [Prediction],
    /// End of the run.
    pub(super) end: f64,
}

impl LagChart<'_> {
    /// The chart at one size.
    pub(super) fn at(&self, size: Size) -> Svg {
        let samples: Vec<(f64, Option<f64>)> =
            self.samples.iter().filter_map(|(at, lag)| Some((drawable(*at)?, lag.and_then(drawable)))).collect();
        let width = size.width();
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
        let y_labels: Vec<_> = ticks([y_low, y_high], y_step)
            .into_iter()
            .map(|tick| {
                (tick, if self.unit == Unit::Seconds { format::moment(tick, y_high) } else { format::short(tick) })
            })
            .collect();
        let left = y_labels.iter().map(|(_, label)| width_of(label)).fold(32.0, f64::max) + 10.0;

        let latest =
            samples.iter().map(|(at, _)| *at).chain([drawable(self.end).unwrap_or_default()]).fold(0.0, f64::max);
        let earliest = samples.iter().map(|(at, _)| *at).fold(0.0, f64::min);
        // A prediction far after the end of the run must not shrink the run itself.
        let predicted = self.predictions.iter().filter_map(|prediction| drawable(prediction.drained_at_seconds));
        let far = predicted.fold(latest, f64::max).min(earliest + (latest - earliest) * 1.3);
        let labels = EventLabels::of(self.events);
        let right = (labels.width / 2.0 + 2.0).max(28.0);
        let x = Scale::new([earliest, far], [left, width - right]);
        let clusters = labels.clusters(self.events, &x);
        let rows = clusters.iter().map(|cluster| cluster.row + 1).max().unwrap_or_default();
        #[allow(clippy::cast_precision_loss, reason = "three rows at most")]
        let top = 22.0 + rows as f64 * MARK_ROW;
        let bottom = top + plot_height;
        let y = Scale::new([y_low, y_high], [bottom, top]);

        let mut marks = Vec::new();
        for (tick, label) in &y_labels {
            let class = if *tick == 0.0 { "axis" } else { "grid" };
            marks.push(Mark::line(class, Point(left, y.at(*tick)), Point(width - right, y.at(*tick))));
            let at = Point(left - 6.0, y.at(*tick) + 4.0);
            marks.push(Mark::Text { class: "tick", at, anchor: Anchor::End, text: label.clone() });
        }
        time_axis(&mut marks, &x, [left, width - right], bottom);
        draw_events(&mut marks, &clusters, labels.width, bottom);

        let area: Vec<_> = unbroken(&samples);
        for run in &area {
            let run = thinned(run);
            let places: Vec<_> = run.iter().map(|(at, lag)| Point(x.at(*at), y.at(*lag))).collect();
            if let [only] = places[..] {
                marks.push(Mark::Dot { class: "lag-dot", at: only, radius: 3.0 });
                continue;
            }
            marks.push(Mark::Lines { class: "lag-line", lines: vec![places] });
        }
        if self.unit == Unit::Count {
            for prediction in self.predictions {
                draw_prediction(&mut marks, prediction, &x, &y);
            }
        }
        if let Some((at, lag)) = peak.filter(|(_, lag)| *lag > 0.0) {
            let lag_text = match self.unit {
                Unit::Count => format::decimal(lag, 0),
                Unit::Seconds => format::seconds(lag),
            };
            let text = format!("peak {lag_text}");
            let place = Point(x.at(at), y.at(lag));
            marks.push(Mark::Dot { class: "peak", at: place, radius: 4.0 });
            let half = width_of(&text) / 2.0;
            let middle = place.0.clamp(left + half, (width - right - half).max(left + half));
            let at = Point(middle, place.1 - 9.0);
            marks.push(Mark::Text { class: "label halo", at, anchor: Anchor::Middle, text });
        }
        Svg {
            id: self.id.clone(),
            size,
            height: bottom + BELOW,
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

/// The time axis.
pub(super) fn time_axis(marks: &mut Vec<Mark>, x: &Scale, [left, right]: [f64; 2], bottom: f64) {
    let (low, high) = (x.low(), x.high());
    marks.push(Mark::line("axis", Point(left, bottom), Point(right, bottom)));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a chart has some ten ticks")]
    let most = ((right - left) / 72.0) as usize;
    for tick in ticks([low, high], step(high - low, most, Unit::Seconds)) {
        let place = x.at(tick);
        marks.push(Mark::line("axis", Point(place, bottom), Point(place, bottom + 5.0)));
        let text = format::moment(tick, high);
        let half = width_of(&text) / 2.0;
        let at = Point(place.clamp(half, (right + 10.0 - half).max(half)), bottom + 19.0);
        marks.push(Mark::Text { class: "tick", at, anchor: Anchor::Middle, text });
    }
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

/// Events that are so close together that they share a mark.
#[derive(Debug)]
struct Cluster {
    place: f64,
    row: usize,
    first: usize,
    last: usize,
    has_kill: bool,
}

/// The layout of event marks.
struct EventLabels {
    /// The width of the widest label.
    width: f64,
}

impl EventLabels {
    fn of(events: &[(f64, EventKind)]) -> Self {
        let digits = events.len().to_string().len();
        #[allow(clippy::cast_precision_loss, reason = "a number of digits")]
        let letters = (2 * digits + 1) as f64;
        Self { width: letters * LETTER + 6.0 }
    }

    /// Events share a mark if they are too close even for separate rows. A mark takes the first free row, which always
    /// exists at that distance.
    fn clusters(&self, events: &[(f64, EventKind)], x: &Scale) -> Vec<Cluster> {
        let placed = events.iter().map(|(at, kind)| (x.at(*at), *kind));
        let mut placed: Vec<_> = placed.enumerate().map(|(index, (place, kind))| (place, index + 1, kind)).collect();
        placed.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
        #[allow(clippy::cast_precision_loss, reason = "three rows")]
        let together = self.width / ROWS as f64;
        let mut clusters: Vec<Cluster> = Vec::new();
        let mut ends = [f64::NEG_INFINITY; ROWS];
        for (place, number, kind) in placed {
            let is_kill = kind == EventKind::Killed;
            match clusters.last_mut() {
                Some(last) if place - last.place < together => {
                    last.first = last.first.min(number);
                    last.last = last.last.max(number);
                    last.has_kill |= is_kill;
                }
                _ => {
                    let row = ends.iter().position(|end| place - self.width / 2.0 >= *end).unwrap_or(ROWS - 1);
                    ends[row] = place + self.width / 2.0;
                    clusters.push(Cluster { place, row, first: number, last: number, has_kill: is_kill });
                }
            }
        }
        clusters
    }
}

fn draw_events(marks: &mut Vec<Mark>, clusters: &[Cluster], widest: f64, bottom: f64) {
    // Lines are drawn first, so that none covers a number.
    for cluster in clusters {
        #[allow(clippy::cast_precision_loss, reason = "three rows")]
        let from = 4.0 + cluster.row as f64 * MARK_ROW;
        let class = if cluster.has_kill { "event kill" } else { "event" };
        marks.push(Mark::line(class, Point(cluster.place, from), Point(cluster.place, bottom)));
    }
    for cluster in clusters {
        let text = if cluster.first == cluster.last {
            cluster.first.to_string()
        } else {
            format!("{}–{}", cluster.first, cluster.last)
        };
        #[allow(clippy::cast_precision_loss, reason = "three rows")]
        let from = 3.0 + cluster.row as f64 * MARK_ROW;
        let width = (width_of(&text) + 4.0).clamp(16.0, widest.max(16.0));
        let class = if cluster.has_kill { "badge kill" } else { "badge" };
        let at = Point(cluster.place - width / 2.0, from);
        marks.push(Mark::Area { class, at, width, height: MARK_ROW - 3.0 });
        let at = Point(cluster.place, from + 12.0);
        marks.push(Mark::Text { class: "badge-text", at, anchor: Anchor::Middle, text });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::html::svg::testing::{outside, overlapping};

    fn chart<'a>(
        samples: Vec<(f64, Option<f64>)>,
        events: &'a [(f64, EventKind)],
        predictions: &'a [Prediction],
    ) -> LagChart<'a> {
        let end = samples.last().map_or(0.0, |(at, _)| *at);
        let (title, description) = ("Lag".to_owned(), "Rises and falls.".to_owned());
        LagChart { id: "lag".into(), title, description, unit: Unit::Count, samples, events, predictions, end }
    }

    fn sizes() -> [Size; 3] {
        [Size::Wide, Size::Narrow, Size::Half]
    }

    fn badges(svg: &Svg) -> Vec<String> {
        let text = |mark: &Mark| match mark {
            Mark::Text { class: "badge-text", text, .. } => Some(text.clone()),
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
    fn close_events_share_a_mark() {
        let samples = vec![(0.0, Some(0.0)), (100.0, Some(9.0))];
        let apart: Vec<_> = (0..4).map(|index| (f64::from(index) * 25.0, EventKind::Started)).collect();
        assert_eq!(badges(&chart(samples.clone(), &apart, &[]).at(Size::Narrow)), ["1", "2", "3", "4"]);
        let crowd: Vec<_> = (0..200).map(|index| (f64::from(index % 2), EventKind::Killed)).collect();
        assert_eq!(badges(&chart(samples, &crowd, &[]).at(Size::Wide)).len(), 1);
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
            events in prop::collection::vec((any_number(), any_kind()), 0..130),
            from in any_number(), to in any_number(), was in prop::option::of(any_number()), messages: i64, seconds: bool,
        ) {
            let prediction = Prediction {
                at_seconds: from, messages, per_second: 1.0, drained_at_seconds: to, was_drained_at_seconds: was,
            };
            let predictions = [prediction];
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
            events in prop::collection::vec(0.0f64..120.0, 0..130),
        ) {
            let samples = (0_u32..).map(f64::from).zip(lags).map(|(at, lag)| (at, Some(lag))).collect();
            let events: Vec<_> = events.into_iter().map(|at| (at, EventKind::Started)).collect();
            for size in sizes() {
                let mut svg = chart(Vec::clone(&samples), &events, &[]).at(size);
                // The label of the peak may cover a line but no number of the axis: it is within the plot.
                svg.marks.retain(|mark| !matches!(mark, Mark::Text { class: "label halo", .. }));
                prop_assert!(overlapping(&svg).is_empty(), "{:?}", overlapping(&svg));
            }
        }
    }
}

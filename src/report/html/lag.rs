//! Lag section of a page: a chart for each group that had lag, a line for the others, the events of the run, and the
//! predicted and actual drains.

use super::{
    event_labels::{self, ChartEvent},
    format,
    lag_chart::LagChart,
    page::{Figure, Section, Sentences},
    scale::Unit,
    svg::{Mark, Point, Size, Svg},
    table::{Cell, Collapse, HtmlTable},
    time_axis::TimeAxis,
};
use crate::report::printable;
use crate::scenario::{EventKind, LagSample, LagSeries, Prediction, RunEvent, StepOutcome};
use crate::units;

/// The most samples in a table. Of more, every n-th is shown, and always the peak.
const SAMPLES: usize = 240;

/// The lag of the groups of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct LagView<'a> {
    pub(super) groups: &'a [LagSeries],
    pub(super) events: &'a [RunEvent],
    /// The processes that the events name, if they are known.
    pub(super) steps: &'a [StepOutcome],
    /// The prefix of the run's topics and groups.
    pub(super) prefix: &'a str,
    /// The axis of all charts.
    pub(super) axis: TimeAxis,
}

impl LagView<'_> {
    /// The group with the highest lag, if it has a line to draw.
    pub(super) fn busiest(&self) -> Option<usize> {
        let drawn = (0..self.groups.len()).filter(|index| is_drawn(&self.groups[*index]));
        drawn.rev().max_by_key(|index| peak(&self.groups[*index]).map(|(_, messages)| messages))
    }

    /// The lag section; `None` without samples. The chart of `at_the_top` is elsewhere on the page.
    pub(super) fn section(&self, at_the_top: Option<usize>) -> Option<Section> {
        if self.groups.iter().all(|group| group.samples.is_empty()) {
            return None;
        }
        let mut section = Section::new("lag", "Lag over time");
        let (drawn, others): (Vec<_>, Vec<_>) =
            (0..self.groups.len()).partition(|index| is_drawn(&self.groups[*index]));
        let first = at_the_top.filter(|index| drawn.contains(index));
        for index in first.into_iter().chain(drawn.into_iter().filter(|index| Some(*index) != first)) {
            self.add_group(&mut section, index, first == Some(index));
        }
        let others = others.into_iter().map(|index| &self.groups[index]).filter(|group| !group.samples.is_empty());
        let sentences: Vec<_> = others.map(line).collect();
        if !sentences.is_empty() {
            section.add(&Sentences { sentences });
        }
        if !self.events.is_empty() {
            section.add(&events_table(self.events));
        }
        Some(section)
    }

    fn add_group(&self, section: &mut Section, index: usize, is_at_the_top: bool) {
        let group = &self.groups[index];
        section.heading(name(group));
        section.paragraph(story(group));
        if is_at_the_top {
            section.paragraph("Its chart is at the top of this page.");
        } else {
            section.add(&self.figure(index));
        }
        section.add_all(self.age_figure(index));
        if !group.predictions.is_empty() {
            section.add(&predictions_table(&group.predictions));
        }
        section.add_all(partitions_table(&group.samples));
        section.add(&samples_table(&group.samples));
    }

    /// The chart of a group's lag in messages.
    pub(super) fn figure(&self, index: usize) -> Figure {
        let group = &self.groups[index];
        let events = self.chart_events(group);
        let chart = self.chart(index, &events);
        let sizes = [Size::Wide, Size::Narrow];
        let note = event_labels::note(&sizes.map(|size| chart.labels(size)));
        Figure {
            charts: sizes.map(|size| chart.at(size)).into(),
            legend: legend(!group.predictions.is_empty()),
            caption: format!("Lag of {} in messages, by time since the start.", name(group)),
            note,
        }
    }

    /// The same chart alone.
    pub(super) fn svg(&self, index: usize) -> Svg {
        let events = self.chart_events(&self.groups[index]);
        self.chart(index, &events).at(Size::Wide)
    }

    fn chart_events(&self, group: &LagSeries) -> Vec<ChartEvent> {
        event_labels::of_group(self.events, self.steps, &group.group, self.prefix)
    }

    fn chart<'e>(&'e self, index: usize, events: &'e [ChartEvent]) -> LagChart<'e> {
        let group = &self.groups[index];
        LagChart {
            id: format!("lag{index}"),
            title: format!("Lag of {} in messages, over time", name(group)),
            description: story(group),
            unit: Unit::Count,
            samples: group.samples.iter().map(|sample| (sample.at_seconds, sample.messages.map(counted))).collect(),
            events,
            predictions: &group.predictions,
            axis: self.axis,
        }
    }

    /// The chart of the age of the oldest unread message; `None` if it was always 0 or unknown.
    fn age_figure(&self, index: usize) -> Option<Figure> {
        let group = &self.groups[index];
        let oldest = group.samples.iter().filter_map(|sample| sample.seconds).fold(0.0, f64::max);
        if oldest <= 0.0 {
            return None;
        }
        let chart = LagChart {
            id: format!("lag{index}seconds"),
            title: format!("Age of the oldest unread message of {}, over time", name(group)),
            description: format!("The oldest unread message was {} old.", format::seconds(oldest)),
            unit: Unit::Seconds,
            samples: group.samples.iter().map(|sample| (sample.at_seconds, sample.seconds)).collect(),
            events: &[],
            predictions: &[],
            axis: self.axis,
        };
        Some(Figure {
            charts: vec![chart.at(Size::Wide), chart.at(Size::Narrow)],
            legend: Vec::new(),
            caption: "Age of the oldest unread message, by time since the start.".to_owned(),
            note: "",
        })
    }
}

fn name(group: &LagSeries) -> String {
    format::cut(&printable(&group.group))
}

/// Time and lag of the samples in which the lag was known.
fn known(group: &LagSeries) -> impl DoubleEndedIterator<Item = (f64, i64)> + '_ {
    group.samples.iter().filter_map(|sample| Some((sample.at_seconds, sample.messages?)))
}

/// The first sample with the highest lag.
pub(super) fn peak(group: &LagSeries) -> Option<(f64, i64)> {
    known(group).rev().max_by_key(|(_, messages)| *messages)
}

/// When the lag was 0 after its peak; `None` if it was not, or if it was above 0 again at the end.
pub(super) fn drained(group: &LagSeries) -> Option<f64> {
    let (peak, _) = peak(group)?;
    let (_, last) = known(group).next_back()?;
    known(group).find(|(at, messages)| *at > peak && *messages <= 0).filter(|_| last <= 0).map(|(at, _)| at)
}

/// How far the lag of a group rose, and when it was 0 again.
pub(super) fn rise(group: &LagSeries) -> String {
    let Some((at, highest)) = peak(group) else { return String::new() };
    // A lag that was highest at its first sample only fell.
    let only_fell = known(group).next().is_some_and(|(first, _)| first >= at);
    let again = if only_fell { "" } else { " again" };
    let end = match drained(group) {
        Some(drained) => format!(" and was 0{again} at {}", format::seconds(drained)),
        None => format!(", and was {} at the end", at_the_end(group)),
    };
    format!(
        "The lag of {} {} {} at {}{end}.",
        name(group),
        if only_fell { "was at most" } else { "rose to" },
        units::counted(highest, "message"),
        format::seconds(at)
    )
}

/// The lag of the last sample.
fn at_the_end(group: &LagSeries) -> String {
    group.samples.last().and_then(|sample| sample.messages).map_or_else(|| "unknown".to_owned(), format::grouped)
}

/// Whether the group has a line to draw: lag, and more than one sample.
fn is_drawn(group: &LagSeries) -> bool {
    peak(group).is_some_and(|(_, messages)| messages > 0) && known(group).nth(1).is_some()
}

/// The sentence about a group without a chart.
fn line(group: &LagSeries) -> String {
    let (name, all, seen) = (name(group), group.samples.len(), known(group).count());
    let samples = units::counted(all as u64, "sample");
    match peak(group) {
        None => {
            format!("{name}: the lag is unknown in {samples}; the group had no committed offset on some partition.")
        }
        Some((_, messages)) if messages > 0 => {
            format!(
                "{name}: the lag was {} in the only sample in which it was known.",
                units::counted(messages, "message")
            )
        }
        Some(_) if seen == all => format!("{name}: the lag was 0 in {samples}."),
        Some(_) => format!("{name}: the lag was 0 in the {seen} of {samples} in which it was known."),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a coordinate of a chart")]
const fn counted(messages: i64) -> f64 {
    messages as f64
}

/// The lag of a group in a few sentences.
fn story(group: &LagSeries) -> String {
    let Some(peak) = peak(group) else {
        return "The lag was never known: the group has no committed offset, or not on every partition.".to_owned();
    };
    let mut story = format!(
        "The lag peaked at {} {} after the start; at the end it was {}.",
        units::counted(peak.1, "message"),
        format::seconds(peak.0),
        at_the_end(group)
    );
    for prediction in &group.predictions {
        let predicted = format::seconds(prediction.drained_at_seconds);
        let rate = format::decimal(prediction.per_second, 1);
        let outcome = match prediction.was_drained_at_seconds {
            Some(was) => format!("the actual end was {}{}.", format::seconds(was), deviation(prediction, was)),
            None => "the run ended before that.".to_owned(),
        };
        story.extend([
            " At the initial rate of ",
            &rate,
            " messages/s the drain was predicted to end at ",
            &predicted,
            "; ",
            &outcome,
        ]);
    }
    story
}

/// How the duration of a drain differs from the predicted one, relative to the predicted one.
fn deviation(prediction: &Prediction, was: f64) -> String {
    let (predicted, took) = (prediction.drained_at_seconds - prediction.at_seconds, was - prediction.at_seconds);
    let off = (took - predicted) / predicted * 100.0;
    // A drain of no duration cannot be compared.
    if !off.is_finite() || took <= 0.0 || predicted <= 0.0 {
        return String::new();
    }
    match format::decimal(off.abs(), 0) {
        zero if zero == "0" => " (as predicted)".to_owned(),
        _ if off >= 100.0 => {
            format!(" (the drain took {} times as long as predicted)", format::decimal(took / predicted, 1))
        }
        percent if off > 0.0 => format!(" (the drain took {percent} % longer than predicted)"),
        percent => format!(" (the drain took {percent} % less time than predicted)"),
    }
}

/// The legend of a prediction: its line, its end, and the actual end.
pub(super) const LEGEND: [&str; 3] = ["drain, predicted from its first quarter", "predicted end", "actual end"];

fn legend(is_predicted: bool) -> Vec<(Vec<Mark>, String)> {
    let line = |class| vec![Mark::line(class, Point(1.0, 7.0), Point(25.0, 7.0))];
    if !is_predicted {
        return Vec::new();
    }
    let diamond = Mark::Diamond { class: "predicted-end", at: Point(13.0, 7.0), radius: 6.0 };
    let dot = Mark::Dot { class: "drained", at: Point(13.0, 7.0), radius: 4.5 };
    let predicted = [line("predicted"), vec![diamond], vec![dot]].into_iter().zip(LEGEND.map(str::to_owned));
    [(line("lag-line"), "lag in messages".to_owned())].into_iter().chain(predicted).collect()
}

/// All events, with those that have no name on a chart.
fn events_table(events: &[RunEvent]) -> HtmlTable {
    let rows = events.iter().map(|event| {
        vec![
            Cell::Number(format::seconds(event.at_seconds)),
            Cell::Word {
                class: kind_class(event.kind),
                sign: kind_sign(event.kind),
                text: kind_word(event.kind).to_owned(),
            },
            Cell::Text(
                event.step.as_deref().map_or_else(|| format::NOTHING.to_owned(), |step| format::cut(&printable(step))),
            ),
            Cell::Text(format::cut(&printable(&event.text))),
        ]
    });
    HtmlTable {
        class: "events",
        caption: "Events".to_owned(),
        heads: vec![("time", true), ("event", false), ("step", false), ("details", false)],
        rows: rows.collect(),
        fold: Collapse::WhenLong,
    }
}

const fn kind_word(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Started => "started",
        EventKind::Throttled => "throttled",
        EventKind::Ended => "ended",
        EventKind::Stopped => "stopped",
        EventKind::Killed => "killed",
        EventKind::Paused => "paused",
        EventKind::Resumed => "resumed",
        EventKind::Waiting => "waiting",
        EventKind::Held => "held",
    }
}

const fn kind_sign(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Started | EventKind::Resumed => "▶",
        EventKind::Throttled => "▷",
        EventKind::Ended => "■",
        EventKind::Stopped => "◆",
        EventKind::Killed => "✗",
        EventKind::Paused => "‖",
        EventKind::Waiting => "…",
        EventKind::Held => "✓",
    }
}

const fn kind_class(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Killed => "bad",
        _ => "",
    }
}

fn predictions_table(predictions: &[Prediction]) -> HtmlTable {
    let rows = predictions.iter().map(|prediction| {
        let was = prediction.was_drained_at_seconds;
        let took = was.map(|was| was - prediction.at_seconds);
        let off = took.map(|took| took - (prediction.drained_at_seconds - prediction.at_seconds));
        vec![
            Cell::Number(format::seconds(prediction.at_seconds)),
            Cell::Number(format::grouped(prediction.messages)),
            Cell::Number(format!("{}/s", format::decimal(prediction.per_second, 1))),
            Cell::Number(format::seconds(prediction.drained_at_seconds)),
            Cell::Number(was.map_or_else(|| "not yet".to_owned(), format::seconds)),
            Cell::Number(off.map_or_else(
                || format::NOTHING.to_owned(),
                |off| format!("{}{}", if off > 0.0 { "+" } else { "" }, format::seconds(off)),
            )),
        ]
    });
    HtmlTable {
        class: "small",
        caption: "Drains: predicted from the first quarter, and actual".to_owned(),
        heads: vec![
            ("start", true),
            ("lag", true),
            ("rate", true),
            ("predicted end", true),
            ("actual end", true),
            ("error", true),
        ],
        rows: rows.collect(),
        fold: Collapse::WhenLong,
    }
}

/// The peak and the final lag of each partition.
fn partitions_table(samples: &[LagSample]) -> Option<HtmlTable> {
    let last = samples.iter().rev().find(|sample| !sample.partitions.is_empty())?;
    let rows = last.partitions.iter().map(|row| {
        let history = samples.iter().filter_map(|sample| {
            let same =
                sample.partitions.iter().find(|other| (&other.topic, other.partition) == (&row.topic, row.partition));
            same.and_then(|same| Some((sample.at_seconds, same.messages?)))
        });
        let peak = history.max_by_key(|(_, messages)| *messages);
        let or_nothing = |text: Option<String>| Cell::Number(text.unwrap_or_else(|| format::NOTHING.to_owned()));
        vec![
            Cell::Text(format!("{} {}", format::cut(&printable(&row.topic)), row.partition)),
            or_nothing(peak.map(|(_, messages)| format::grouped(messages))),
            or_nothing(peak.map(|(at, _)| format::seconds(at))),
            or_nothing(row.messages.map(format::grouped)),
            or_nothing(row.seconds.map(format::seconds)),
        ]
    });
    Some(HtmlTable {
        class: "",
        caption: "Lag by partition".to_owned(),
        heads: vec![("partition", false), ("peak", true), ("time", true), ("final", true), ("oldest message", true)],
        rows: rows.collect(),
        fold: Collapse::Always,
    })
}

fn samples_table(samples: &[LagSample]) -> HtmlTable {
    let apart = samples.len().div_ceil(SAMPLES).max(1);
    let peak = (0..samples.len()).rev().max_by_key(|index| samples[*index].messages);
    let shown = samples.iter().enumerate();
    let shown = shown.filter(|(index, _)| index % apart == 0 || Some(*index) == peak || index + 1 == samples.len());
    let rows = shown.map(|(_, sample)| {
        let messages = sample.messages.map(format::grouped);
        let seconds = sample.seconds.map(format::seconds);
        let cells = [messages, seconds].map(|text| Cell::Number(text.unwrap_or_else(|| format::NOTHING.to_owned())));
        [Cell::Number(format::seconds(sample.at_seconds))].into_iter().chain(cells).collect()
    });
    let caption = match apart {
        1 => "All samples".to_owned(),
        _ => format!("One in {apart} of {} samples, and the peak", format::grouped(samples.len() as u64)),
    };
    HtmlTable {
        class: "",
        caption,
        heads: vec![("time", true), ("messages", true), ("oldest", true)],
        rows: rows.collect(),
        fold: Collapse::Always,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(lags: &[Option<i64>]) -> LagSeries {
        let sample = |(at, messages): (u32, &Option<i64>)| LagSample {
            at_seconds: at.into(),
            messages: *messages,
            seconds: None,
            partitions: Vec::new(),
        };
        let samples = (0_u32..).zip(lags).map(sample).collect();
        LagSeries { group: "readers".to_owned(), samples, predictions: Vec::new() }
    }

    #[test]
    fn deviation_is_relative_to_the_prediction() {
        let deviation = |predicted: f64, took: f64| {
            let prediction = Prediction {
                at_seconds: 10.0,
                messages: 100,
                per_second: 1.0,
                drained_at_seconds: 10.0 + predicted,
                was_drained_at_seconds: Some(10.0 + took),
            };
            deviation(&prediction, 10.0 + took)
        };
        assert_eq!(deviation(20.0, 10.0), " (the drain took 50 % less time than predicted)");
        assert_eq!(deviation(1000.0, 1.0), " (the drain took 100 % less time than predicted)");
        assert_eq!(deviation(20.0, 25.0), " (the drain took 25 % longer than predicted)");
        assert_eq!(deviation(20.0, 48.0), " (the drain took 2.4 times as long as predicted)");
        assert_eq!(deviation(20.0, 20.01), " (as predicted)");
        assert_eq!([deviation(0.0, 5.0), deviation(f64::NAN, 5.0), deviation(5.0, 0.0)], ["", "", ""]);
    }

    #[test]
    fn groups_without_lag_have_a_line_and_no_chart() {
        let groups = [
            series(&[None, None]),
            series(&[None, Some(0), Some(0)]),
            series(&[Some(0), Some(0)]),
            series(&[None, Some(12)]),
            series(&[Some(0), Some(7), Some(0)]),
        ];
        let lines: Vec<_> = groups.iter().filter(|group| !is_drawn(group)).map(line).collect();
        assert_eq!(
            lines,
            [
                "readers: the lag is unknown in 2 samples; the group had no committed offset on some partition.",
                "readers: the lag was 0 in the 2 of 3 samples in which it was known.",
                "readers: the lag was 0 in 2 samples.",
                "readers: the lag was 12 messages in the only sample in which it was known.",
            ]
        );
        let axis = TimeAxis::new(&groups, 5.0, "");
        let view = LagView { groups: &groups, events: &[], steps: &[], prefix: "", axis };
        assert_eq!(view.busiest(), Some(4));
        assert_eq!(LagView { groups: &groups[..4], ..view }.busiest(), None);
    }

    #[test]
    fn drained_is_the_first_zero_after_the_peak() {
        assert_eq!(drained(&series(&[Some(0), Some(5), Some(9), Some(0), Some(0)])), Some(3.0));
        assert_eq!(drained(&series(&[Some(0), Some(9), Some(0), Some(2)])), None, "lag again at the end");
        assert_eq!(drained(&series(&[Some(9), Some(4), None])), None);
    }

    #[test]
    fn lag_that_only_fell_did_not_rise() {
        let rose = rise(&series(&[None, Some(2), Some(9), Some(0)]));
        assert_eq!(rose, "The lag of readers rose to 9 messages at 2\u{a0}s and was 0 again at 3\u{a0}s.");
        let fell = rise(&series(&[None, Some(9), Some(9), Some(0)]));
        assert_eq!(fell, "The lag of readers was at most 9 messages at 1\u{a0}s and was 0 at 3\u{a0}s.");
    }
}

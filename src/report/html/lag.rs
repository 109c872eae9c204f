//! Lag section of a page: a chart for each group, the events of the run, and the predicted and actual drains.

use super::{
    format,
    lag_chart::LagChart,
    page::{Figure, Section},
    scale::Unit,
    svg::{Mark, Point, Size},
    table::{Cell, Collapse, HtmlTable},
};
use crate::report::printable;
use crate::scenario::{EventKind, LagSample, LagSeries, Prediction, RunEvent};
use crate::units;

/// The most samples in a table. Of more, every n-th is shown, and always the peak.
const SAMPLES: usize = 240;

/// The lag of groups over time; `None` without samples.
pub(super) fn lag_section(groups: &[LagSeries], events: &[RunEvent], end: f64) -> Option<Section> {
    if groups.iter().all(|group| group.samples.is_empty()) {
        return None;
    }
    let mut section = Section::new("lag", "Lag over time");
    let marks: Vec<_> = events.iter().map(|event| (event.at_seconds, event.kind)).collect();
    let sampled = groups.iter().filter(|group| !group.samples.is_empty());
    for (index, group) in sampled.enumerate() {
        add_group(&mut section, index, group, &marks, end);
    }
    if !events.is_empty() {
        section.add(&events_table(events));
    }
    Some(section)
}

fn add_group(section: &mut Section, index: usize, group: &LagSeries, marks: &[(f64, EventKind)], end: f64) {
    let name = format::cut(&printable(&group.group));
    section.heading(name.clone());
    let story = story(group);
    section.paragraph(story.clone());
    let is_predicted = !group.predictions.is_empty();
    let chart = LagChart {
        id: format!("lag{index}"),
        title: format!("Lag of {name} in messages, over time"),
        description: story,
        unit: Unit::Count,
        samples: group.samples.iter().map(|sample| (sample.at_seconds, sample.messages.map(counted))).collect(),
        events: marks,
        predictions: &group.predictions,
        end,
    };
    section.add(&Figure {
        charts: vec![chart.at(Size::Wide), chart.at(Size::Narrow)],
        legend: legend(is_predicted, marks),
        caption: "Lag in messages, by time since the start.".to_owned(),
    });
    if group.samples.iter().any(|sample| sample.seconds.is_some_and(|seconds| seconds > 0.0)) {
        let oldest = group.samples.iter().filter_map(|sample| sample.seconds).fold(0.0, f64::max);
        let chart = LagChart {
            id: format!("lag{index}seconds"),
            title: format!("Age of the oldest unread message of {name}, over time"),
            description: format!("The oldest unread message was {} old.", format::seconds(oldest)),
            unit: Unit::Seconds,
            samples: group.samples.iter().map(|sample| (sample.at_seconds, sample.seconds)).collect(),
            events: &[],
            predictions: &[],
            end,
        };
        section.add(&Figure {
            charts: vec![chart.at(Size::Wide), chart.at(Size::Narrow)],
            legend: Vec::new(),
            caption: "Age of the oldest unread message, by time since the start.".to_owned(),
        });
    }
    if is_predicted {
        section.add(&predictions_table(&group.predictions));
    }
    if let Some(table) = partitions_table(&group.samples) {
        section.add(&table);
    }
    section.add(&samples_table(&group.samples));
}

#[allow(clippy::cast_precision_loss, reason = "a coordinate of a chart")]
const fn counted(messages: i64) -> f64 {
    messages as f64
}

/// The lag of a group in a few sentences.
fn story(group: &LagSeries) -> String {
    let known: Vec<_> = group.samples.iter().filter_map(|sample| Some((sample.at_seconds, sample.messages?))).collect();
    let (Some(peak), Some(last)) = (known.iter().rev().max_by_key(|(_, messages)| *messages), known.last()) else {
        return "The lag was never known: the group has no committed offset, or not on every partition.".to_owned();
    };
    let mut story = if peak.1 <= 0 {
        "The lag was always 0.".to_owned()
    } else {
        let peak = format!(
            "The lag peaked at {} {} after the start",
            units::counted(peak.1, "message"),
            format::seconds(peak.0)
        );
        format!("{peak}; at the end it was {}.", format::grouped(last.1))
    };
    for prediction in &group.predictions {
        let predicted = format::seconds(prediction.drained_at_seconds);
        let rate = format::decimal(prediction.per_second, 1);
        let outcome = match prediction.was_drained_at_seconds {
            Some(was) => format!("the actual end was {}{}.", format::seconds(was), off_by(prediction, was)),
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

/// The error of a prediction, relative to the actual duration of the drain.
fn off_by(prediction: &Prediction, was: f64) -> String {
    let (predicted, took) = (prediction.drained_at_seconds - prediction.at_seconds, was - prediction.at_seconds);
    let off = (took - predicted) * 100.0 / took;
    if !off.is_finite() || took <= 0.0 {
        return String::new();
    }
    match format::decimal(off.abs(), 0) {
        zero if zero == "0" => " (as predicted)".to_owned(),
        percent if off > 0.0 => format!(" (the drain took {percent} % longer)"),
        percent => format!(" (the drain took {percent} % less)"),
    }
}

fn legend(is_predicted: bool, events: &[(f64, EventKind)]) -> Vec<(Vec<Mark>, String)> {
    let line = |class| vec![Mark::line(class, Point(1.0, 7.0), Point(25.0, 7.0))];
    let mut legend = vec![(line("lag-line"), "lag in messages".to_owned())];
    if is_predicted {
        legend.push((line("predicted"), "predicted drain".to_owned()));
        let diamond = Mark::Diamond { class: "predicted-end", at: Point(13.0, 7.0), radius: 6.0 };
        legend.push((vec![diamond], "predicted end of the drain".to_owned()));
        let dot = Mark::Dot { class: "drained", at: Point(13.0, 7.0), radius: 4.5 };
        legend.push((vec![dot], "actual end of the drain".to_owned()));
    }
    if !events.is_empty() {
        let badge = Mark::Area { class: "badge", at: Point(5.0, 1.0), width: 16.0, height: 12.0 };
        legend.push((vec![badge], "event, with its number in the table below".to_owned()));
    }
    if events.iter().any(|(_, kind)| *kind == EventKind::Killed) {
        let badge = Mark::Area { class: "badge kill", at: Point(5.0, 1.0), width: 16.0, height: 12.0 };
        legend.push((vec![badge], "event with a kill".to_owned()));
    }
    legend
}

/// The events, with the numbers on the charts.
fn events_table(events: &[RunEvent]) -> HtmlTable {
    let rows = events.iter().enumerate().map(|(index, event)| {
        vec![
            Cell::Number((index + 1).to_string()),
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
        heads: vec![("no.", true), ("time", true), ("event", false), ("step", false), ("details", false)],
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

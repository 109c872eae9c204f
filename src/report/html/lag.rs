//! Owns the part about lag: a picture for each group, what happened meanwhile, the drain as predicted and as it was.

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

/// Samples that a table shows; of more, every so manieth, and always the peak.
const SAMPLES: usize = 240;

/// The lag of groups over time; nothing, where no sample was taken.
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
    let picture = LagChart {
        id: format!("lag{index}"),
        title: format!("Messages of {name} that wait, over time"),
        description: story,
        unit: Unit::Count,
        samples: group.samples.iter().map(|sample| (sample.at_seconds, sample.messages.map(counted))).collect(),
        events: marks,
        predictions: &group.predictions,
        end,
    };
    section.add(&Figure {
        drawings: vec![picture.at(Size::Wide), picture.at(Size::Narrow)],
        legend: legend(is_predicted, marks),
        caption: "Messages that wait, by time since the start.".to_owned(),
    });
    if group.samples.iter().any(|sample| sample.seconds.is_some_and(|seconds| seconds > 0.0)) {
        let oldest = group.samples.iter().filter_map(|sample| sample.seconds).fold(0.0, f64::max);
        let picture = LagChart {
            id: format!("lag{index}seconds"),
            title: format!("Age of the oldest message that waits for {name}, over time"),
            description: format!("The oldest was {} old.", format::seconds(oldest)),
            unit: Unit::Seconds,
            samples: group.samples.iter().map(|sample| (sample.at_seconds, sample.seconds)).collect(),
            events: &[],
            predictions: &[],
            end,
        };
        section.add(&Figure {
            drawings: vec![picture.at(Size::Wide), picture.at(Size::Narrow)],
            legend: Vec::new(),
            caption: "Age of the oldest message that waits, by time since the start.".to_owned(),
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

#[allow(clippy::cast_precision_loss, reason = "a place on a picture")]
const fn counted(messages: i64) -> f64 {
    messages as f64
}

/// What happened to a group, in a sentence or three.
fn story(group: &LagSeries) -> String {
    let known: Vec<_> = group.samples.iter().filter_map(|sample| Some((sample.at_seconds, sample.messages?))).collect();
    let (Some(peak), Some(last)) = (known.iter().rev().max_by_key(|(_, messages)| *messages), known.last()) else {
        return "Its lag was not known while it was looked at: it has committed nothing, or not on every partition."
            .to_owned();
    };
    let mut story = if peak.1 <= 0 {
        "Nothing ever waited.".to_owned()
    } else {
        let peak = format!(
            "The lag peaked at {} messages {} after the start",
            format::grouped(peak.1),
            format::seconds(peak.0)
        );
        let last = match last.1 {
            0 => "at the end nothing waits".to_owned(),
            waiting => format!("at the end {} wait", format::grouped(waiting)),
        };
        format!("{peak}; {last}.")
    };
    for prediction in &group.predictions {
        let predicted = format::seconds(prediction.drained_at_seconds);
        let rate = format::decimal(prediction.per_second, 1);
        let outcome = match prediction.was_drained_at_seconds {
            Some(was) => format!("it was, after {}{}.", format::seconds(was), off_by(prediction, was)),
            None => "it was not while the run lasted.".to_owned(),
        };
        story.extend([
            " Falling by ",
            &rate,
            " messages/s it should have been drained after ",
            &predicted,
            "; ",
            &outcome,
        ]);
    }
    story
}

/// How far off a prediction was, measured by how long the drain took.
fn off_by(prediction: &Prediction, was: f64) -> String {
    let (predicted, took) = (prediction.drained_at_seconds - prediction.at_seconds, was - prediction.at_seconds);
    let off = (took - predicted) * 100.0 / took;
    if !off.is_finite() || took <= 0.0 {
        return String::new();
    }
    match format::decimal(off.abs(), 0) {
        exactly if exactly == "0" => " (as predicted)".to_owned(),
        percent if off > 0.0 => format!(" (the drain took {percent} % longer)"),
        percent => format!(" (the drain took {percent} % less)"),
    }
}

fn legend(is_predicted: bool, events: &[(f64, EventKind)]) -> Vec<(Vec<Mark>, String)> {
    let line = |class| vec![Mark::line(class, Point(1.0, 7.0), Point(25.0, 7.0))];
    let mut legend = vec![(line("lag-line"), "messages that wait".to_owned())];
    if is_predicted {
        legend.push((line("predicted"), "drain as predicted".to_owned()));
        let diamond = Mark::Diamond { class: "predicted-end", at: Point(13.0, 7.0), radius: 6.0 };
        legend.push((vec![diamond], "drained, as predicted".to_owned()));
        legend.push((vec![Mark::Dot { class: "drained", at: Point(13.0, 7.0), radius: 4.5 }], "drained".to_owned()));
    }
    if !events.is_empty() {
        let badge = Mark::Area { class: "badge", at: Point(5.0, 1.0), width: 16.0, height: 12.0 };
        legend.push((vec![badge], "event, numbered as in the table below".to_owned()));
    }
    if events.iter().any(|(_, kind)| *kind == EventKind::Killed) {
        let badge = Mark::Area { class: "badge kill", at: Point(5.0, 1.0), width: 16.0, height: 12.0 };
        legend.push((vec![badge], "a kill among them".to_owned()));
    }
    legend
}

/// The events, numbered as on the pictures.
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
        caption: "What happened meanwhile".to_owned(),
        heads: vec![("no.", true), ("after", true), ("what", false), ("step", false), ("in words", false)],
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
        caption: "The drain, as predicted from its first quarter and as it was".to_owned(),
        heads: vec![
            ("from", true),
            ("waiting", true),
            ("falling by", true),
            ("predicted", true),
            ("drained", true),
            ("off by", true),
        ],
        rows: rows.collect(),
        fold: Collapse::WhenLong,
    }
}

/// The peak and the end of each partition.
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
        caption: "Each partition".to_owned(),
        heads: vec![("partition", false), ("peak", true), ("after", true), ("at the end", true), ("oldest then", true)],
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
        1 => "Every sample".to_owned(),
        _ => format!("One in {apart} of {} samples, and the peak", format::grouped(samples.len() as u64)),
    };
    HtmlTable {
        class: "",
        caption,
        heads: vec![("after", true), ("messages", true), ("oldest", true)],
        rows: rows.collect(),
        fold: Collapse::Always,
    }
}

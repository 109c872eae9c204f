//! The live screen of `scenario run`: what it waits for, the lag of each group, and a bar per step over time.

use std::time::Duration;

use crate::frame::{Age, Cell, Column, Frame, Kind, Rest, Row, Table, Text};
use crate::printable::printable;
use crate::scenario::{EndedBy, EventKind, LagSeries, ScenarioDocument, StepOutcome};
use crate::units::{counted, grouped};

/// How long after the next sample is due the lag is stale.
const LATE: Duration = Duration::from_secs(2);

/// The run so far, `now_seconds` after its start, with a sample of the lag `every` so often.
pub(crate) fn scenario_frame(document: &ScenarioDocument, now_seconds: f64, every: Duration) -> Frame {
    let now = now_seconds.max(0.001);
    let name = printable(&document.name);
    let running = document.steps.iter().filter(|step| step.ended_seconds.is_none()).count() as u64;
    let lag = document.lag.iter().filter_map(last_lag).fold(None, |sum: Option<i64>, lag| Some(sum.unwrap_or(0) + lag));
    let lag = lag.map_or_else(String::new, |lag| format!("lag {}", grouped(lag)));
    Frame {
        title: Text::new(format!("{name}  {now:.1} s")).or(format!("{now:.1} s")),
        totals: vec![status(document), groups(document)],
        sum: Text::new(format!("{} running, {lag}", counted(running, "step")).trim_end_matches(", ")).or(lag),
        tables: vec![steps(document, now)],
        age: age(document, now_seconds).map(|at_first| Age { at_first, limit: every + LATE }),
    }
}

/// The time since the last sample of the lag, if there is one.
fn age(document: &ScenarioDocument, now_seconds: f64) -> Option<Duration> {
    let last = document.lag.iter().filter_map(|group| group.samples.last()).map(|sample| sample.at_seconds);
    Some(Duration::try_from_secs_f64(now_seconds - last.reduce(f64::max)?).unwrap_or_default())
}

/// What the run waits for, or what happened last.
fn status(document: &ScenarioDocument) -> Table {
    let text = document.events.last().map(|event| match (event.kind, event.text.strip_prefix("waiting ")) {
        (EventKind::Waiting, Some(what)) => format!("waiting {}", printable(what)),
        (EventKind::Held, _) => format!("reached: {}", printable(&event.text)),
        _ => printable(&event.text).into_owned(),
    });
    let rows = text.map(|text| Row { cells: vec![Cell::Text(text)], rank: 0, amount: None });
    Table {
        columns: vec![Column::new("", Kind::Note, 0)],
        rows: rows.into_iter().collect(),
        rest: Rest { which: "more", noun: "event", unit: None },
    }
}

fn groups(document: &ScenarioDocument) -> Table {
    let rows = document.lag.iter().map(|group| {
        let lag = last_lag(group);
        Row {
            cells: vec![
                Cell::Text(printable(&group.group).into_owned()),
                Cell::Text(lag.map_or_else(|| "-".to_owned(), grouped)),
                Cell::Series(group.samples.iter().map(|sample| sample.messages).collect()),
            ],
            rank: lag.unwrap_or(i64::MAX),
            amount: lag,
        }
    });
    Table {
        columns: vec![
            Column::new("group", Kind::Name, 1),
            Column::new("lag", Kind::Number, 0),
            Column::new("", Kind::Chart, 2),
        ],
        rows: rows.collect(),
        rest: Rest { which: "more", noun: "group", unit: Some("message") },
    }
}

fn last_lag(group: &LagSeries) -> Option<i64> {
    group.samples.last().and_then(|sample| sample.messages)
}

fn steps(document: &ScenarioDocument, now: f64) -> Table {
    let rows = document.steps.iter().enumerate().map(|(index, step)| {
        let index = i64::try_from(index).unwrap_or(i64::MAX / 2);
        let fill = if step.ended_seconds.is_some() { '=' } else { '#' };
        Row {
            cells: vec![
                Cell::Text(printable(&step.name).into_owned()),
                Cell::Span { from: step.started_seconds / now, to: step.ended_seconds.unwrap_or(now) / now, fill },
                Cell::Text(state(step, now)),
            ],
            // Running steps before the latest ones.
            rank: if step.ended_seconds.is_none() { i64::MAX / 2 + index } else { index },
            amount: None,
        }
    });
    Table {
        columns: vec![
            Column::new("step", Kind::Name, 1),
            Column::new("", Kind::Chart, 2),
            Column::new("", Kind::Note, 0),
        ],
        rows: rows.collect(),
        rest: Rest { which: "earlier", noun: "step", unit: None },
    }
}

fn state(step: &StepOutcome, now: f64) -> String {
    let seconds = step.ended_seconds.unwrap_or(now) - step.started_seconds;
    match (step.ended_by, step.exit_code) {
        (None, _) => format!("running, {seconds:.1} s"),
        (Some(EndedBy::Kill), _) => format!("killed after {seconds:.1} s"),
        (Some(EndedBy::Stop | EndedBy::End), Some(code)) => format!("stopped after {seconds:.1} s, exit {code}"),
        (Some(_), Some(code)) => format!("exit {code} after {seconds:.1} s"),
        (Some(_), None) => format!("ended by a signal after {seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Size, Surroundings, fit};
    use crate::scenario::{BrokerFacts, LagSample, RunEvent, ScenarioVerdict};

    fn step(name: &str, started: f64, ended: Option<f64>, by: Option<EndedBy>, code: Option<i32>) -> StepOutcome {
        StepOutcome {
            name: name.to_owned(),
            run: String::new(),
            command: String::new(),
            background: true,
            started_seconds: started,
            ended_seconds: ended,
            ended_by: by,
            exit_code: code,
            document: None,
            stderr: Vec::new(),
            uncommitted: None,
        }
    }

    fn document(steps: Vec<StepOutcome>, lag: &[Option<i64>]) -> ScenarioDocument {
        let samples = lag.iter().map(|messages| LagSample {
            at_seconds: 0.0,
            messages: *messages,
            seconds: None,
            partitions: Vec::new(),
        });
        ScenarioDocument {
            schema: "foodstream.scenario/1".to_owned(),
            name: "throttled-lag".to_owned(),
            description: String::new(),
            file: String::new(),
            verdict: ScenarioVerdict::Passed,
            broker: BrokerFacts { embedded: true, address: String::new(), prefix: String::new() },
            version: String::new(),
            librdkafka: String::new(),
            started: String::new(),
            elapsed_seconds: 0.0,
            steps,
            events: Vec::new(),
            lag: vec![LagSeries { group: "inventory".to_owned(), samples: samples.collect(), predictions: Vec::new() }],
            expectations: Vec::new(),
            not_shown: Vec::new(),
        }
    }

    fn shown(document: &ScenarioDocument, rows: usize, columns: usize) -> String {
        let around = Surroundings { footer: Text::new("footer"), ..Surroundings::default() };
        let lines = fit(&scenario_frame(document, 8.0, Duration::from_secs(7)), &around, Size { rows, columns });
        lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn shows_steps_over_time_and_lag() {
        let steps = vec![
            step("orders", 0.0, Some(4.0), Some(EndedBy::Itself), Some(0)),
            step("slow", 4.0, Some(6.0), Some(EndedBy::Kill), None),
            step("fast", 6.0, None, None, None),
        ];
        let mut document = document(steps, &[None, Some(0), Some(350), Some(700), Some(1)]);
        let text = "waiting until the lag of inventory is at most 0".to_owned();
        document.events.push(RunEvent { at_seconds: 6.0, kind: EventKind::Waiting, step: None, text });
        let wide = shown(&document, 16, 80);
        assert!(wide.starts_with("throttled-lag  8.0 s\n"), "{wide}");
        for part in ["waiting until the lag", "exit 0 after 4.0 s", "killed after 2.0 s", "running, 2.0 s", "▁▄█▁"]
        {
            assert!(wide.contains(part), "{part:?} in {wide}");
        }
        let narrow = shown(&document, 12, 40);
        assert!(narrow.contains("running, 2.0 s") && narrow.contains("inventory"), "{narrow}");
    }

    #[test]
    fn old_samples_are_stale() {
        let document = document(vec![step("fast", 0.0, None, None, None)], &[Some(1)]);
        let lines = |every| {
            let frame = scenario_frame(&document, 8.0, Duration::from_secs(every));
            fit(&frame, &Surroundings::default(), Size { rows: 16, columns: 80 })
        };
        let is_stale = |every| lines(every).iter().any(|line| line.text.contains("no answer from the cluster for 8 s"));
        assert!(is_stale(6) && !is_stale(7));
    }

    #[test]
    fn long_run_shows_running_and_last_steps() {
        let mut steps = vec![step("first", 0.0, None, None, None)];
        steps.extend((0..40).map(|number| step(&format!("s{number}"), 1.0, Some(2.0), Some(EndedBy::Stop), Some(0))));
        let text = shown(&document(steps, &[]), 14, 80);
        assert!(text.contains(" first ") && text.contains(" s39 ") && text.contains("and 33 earlier steps"), "{text}");
    }
}

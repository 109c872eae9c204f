//! Live text of a running scenario: a bar per step over time, and the lag of each group with a sparkline.

use std::fmt::Write;

use crate::printable::printable;
use crate::scenario::{EndedBy, LagSeries, ScenarioDocument, StepOutcome};
use crate::units::{counted, grouped};

/// Width of a step's bar.
const BAR: usize = 32;
/// Number of samples in a sparkline.
const SPARKS: usize = 32;
/// Number of steps shown: the last ones, and all that are running.
const STEPS: usize = 12;

/// The run so far, `now_seconds` after its start, in a few lines for a terminal.
#[must_use]
pub fn scenario_live_text(document: &ScenarioDocument, now_seconds: f64) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_text(&mut out, document, now_seconds.max(0.001)).unwrap_or_default();
    out
}

fn write_text(out: &mut String, document: &ScenarioDocument, now: f64) -> std::fmt::Result {
    write!(out, "{}  {now:.1} s", printable(&document.name))?;
    let hidden = document.steps.len().saturating_sub(STEPS);
    let shown =
        document.steps.iter().enumerate().filter(|(index, step)| *index >= hidden || step.ended_seconds.is_none());
    let shown: Vec<&StepOutcome> = shown.map(|(_, step)| step).collect();
    if document.steps.len() > shown.len() {
        let hidden = (document.steps.len() - shown.len()) as u64;
        write!(out, "\n  {} ended earlier", counted(hidden, "step"))?;
    }
    let names = shown.iter().map(|step| printable(&step.name).chars().count());
    let groups = document.lag.iter().map(|group| printable(&group.group).chars().count());
    let width = names.chain(groups).max().unwrap_or_default();
    for step in shown {
        let name = printable(&step.name);
        write!(out, "\n  {name:<width$} {} {}", bar(step, now), state(step, now))?;
    }
    for group in &document.lag {
        let name = printable(&group.group);
        let lag = group.samples.last().and_then(|sample| sample.messages);
        let lag = lag.map_or_else(|| "-".to_owned(), grouped);
        write!(out, "\n  {name:<width$} [{:<SPARKS$}] lag {lag}", sparkline(group))?;
    }
    Ok(())
}

/// The part of the time so far in which the step ran.
fn bar(step: &StepOutcome, now: f64) -> String {
    let column = |seconds: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "within the width of the bar"
        )]
        let column = (seconds / now * BAR as f64).floor().clamp(0.0, BAR as f64) as usize;
        column
    };
    let begin = column(step.started_seconds).min(BAR - 1);
    let end = step.ended_seconds.map_or(BAR, column).clamp(begin + 1, BAR);
    let filled = if step.ended_seconds.is_some() { "=" } else { "#" };
    format!("[{}{}{}]", " ".repeat(begin), filled.repeat(end - begin), " ".repeat(BAR - end))
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

/// The last samples as eighths of the largest one; a blank if the lag is unknown.
fn sparkline(group: &LagSeries) -> String {
    const EIGHTHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let samples = &group.samples[group.samples.len().saturating_sub(SPARKS)..];
    let most = samples.iter().filter_map(|sample| sample.messages).max().unwrap_or(0).max(1);
    let spark = |messages: Option<i64>| match messages {
        None => ' ',
        Some(messages) => {
            let eighth = usize::try_from(messages.clamp(0, most) * 7 / most).unwrap_or(0);
            EIGHTHS[eighth.min(7)]
        }
    };
    samples.iter().map(|sample| spark(sample.messages)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{BrokerFacts, LagSample, ScenarioVerdict};

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

    #[test]
    fn shows_steps_over_time_and_lag() {
        let steps = vec![
            step("orders", 0.0, Some(4.0), Some(EndedBy::Itself), Some(0)),
            step("slow", 4.0, Some(6.0), Some(EndedBy::Kill), None),
            step("fast", 6.0, None, None, None),
        ];
        let text = scenario_live_text(&document(steps, &[None, Some(0), Some(350), Some(700), Some(1)]), 8.0);
        insta::assert_snapshot!(text, @r"
        throttled-lag  8.0 s
          orders    [================                ] exit 0 after 4.0 s
          slow      [                ========        ] killed after 2.0 s
          fast      [                        ########] running, 2.0 s
          inventory [ ▁▄█▁                           ] lag 1
        ");
    }

    #[test]
    fn long_run_shows_running_and_last_steps() {
        let mut steps = vec![step("first", 0.0, None, None, None)];
        steps.extend((0..40).map(|number| step(&format!("s{number}"), 1.0, Some(2.0), Some(EndedBy::Stop), Some(0))));
        let text = scenario_live_text(&document(steps, &[]), 8.0);
        assert_eq!(text.lines().count(), 1 + 1 + 1 + STEPS + 1, "{text}");
        assert!(text.contains("28 steps ended earlier") && text.contains("first "), "{text}");
    }
}

//! Sentences of a run's report: the summary of several runs in one line, and what a run does not show.

use std::time::Duration;

use super::{ProcessSignal, ScenarioDocument, ScenarioVerdict, Script, StepAction, Wait};
use crate::units::{counted, duration, grouped};

/// The runs of several scripts in one line: how many passed, which failed, and how many expectations held. `scripts`
/// is the number of scripts that should have run.
#[must_use]
pub fn summary(documents: &[ScenarioDocument], scripts: usize) -> String {
    let with = |verdict| documents.iter().filter(move |document| document.verdict == verdict);
    let mut parts = vec![format!("{} passed", with(ScenarioVerdict::Passed).count())];
    for (verdict, word) in [(ScenarioVerdict::Failed, "failed"), (ScenarioVerdict::Interrupted, "interrupted")] {
        let names: Vec<&str> = with(verdict).map(|document| document.name.as_str()).collect();
        if !names.is_empty() {
            parts.push(format!("{} {word} ({})", names.len(), names.join(", ")));
        }
    }
    let not_run = scripts.saturating_sub(documents.len());
    if not_run > 0 {
        parts.push(format!("{not_run} not run"));
    }
    let outcomes = || documents.iter().flat_map(|document| &document.expectations);
    let (held, all) = (outcomes().filter(|outcome| outcome.held).count(), outcomes().count());
    let expectations = counted(all as u64, "expectation");
    parts.push(if held == all {
        format!("{expectations} held")
    } else {
        format!("{} of {expectations} held", grouped(held as u64))
    });
    let seconds: f64 = documents.iter().map(|document| document.elapsed_seconds).sum();
    parts.push(duration(Duration::try_from_secs_f64(seconds).unwrap_or_default()));
    format!("{}: {}\n", counted(scripts as u64, "scenario"), parts.join(", "))
}

/// What a run of this script does not show.
#[must_use]
pub fn not_shown(script: &Script, embedded: bool) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut add = |sentence: &str| sentences.push(sentence.to_owned());
    if embedded {
        add(
            "The broker was a single process that keeps everything in memory: the run shows nothing about replication, disks or the loss of a machine.",
        );
        add(
            "The speed is that of this machine, with client and broker on the same host; a cluster across a network has another.",
        );
    } else {
        add("The cluster was used as is: its replication and its settings were not checked.");
    }
    let kills = script.steps.iter().any(|step| matches!(&step.action, StepAction::Signal(ProcessSignal::Kill, _)));
    if kills {
        add(
            "Processes were killed, but no machine failed: records that the broker had acknowledged were never at risk.",
        );
    } else {
        add("No process was killed: that no order is lost or counted twice is shown only for an undisturbed run.");
    }
    if script.steps.iter().any(|step| matches!(&step.action, StepAction::Wait(Wait::Time(_)))) {
        add("The script waits for fixed times: what had happened by then depends on the speed of the machine.");
    }
    add("Lag is sampled: changes between two samples are not visible.");
    sentences
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scenario::{BrokerFacts, ExpectationOutcome};

    fn run(name: &str, verdict: ScenarioVerdict, held: &[bool]) -> ScenarioDocument {
        let outcome = |held: &bool| ExpectationOutcome {
            about: "orders".to_owned(),
            value: "acknowledged".to_owned(),
            expected: "1".to_owned(),
            seen: json!(1),
            held: *held,
            line: 1,
            why: None,
        };
        ScenarioDocument {
            schema: "foodstream.scenario/1".to_owned(),
            name: name.to_owned(),
            description: String::new(),
            file: name.to_owned(),
            verdict,
            broker: BrokerFacts { embedded: true, address: String::new(), prefix: String::new() },
            version: String::new(),
            librdkafka: String::new(),
            started: String::new(),
            elapsed_seconds: 36.2,
            steps: Vec::new(),
            events: Vec::new(),
            lag: Vec::new(),
            expectations: held.iter().map(outcome).collect(),
            not_shown: Vec::new(),
        }
    }

    #[test]
    fn one_line_has_the_totals_and_the_names_of_what_failed() {
        use ScenarioVerdict::{Failed, Interrupted, Passed};
        let passed = [run("a", Passed, &[true, true]), run("b", Passed, &[true])];
        assert_eq!(summary(&passed, 2), "2 scenarios: 2 passed, 3 expectations held, 72 s\n");
        let failed = [run("a", Failed, &[true, false]), run("b", Passed, &[true]), run("c", Failed, &[false])];
        assert_eq!(summary(&failed, 3), "3 scenarios: 1 passed, 2 failed (a, c), 2 of 4 expectations held, 109 s\n");
        let stopped = [run("a", Passed, &[true]), run("b", Interrupted, &[true])];
        assert_eq!(
            summary(&stopped, 6),
            "6 scenarios: 1 passed, 1 interrupted (b), 4 not run, 2 expectations held, 72 s\n"
        );
    }
}

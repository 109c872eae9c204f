//! The scenario document, `foodstream.scenario/1`: the steps of a run, its events, its lag samples, and the
//! expectations. Sentences about runs: what one does not show, and the summary of several in one line.

use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::{ProcessSignal, Script, StepAction, Wait, value_text};
use crate::units::{counted, duration, grouped};

/// `foodstream.scenario/1`: one run of one script. Every `at_seconds` is relative to the start of the first step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioDocument {
    /// `foodstream.scenario/1`
    pub schema: String,
    /// The script's name.
    pub name: String,
    /// The script's description.
    pub description: String,
    /// The script's path as given, or the name of an embedded script.
    pub file: String,
    /// How the run ended.
    pub verdict: ScenarioVerdict,
    /// The broker of the run.
    pub broker: BrokerFacts,
    /// Version of foodstream.
    pub version: String,
    /// Version of librdkafka.
    pub librdkafka: String,
    /// Start of the run: RFC 3339, UTC, milliseconds.
    pub started: String,
    /// Duration of the run.
    pub elapsed_seconds: f64,
    /// Every process that was run, in the order of start. A repeated step has one entry per run.
    pub steps: Vec<StepOutcome>,
    /// What happened, in order of time.
    pub events: Vec<RunEvent>,
    /// Lag over time of every group that the script names or starts.
    pub lag: Vec<LagSeries>,
    /// Every expectation with the value that was seen, in the order of the script.
    pub expectations: Vec<ExpectationOutcome>,
    /// What this run does not show, as sentences.
    pub not_shown: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScenarioVerdict {
    /// Every expectation held.
    Passed,
    /// An expectation did not hold, or a step ended with an unexpected exit code.
    Failed,
    /// Stopped by a signal before its end: the results are partial.
    Interrupted,
}

/// The broker of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerFacts {
    /// Whether it was a private embedded broker, which ended with the run.
    pub embedded: bool,
    /// `host:port`
    pub address: String,
    /// The prefix of every topic and group of the run.
    pub prefix: String,
}

/// One process that a scenario ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepOutcome {
    /// The step's name, followed by `#1`, `#2` … if it is repeated; unique within a run.
    pub name: String,
    /// The command line in the script, without the program's name.
    pub run: String,
    /// The command line that runs the same step in a shell, with the program's name.
    pub command: String,
    /// Whether it ran in the background.
    pub background: bool,
    /// Time of its start.
    pub started_seconds: f64,
    /// Time of its end.
    pub ended_seconds: Option<f64>,
    /// Why it ended; `null` while it is running.
    pub ended_by: Option<EndedBy>,
    /// Its exit code; `null` if a signal ended it.
    pub exit_code: Option<i32>,
    /// The JSON document on its stdout, if any.
    pub document: Option<Value>,
    /// The last lines of its stderr.
    pub stderr: Vec<String>,
    /// Offsets above the last stable offsets of the run's topics, right after the process was killed: records in open
    /// transactions, which are visible with `read_uncommitted` only. `null` for a process that was not killed.
    #[serde(default)]
    pub uncommitted: Option<i64>,
}

/// Why a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// It finished.
    Itself,
    /// The script stopped it with SIGINT.
    Stop,
    /// The script killed it with SIGKILL.
    Kill,
    /// The run ended or was interrupted: SIGINT, then SIGKILL if necessary.
    End,
}

/// Something that happened during a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// Time of the event.
    pub at_seconds: f64,
    /// The kind of the event.
    pub kind: EventKind,
    /// The step that it belongs to.
    pub step: Option<String>,
    /// A short text.
    pub text: String,
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A process was started.
    Started,
    /// A process was started with a rate limit.
    Throttled,
    /// A process finished.
    Ended,
    /// A process was stopped.
    Stopped,
    /// A process was killed.
    Killed,
    /// A process was paused.
    Paused,
    /// A process was resumed.
    Resumed,
    /// A wait began.
    Waiting,
    /// The condition of a wait held.
    Held,
}

/// Lag of one group over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LagSeries {
    /// The group's name on the cluster.
    pub group: String,
    /// The samples, in order of time.
    pub samples: Vec<LagSample>,
    /// Predicted ends of drains; one for each drain that could be predicted.
    pub predictions: Vec<Prediction>,
}

/// Lag of one group at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LagSample {
    /// Time of the sample.
    pub at_seconds: f64,
    /// Total lag; `null` while it is unknown for a partition that holds records, for example without a commit.
    pub messages: Option<i64>,
    /// Age of the oldest unread message; `null` if unknown, 0 without lag.
    pub seconds: Option<f64>,
    /// The lag of each partition.
    pub partitions: Vec<PartitionLagSample>,
}

/// Lag of one partition at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartitionLagSample {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// As in [`LagSample`].
    pub messages: Option<i64>,
    /// As in [`LagSample`].
    pub seconds: Option<f64>,
}

/// A predicted end of a drain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Start of the drain.
    pub at_seconds: f64,
    /// Lag at the start.
    pub messages: i64,
    /// Drain rate over the first quarter of the drain (at least three samples), in messages a second.
    pub per_second: f64,
    /// Predicted end of the drain.
    pub drained_at_seconds: f64,
    /// Actual end of the drain; `null` if the run ended before.
    pub was_drained_at_seconds: Option<f64>,
}

/// The result of an expectation. As JSON it also has `seen_text`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ExpectationOutcome {
    /// Its subject: the step, the steps of a total, or the group.
    pub about: String,
    /// The name of the value: `reserved`, `run.exit`, `lag.peak`.
    pub value: String,
    /// The expected value as text: `at least 1,000`, `the same as total of before`.
    pub expected: String,
    /// The value that was seen; `null` for none.
    pub seen: Value,
    /// Whether the expectation held.
    pub held: bool,
    /// The line of the script.
    pub line: usize,
    /// Why it did not hold, if the values do not show it: the value is missing or is not a number.
    #[serde(default)]
    pub why: Option<String>,
}

impl ExpectationOutcome {
    /// The value that was seen, in the format of `expected`: `9,876`.
    #[must_use]
    pub fn seen_text(&self) -> String {
        value_text(&self.seen)
    }
}

impl Serialize for ExpectationOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { about, value, expected, seen, held, line, why } = self;
        let mut fields = serializer.serialize_struct("ExpectationOutcome", 7 + usize::from(why.is_some()))?;
        fields.serialize_field("about", about)?;
        fields.serialize_field("value", value)?;
        fields.serialize_field("expected", expected)?;
        fields.serialize_field("seen", seen)?;
        fields.serialize_field("seen_text", &self.seen_text())?;
        fields.serialize_field("held", held)?;
        fields.serialize_field("line", line)?;
        match why {
            Some(why) => fields.serialize_field("why", why)?,
            None => fields.skip_field("why")?,
        }
        fields.end()
    }
}

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

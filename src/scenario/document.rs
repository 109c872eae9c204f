//! Owns the document of a scenario's run: what was done, what was measured while it ran, and what came of each expectation.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `foodstream.scenario/1`: one run of one script. Every `at_seconds` counts from the start of the first step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioDocument {
    /// `foodstream.scenario/1`
    pub schema: String,
    /// The script's name.
    pub name: String,
    /// What it is to show, in the script's own words.
    pub description: String,
    /// The script's path as it was given.
    pub file: String,
    /// How it ended.
    pub verdict: ScenarioVerdict,
    /// Where it ran.
    pub broker: BrokerFacts,
    /// Version of foodstream.
    pub version: String,
    /// Version of librdkafka.
    pub librdkafka: String,
    /// When it started: RFC 3339, UTC, milliseconds.
    pub started: String,
    /// How long it took.
    pub elapsed_seconds: f64,
    /// Every process that was run, in the order of their starts; a repeated step stands here once per run.
    pub steps: Vec<StepOutcome>,
    /// What happened when, in order.
    pub events: Vec<RunEvent>,
    /// Lag of every group that the script names or starts, over time.
    pub lag: Vec<LagSeries>,
    /// Every expectation with what was seen, in the order of the script.
    pub expectations: Vec<ExpectationOutcome>,
    /// What this run does not show, in sentences.
    pub not_shown: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScenarioVerdict {
    /// Every expectation held.
    Passed,
    /// At least one expectation did not hold, or a step did not end as it was to.
    Failed,
    /// Stopped by a signal before its end: what is told is told of a part.
    Interrupted,
}

/// Where a scenario ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerFacts {
    /// Whether it was a private embedded broker, gone with the run.
    pub embedded: bool,
    /// `host:port`
    pub address: String,
    /// What stands before every topic and group of the run.
    pub prefix: String,
}

/// One process that a scenario ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepOutcome {
    /// The step's name, with `#1`, `#2` … behind it where it is repeated; unique within a run.
    pub name: String,
    /// The command line as it stands in the script, without the program's name.
    pub run: String,
    /// The command line that shows the same by hand, the program's name included.
    pub command: String,
    /// Whether the script went on while it ran.
    pub background: bool,
    /// When it was started.
    pub started_seconds: f64,
    /// When it ended.
    pub ended_seconds: Option<f64>,
    /// How it came to its end; `null` while it has none.
    pub ended_by: Option<EndedBy>,
    /// Its exit code; `null` for one that was killed.
    pub exit_code: Option<i32>,
    /// The JSON document on its stdout, where it wrote one.
    pub document: Option<Value>,
    /// The last lines of its stderr.
    pub stderr: Vec<String>,
    /// What stood behind the last stable offsets of the run's topics right after it was killed: records in transactions that
    /// it left open, seen by `read_uncommitted` and not by `read_committed`. `null` for one that was not killed.
    #[serde(default)]
    pub uncommitted: Option<i64>,
}

/// How a process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// It was done.
    Itself,
    /// The script stopped it: SIGINT.
    Stop,
    /// The script killed it: SIGKILL.
    Kill,
    /// The run was over, or was interrupted: SIGINT, and SIGKILL where that did not help.
    End,
}

/// Something that happened during a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// When.
    pub at_seconds: f64,
    /// What.
    pub kind: EventKind,
    /// The step that it happened to.
    pub step: Option<String>,
    /// In a few words, for a mark on a picture.
    pub text: String,
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A process was started.
    Started,
    /// A process was started with a limit on its pace.
    Throttled,
    /// A process ended by itself.
    Ended,
    /// A process was asked to stop.
    Stopped,
    /// A process was killed.
    Killed,
    /// A process was made to stand still.
    Paused,
    /// A process went on.
    Resumed,
    /// A wait began.
    Waiting,
    /// What was waited for held.
    Held,
}

/// Lag of one group while a scenario ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LagSeries {
    /// The group, as it is called on the cluster.
    pub group: String,
    /// What was seen, in order.
    pub samples: Vec<LagSample>,
    /// When it should have been drained, from the rates that were measured; one for each drain that could be predicted.
    pub predictions: Vec<Prediction>,
}

/// Lag of one group at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LagSample {
    /// When.
    pub at_seconds: f64,
    /// Messages that wait, of all partitions; `null` while that is not known of one that holds records, as without a commit.
    pub messages: Option<i64>,
    /// How old the oldest message is that waits; `null` where that is not known, 0 where none waits.
    pub seconds: Option<f64>,
    /// The same, partition by partition.
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

/// When a group should be drained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// When the prediction was made: the peak that the drain began from.
    pub at_seconds: f64,
    /// Messages that waited then.
    pub messages: i64,
    /// Messages a second by which it fell over the first quarter of the drain, at least over three samples.
    pub per_second: f64,
    /// When it should have been drained by that.
    pub drained_at_seconds: f64,
    /// When it was; `null` when it was not while the run lasted.
    pub was_drained_at_seconds: Option<f64>,
}

/// What came of an expectation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpectationOutcome {
    /// The step, group or sum that it is about, as the script calls it.
    pub about: String,
    /// The number, as the script calls it: `reserved`, `exit`, `lag.peak`.
    pub value: String,
    /// What was expected, in words: `at least 100`, `the same as step "before"`.
    pub expected: String,
    /// What was seen; `null` for nothing.
    pub seen: Value,
    /// Whether it held.
    pub held: bool,
    /// The line of the script.
    pub line: usize,
    /// Why it did not hold, where what was expected and what was seen do not say it: the number is not there, or is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

//! The replay document, `foodstream.replay/1`, and the plan document, `foodstream.plan/1`.

use serde::{Deserialize, Serialize};

use super::{Cause, Difference, PlanRow, Target, differing_rows};
use crate::analytics::MetricsDocument;

/// Name and version of the document. Any other value fails to parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplaySchema {
    /// `foodstream.replay/1`
    #[serde(rename = "foodstream.replay/1")]
    Version1,
}

/// The result of a replay: whether the same records still give the same metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayDocument {
    /// Name and version of the document.
    pub schema: ReplaySchema,
    /// Whether the metrics are the same.
    pub verdict: ReplayVerdict,
    /// Records read again.
    pub records: u64,
    /// The old and new offset of each partition.
    pub plan: Vec<PlanRow>,
    /// The metrics that differ; the first of them if there are many.
    pub differences: Vec<Difference>,
    /// Number of differences that were left out, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differences_left_out: Option<u64>,
    /// Why the metrics differ.
    pub causes: Vec<Cause>,
    /// A fact that qualifies the verdict; an optional field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
    /// The metrics from the group's state.
    pub before: MetricsDocument,
    /// The metrics from the records read again.
    pub after: MetricsDocument,
}

impl ReplayDocument {
    /// The document with at most `rows` rows in each table; rows that differ are kept first.
    #[must_use]
    pub fn limited(self, rows: usize) -> Self {
        let differing = differing_rows(&self.before, &self.after, rows);
        let limited = |side: MetricsDocument| side.limited(rows, |name| differing.contains(name));
        Self { before: limited(self.before), after: limited(self.after), ..self }
    }

    /// Number of metrics that differ.
    #[must_use]
    pub fn differing(&self) -> u64 {
        self.differences.len() as u64 + self.differences_left_out.unwrap_or_default()
    }
}

/// Whether the metrics are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayVerdict {
    /// Every metric and every digest is the same, and no cause was found.
    Identical,
    /// Something differs, or nothing could be proved.
    Different,
}

/// A fact that qualifies a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// The group had neither offsets nor state: `before` was counted by a first pass, just before the replay.
    FirstPass,
    /// The group was not rewound and is unchanged: its offsets and its state do not belong together, the records that
    /// make up the state at a target are gone, or no records are left to read again.
    LeftAlone,
}

/// Name and version of the document. Any other value fails to parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlanSchema {
    /// `foodstream.plan/1`
    #[serde(rename = "foodstream.plan/1")]
    Version1,
}

/// What a replay would do: the output of `--dry-run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanDocument {
    /// Name and version of the document.
    pub schema: PlanSchema,
    /// The flag that selects this target; a duration is resolved to a time.
    pub target: String,
    /// The old and new offset of each partition.
    pub plan: Vec<PlanRow>,
}

impl PlanDocument {
    /// The document of a plan.
    #[must_use]
    pub fn new(target: &Target, plan: Vec<PlanRow>) -> Self {
        Self { schema: PlanSchema::Version1, target: target.to_string(), plan }
    }
}

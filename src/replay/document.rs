//! Owns the replay document, `foodstream.replay/1`: its fields, their names and their order.

use serde::{Deserialize, Serialize};

use super::{Cause, Difference, PlanRow, Target, differing_rows};
use crate::analytics::MetricsDocument;

/// The name and version of the document; any other is refused when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplaySchema {
    /// `foodstream.replay/1`
    #[serde(rename = "foodstream.replay/1")]
    Version1,
}

/// The answer to: do these records still give those metrics?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayDocument {
    /// What this document is.
    pub schema: ReplaySchema,
    /// The answer.
    pub verdict: ReplayVerdict,
    /// Records read again.
    pub records: u64,
    /// From where to where each partition went.
    pub plan: Vec<PlanRow>,
    /// The metrics that are not the same, the first of them where there are many.
    pub differences: Vec<Difference>,
    /// How many more there are; only where there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differences_left_out: Option<u64>,
    /// Why.
    pub causes: Vec<Cause>,
    /// What must be known to read the verdict rightly; an optional field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
    /// The metrics from the group's state.
    pub before: MetricsDocument,
    /// The metrics from the records read again.
    pub after: MetricsDocument,
}

impl ReplayDocument {
    /// The same with so many rows in each table at most, those that are not the same before all others.
    #[must_use]
    pub fn limited(self, rows: usize) -> Self {
        let differing = differing_rows(&self.before, &self.after, rows);
        let limited = |side: MetricsDocument| side.limited(rows, |name| differing.contains(name));
        Self { before: limited(self.before), after: limited(self.after), ..self }
    }

    /// How many metrics are not the same.
    #[must_use]
    pub fn differing(&self) -> u64 {
        self.differences.len() as u64 + self.differences_left_out.unwrap_or_default()
    }
}

/// Whether the metrics are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayVerdict {
    /// Every metric and every digest is the same, and nothing speaks against them.
    Identical,
    /// Something is not, or nothing could be proved.
    Different,
}

/// What must be known to read a verdict rightly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// The group had neither offsets nor state: `before` is what a first pass counted, just before the replay.
    FirstPass,
    /// The group was not rewound: its offsets and its state do not belong together, the records that the state at a target
    /// is made of are gone, or there is nothing to read again. It stands as it stood.
    LeftAlone,
}

/// The name and version of the document; any other is refused when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlanSchema {
    /// `foodstream.plan/1`
    #[serde(rename = "foodstream.plan/1")]
    Version1,
}

/// What a replay would do: the answer of `--dry-run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanDocument {
    /// What this document is.
    pub schema: PlanSchema,
    /// The flag that asks for this target; for a duration it names the time that was meant.
    pub target: String,
    /// From where to where each partition would go.
    pub plan: Vec<PlanRow>,
}

impl PlanDocument {
    /// The document of a plan.
    #[must_use]
    pub fn new(target: &Target, plan: Vec<PlanRow>) -> Self {
        Self { schema: PlanSchema::Version1, target: target.to_string(), plan }
    }
}

//! Owns the lag document, `foodstream.lag/1`: its fields, their names and their order.

use serde::{Deserialize, Serialize};

use super::rates::{Rates, Trend};
use super::sample::{GroupKind, GroupSample, Isolation, Lag, PartitionSample};
use crate::domain::EventTime;

/// The name and version of the document; any other is refused when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LagSchema {
    /// `foodstream.lag/1`
    #[serde(rename = "foodstream.lag/1")]
    Version1,
}

/// The answer of `lag`: the fields of the group when one was asked for by its name, a list of groups otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LagDocument {
    /// What this document is.
    pub schema: LagSchema,
    /// One group, or several.
    #[serde(flatten)]
    pub groups: Groups,
}

/// One group or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Groups {
    /// One, asked for by its name.
    One(Box<GroupLag>),
    /// Several, or those of a prefix.
    Several {
        /// In the order in which they were asked for.
        groups: Vec<GroupLag>,
    },
}

impl LagDocument {
    /// The document of one group that was asked for by its name.
    #[must_use]
    pub fn one(group: GroupLag) -> Self {
        Self { schema: LagSchema::Version1, groups: Groups::One(Box::new(group)) }
    }

    /// The document of several.
    #[must_use]
    pub const fn several(groups: Vec<GroupLag>) -> Self {
        Self { schema: LagSchema::Version1, groups: Groups::Several { groups } }
    }
}

/// Lag of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupLag {
    /// The group, as it is called on the cluster.
    pub group: String,
    /// Its state in Kafka's words; `Dead` for a group that does not exist, `Unknown` for a share group.
    pub state: String,
    /// What kind it is, unless its members are consumers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<GroupKind>,
    /// How many members it has.
    pub members: usize,
    /// To which end lag is counted.
    pub isolation: Isolation,
    /// When it was seen: RFC 3339, UTC, milliseconds.
    pub at: String,
    /// Messages that wait, of the partitions where that is a number; `null` where it is one nowhere.
    pub messages: Option<i64>,
    /// How old the oldest record is that waits; 0 where none does, `null` where that is not known.
    pub seconds: Option<f64>,
    /// Offsets that were gone before they were read; `null` while nothing is committed.
    pub lost: Option<i64>,
    /// Partitions whose lag is no number.
    pub without_number: usize,
    /// Offsets a second by which the ends grew over the last samples; of a watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub produced_per_second: Option<f64>,
    /// Offsets a second by which the committed offsets grew over the last samples; of a watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumed_per_second: Option<f64>,
    /// Where that leads; of a watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend: Option<Trend>,
    /// When nothing will wait any more at this pace; of a group that drains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_seconds: Option<f64>,
    /// Whether the condition of `--fail-if` holds, or cannot be judged; only with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails: Option<bool>,
    /// Why the condition of `--fail-if` cannot be judged; only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_judged: Option<String>,
    /// By topic and number.
    pub partitions: Vec<PartitionLag>,
    /// What was seen over time, oldest first; of a watch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<LagPoint>,
}

/// Lag of a partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartitionLag {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The committed offset; `null` for none.
    pub committed: Option<i64>,
    /// The first offset that is still there; `null`, as the three ends, for a partition that does not exist.
    pub log_start: Option<i64>,
    /// The end that lag is counted to.
    pub end: Option<i64>,
    /// What a reader of committed records could read up to.
    pub last_stable_offset: Option<i64>,
    /// One past the last record.
    pub high_watermark: Option<i64>,
    /// Messages that wait; `null` without a commit, beyond the end, and for a partition that does not exist.
    pub messages: Option<i64>,
    /// How old the next unread record is; 0 where none waits, `null` where that is not known.
    pub seconds: Option<f64>,
    /// How far in the future the next unread record's timestamp is; only where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead_seconds: Option<f64>,
    /// Offsets that were gone before they were read.
    pub lost: Option<i64>,
    /// Whether the committed offset lies behind the end, where nothing is.
    pub beyond_end: bool,
    /// The id of the member that has it.
    pub owner: Option<String>,
}

/// A group at one moment of a watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LagPoint {
    /// When it was seen: RFC 3339, UTC, milliseconds.
    pub at: String,
    /// Its state then.
    pub state: String,
    /// As in [`GroupLag`].
    pub messages: Option<i64>,
    /// As in [`GroupLag`].
    pub seconds: Option<f64>,
    /// As in [`GroupLag`].
    pub lost: Option<i64>,
    /// As in [`GroupLag`]; `null` in the first sample.
    pub produced_per_second: Option<f64>,
    /// As in [`GroupLag`]; `null` in the first sample.
    pub consumed_per_second: Option<f64>,
}

impl GroupLag {
    /// One look at a group; `pace` where there were several.
    #[must_use]
    pub fn of(sample: &GroupSample, pace: Option<Rates>) -> Self {
        Self {
            group: sample.group.clone(),
            state: sample.state.clone(),
            kind: sample.kind,
            members: sample.members,
            isolation: sample.isolation,
            at: time(sample.at_millis),
            messages: sample.messages(),
            seconds: sample.seconds(),
            lost: sample.lost(),
            without_number: sample.without_number(),
            produced_per_second: pace.map(|pace| rounded(pace.produced)),
            consumed_per_second: pace.map(|pace| rounded(pace.consumed)),
            trend: pace.map(|pace| pace.trend),
            drain_seconds: pace.and_then(|pace| pace.drain_seconds).map(rounded),
            fails: None,
            not_judged: None,
            partitions: sample.partitions.iter().map(|seen| PartitionLag::of(seen, sample)).collect(),
            samples: Vec::new(),
        }
    }
}

impl PartitionLag {
    fn of(seen: &PartitionSample, sample: &GroupSample) -> Self {
        let lag = seen.lag(sample.isolation);
        Self {
            topic: seen.topic.clone(),
            partition: seen.partition,
            committed: seen.committed,
            log_start: seen.bounds.map(|bounds| bounds.log_start),
            end: seen.bounds.map(|bounds| bounds.end(sample.isolation)),
            last_stable_offset: seen.bounds.map(|bounds| bounds.last_stable),
            high_watermark: seen.bounds.map(|bounds| bounds.high_watermark),
            messages: lag.messages(),
            seconds: seen.seconds(sample.isolation, sample.at_millis),
            ahead_seconds: seen.ahead_seconds(sample.isolation, sample.at_millis),
            lost: seen.lost(),
            beyond_end: matches!(lag, Lag::BeyondEnd(_)),
            owner: seen.owner.clone(),
        }
    }
}

impl LagPoint {
    /// The totals of a look.
    #[must_use]
    pub fn of(sample: &GroupSample, pace: Option<Rates>) -> Self {
        Self {
            at: time(sample.at_millis),
            state: sample.state.clone(),
            messages: sample.messages(),
            seconds: sample.seconds(),
            lost: sample.lost(),
            produced_per_second: pace.map(|pace| rounded(pace.produced)),
            consumed_per_second: pace.map(|pace| rounded(pace.consumed)),
        }
    }
}

/// RFC 3339 in UTC; empty for a clock outside the years 1970 to 9999.
pub(super) fn time(millis: i64) -> String {
    EventTime::from_millis(millis).map_or_else(String::new, |time| time.to_string())
}

/// Three decimals: what is measured by the millisecond has no more.
fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::sample_tests::{group, partition};
    use crate::lag::{NextRecord, RateWindow};

    #[test]
    fn one_group_stands_at_the_top_and_several_in_a_list() {
        let seen = group(10_000, vec![partition(Some(3), 5, 9, NextRecord::Timestamp(8_500))]);
        let one = LagDocument::one(GroupLag::of(&seen, None));
        insta::assert_snapshot!(serde_json::to_string_pretty(&one).expect("JSON"), @r#"
        {
          "schema": "foodstream.lag/1",
          "group": "readers",
          "state": "Empty",
          "members": 0,
          "isolation": "read_committed",
          "at": "1970-01-01T00:00:10.000Z",
          "messages": 6,
          "seconds": 1.5,
          "lost": 2,
          "without_number": 0,
          "partitions": [
            {
              "topic": "orders",
              "partition": 0,
              "committed": 3,
              "log_start": 5,
              "end": 9,
              "last_stable_offset": 9,
              "high_watermark": 9,
              "messages": 6,
              "seconds": 1.5,
              "lost": 2,
              "beyond_end": false,
              "owner": null
            }
          ]
        }
        "#);
        let mut rates = RateWindow::default();
        rates.push(&group(9_000, vec![partition(Some(1), 0, 9, NextRecord::Timestamp(8_500))]));
        rates.push(&seen);
        let mut watched = GroupLag::of(&seen, rates.pace());
        watched.samples.push(LagPoint::of(&seen, rates.pace()));
        let several = LagDocument::several(vec![watched]);
        let json = serde_json::to_value(&several).expect("JSON");
        assert_eq!(json["groups"][0]["trend"], "draining");
        assert_eq!(json["groups"][0]["drain_seconds"], 3.0);
        assert_eq!(json["groups"][0]["samples"][0]["consumed_per_second"], 2.0);
        for document in [one, several] {
            let text = serde_json::to_string(&document).expect("JSON");
            assert_eq!(serde_json::from_str::<LagDocument>(&text).expect("read again"), document);
        }
    }
}

//! The lag document, `foodstream.lag/1`: its fields, their names and their order.

use serde::{Deserialize, Serialize};

use super::rates::{Rates, as_number};
use super::sample::{GroupKind, GroupSample, Isolation, Lag, PartitionSample};
use super::trend::Trend;
use crate::domain::EventTime;

/// Name and version of the document. Any other value fails to parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LagSchema {
    /// `foodstream.lag/1`
    #[serde(rename = "foodstream.lag/1")]
    Version1,
}

/// The output of `lag`: the fields of one group if it was requested by name, otherwise a list of groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LagDocument {
    /// Name and version of the document.
    pub schema: LagSchema,
    /// One group, or several.
    #[serde(flatten)]
    pub groups: Groups,
}

/// One group or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Groups {
    /// One group, requested by name.
    One(Box<GroupLag>),
    /// Several groups, those of a prefix, or all.
    Several {
        /// In the order of the request, or by name if all were requested.
        groups: Vec<GroupLag>,
        /// Of all groups, those that the cluster lists and this principal may not describe, by name.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        not_authorized: Vec<String>,
    },
}

impl LagDocument {
    /// The document of one group that was requested by name.
    #[must_use]
    pub fn one(group: GroupLag) -> Self {
        Self { schema: LagSchema::Version1, groups: Groups::One(Box::new(group)) }
    }

    /// The document of several groups.
    #[must_use]
    pub const fn several(groups: Vec<GroupLag>) -> Self {
        Self::all(groups, Vec::new())
    }

    /// The document of all groups of a cluster, with the names of those that may not be described.
    #[must_use]
    pub const fn all(groups: Vec<GroupLag>, not_authorized: Vec<String>) -> Self {
        Self { schema: LagSchema::Version1, groups: Groups::Several { groups, not_authorized } }
    }
}

/// Unread records of a group that keeps up, in seconds of reading: twice the interval at which Kafka's consumers commit.
const KEEPING_UP_SECONDS: f64 = 10.0;

/// Lag of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupLag {
    /// The group's name on the cluster.
    pub group: String,
    /// Kafka's name of its state; `Dead` for a group that does not exist, `Unknown` for a share group.
    pub state: String,
    /// The kind of the group, unless it is a consumer group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<GroupKind>,
    /// Number of members.
    pub members: usize,
    /// The end of the log that lag is counted to.
    pub isolation: Isolation,
    /// Time of the sample: RFC 3339, UTC, milliseconds.
    pub at: String,
    /// Total lag of the partitions whose lag is known; `null` if it is known for none.
    pub messages: Option<i64>,
    /// Age of the oldest unread record; 0 without lag, `null` if unknown.
    pub seconds: Option<f64>,
    /// Offsets that were deleted before they were read; `null` while nothing is committed.
    pub lost: Option<i64>,
    /// Number of partitions whose lag is unknown.
    pub without_number: usize,
    /// Growth of the log ends over the last samples, in offsets a second; only with `--watch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub produced_per_second: Option<f64>,
    /// Growth of the committed offsets over the last samples, in offsets a second; only with `--watch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumed_per_second: Option<f64>,
    /// The trend of the lag; only with `--watch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend: Option<Trend>,
    /// Time until the lag is 0 at these rates; only for a group that drains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_seconds: Option<f64>,
    /// Whether the condition of `--fail-if` is met or cannot be checked; only with `--fail-if`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails: Option<bool>,
    /// Why the condition of `--fail-if` cannot be checked; otherwise absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_judged: Option<String>,
    /// Ordered by topic and number.
    pub partitions: Vec<PartitionLag>,
    /// The samples, oldest first; only with `--watch`.
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
    /// The committed offset, if any.
    pub committed: Option<i64>,
    /// The first offset that is retained. This and the three ends are `null` for a partition that does not exist.
    pub log_start: Option<i64>,
    /// The end that lag is counted to.
    pub end: Option<i64>,
    /// The last stable offset.
    pub last_stable_offset: Option<i64>,
    /// One past the last record.
    pub high_watermark: Option<i64>,
    /// Lag; `null` without a commit, with a commit beyond the end, and for a partition that does not exist.
    pub messages: Option<i64>,
    /// Age of the next unread record; 0 without lag, `null` if unknown.
    pub seconds: Option<f64>,
    /// How far the timestamp of the next unread record is in the future, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead_seconds: Option<f64>,
    /// Offsets that were deleted before they were read.
    pub lost: Option<i64>,
    /// Whether the committed offset is beyond the end of the log.
    pub beyond_end: bool,
    /// The id of the member that it is assigned to.
    pub owner: Option<String>,
    /// `group.instance.id` of that member, if it is static.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// `client.id` of that member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Host of that member, as the broker names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// A group at one moment of a `--watch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LagPoint {
    /// Time of the sample: RFC 3339, UTC, milliseconds.
    pub at: String,
    /// Kafka's name of the state.
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
    /// Converts a sample, with the rates of a watch.
    #[must_use]
    pub fn of(sample: &GroupSample, rates: Option<Rates>) -> Self {
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
            produced_per_second: rates.map(|rates| rounded(rates.produced)),
            consumed_per_second: rates.map(|rates| rounded(rates.consumed)),
            trend: rates.map(|rates| rates.trend),
            drain_seconds: rates.and_then(|rates| rates.drain_seconds).map(rounded),
            fails: None,
            not_judged: None,
            partitions: sample.partitions.iter().map(|seen| PartitionLag::of(seen, sample)).collect(),
            samples: Vec::new(),
        }
    }

    /// Whether records are written and read at the same pace, and what is unread is at most what the group reads in ten
    /// seconds: clients commit at intervals, so some records are always waiting.
    #[must_use]
    pub fn keeps_up(&self) -> bool {
        let (Some(messages), Some(produced), Some(consumed)) =
            (self.messages, self.produced_per_second, self.consumed_per_second)
        else {
            return false;
        };
        let is_even = matches!(self.trend, Some(Trend::CaughtUp | Trend::Steady));
        is_even && produced > 0.0 && as_number(messages) <= consumed * KEEPING_UP_SECONDS
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
            owner: seen.owner.as_ref().map(|owner| owner.member_id.clone()),
            instance_id: seen.owner.as_ref().and_then(|owner| owner.instance_id.clone()),
            client_id: seen.owner.as_ref().map(|owner| owner.client_id.clone()),
            host: seen.owner.as_ref().map(|owner| owner.host.clone()),
        }
    }
}

impl LagPoint {
    /// Converts the totals of a sample.
    #[must_use]
    pub fn of(sample: &GroupSample, rates: Option<Rates>) -> Self {
        Self {
            at: time(sample.at_millis),
            state: sample.state.clone(),
            messages: sample.messages(),
            seconds: sample.seconds(),
            lost: sample.lost(),
            produced_per_second: rates.map(|rates| rounded(rates.produced)),
            consumed_per_second: rates.map(|rates| rounded(rates.consumed)),
        }
    }
}

/// RFC 3339 in UTC; empty if the clock is outside the years 1970 to 9999.
pub(super) fn time(millis: i64) -> String {
    EventTime::from_millis(millis).map_or_else(String::new, |time| time.to_string())
}

/// Rounds to three decimals, since times are measured in milliseconds.
fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::sample_tests::{group, partition};
    use crate::lag::{NextRecord, Owner, RateWindow};

    #[test]
    fn one_group_is_flattened_and_several_are_a_list() {
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
        let mut window = RateWindow::default();
        window.push(&group(8_000, vec![partition(Some(0), 0, 9, NextRecord::Timestamp(8_500))]));
        window.push(&group(9_000, vec![partition(Some(1), 0, 9, NextRecord::Timestamp(8_500))]));
        window.push(&seen);
        let mut watched = GroupLag::of(&seen, window.rates());
        watched.samples.push(LagPoint::of(&seen, window.rates()));
        let several = LagDocument::several(vec![watched]);
        let json = serde_json::to_value(&several).expect("JSON");
        assert_eq!(json["groups"][0]["trend"], "draining");
        assert_eq!(json["groups"][0]["drain_seconds"], 4.0);
        assert_eq!(json["groups"][0]["samples"][0]["consumed_per_second"], 1.5);
        for document in [one, several] {
            let text = serde_json::to_string(&document).expect("JSON");
            assert_eq!(serde_json::from_str::<LagDocument>(&text).expect("read again"), document);
        }
        let all = LagDocument::all(Vec::new(), vec!["hidden".to_owned()]);
        let json = serde_json::to_string(&all).expect("JSON");
        assert_eq!(json, r#"{"schema":"foodstream.lag/1","groups":[],"not_authorized":["hidden"]}"#);
    }

    #[test]
    fn an_assigned_partition_has_its_member() {
        let owner = Owner {
            member_id: "one-5f".to_owned(),
            instance_id: Some("one".to_owned()),
            client_id: "rdkafka".to_owned(),
            host: "/192.0.2.7".to_owned(),
        };
        let assigned = |owner| PartitionSample { owner, ..partition(Some(3), 5, 9, NextRecord::Unknown) };
        let dynamic = Owner { instance_id: None, ..owner.clone() };
        let group = GroupLag::of(&group(0, vec![assigned(Some(owner)), assigned(Some(dynamic)), assigned(None)]), None);
        let json = serde_json::to_value(&group.partitions).expect("JSON");
        let member =
            |index: usize| ["owner", "instance_id", "client_id", "host"].map(|name| json[index].get(name).cloned());
        let text = |text: &str| Some(serde_json::Value::from(text));
        assert_eq!(member(0), [text("one-5f"), text("one"), text("rdkafka"), text("/192.0.2.7")]);
        assert_eq!(member(1), [text("one-5f"), None, text("rdkafka"), text("/192.0.2.7")]);
        assert_eq!(member(2), [Some(serde_json::Value::Null), None, None, None]);
    }
}

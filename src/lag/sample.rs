//! A sample of a group: offsets of each partition, and the lag in messages, in seconds and in lost offsets.

use serde::{Deserialize, Serialize};

/// The end of the log that lag is counted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// The last stable offset.
    ReadCommitted,
    /// The high watermark.
    ReadUncommitted,
}

impl Isolation {
    /// Kafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read_committed",
            Self::ReadUncommitted => "read_uncommitted",
        }
    }
}

/// How far a writer's clock may be ahead of this one. A record with a later timestamp has no age.
const MAX_CLOCK_SKEW_MILLIS: i64 = 1_000;

/// A kind of group without committed offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// A share group (KIP-932): the broker tracks which records each member was given.
    Share,
}

/// A consumer group at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSample {
    /// The group's name on the cluster.
    pub group: String,
    /// Kafka's name of its state; `Dead` for a group that does not exist.
    pub state: String,
    /// Number of members.
    pub members: usize,
    /// The kind of the group, unless it is a consumer group.
    pub kind: Option<GroupKind>,
    /// The end of the log that its lag is counted to.
    pub isolation: Isolation,
    /// Time of the sample: wall clock, milliseconds since the Unix epoch.
    pub at_millis: i64,
    /// Every partition that has a committed offset, is assigned to a member, or was requested; ordered by topic and
    /// number.
    pub partitions: Vec<PartitionSample>,
}

/// A partition at one moment, with the offset of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionSample {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The group's committed offset, without waiting for pending transactions.
    pub committed: Option<i64>,
    /// Start and ends of its log; `None` for a partition that does not exist (any more).
    pub bounds: Option<LogBounds>,
    /// The next record that the group could read.
    pub next: NextRecord,
    /// The member that it is assigned to.
    pub owner: Option<Owner>,
}

/// The member of a group that a partition is assigned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The id that the group's coordinator gave it.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// Its `client.id`.
    pub client_id: String,
    /// Its host, as the broker names it: `/192.0.2.7`.
    pub host: String,
}

/// Start and ends of a partition's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBounds {
    /// The first offset that is retained.
    pub log_start: i64,
    /// The offset of the first open transaction, or the high watermark.
    pub last_stable: i64,
    /// One past the last record.
    pub high_watermark: i64,
}

impl LogBounds {
    /// The end for an isolation level.
    #[must_use]
    pub const fn end(self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::ReadCommitted => self.last_stable,
            Isolation::ReadUncommitted => self.high_watermark,
        }
    }
}

/// The next record after the committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextRecord {
    /// Its timestamp: milliseconds since the Unix epoch.
    Timestamp(i64),
    /// No record: the offsets in between are markers, aborted, or compacted away.
    Absent,
    /// Unknown: not requested, not found in time, without a timestamp, or not authorized.
    Unknown,
}

/// Lag of a partition, in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// Offsets between the committed offset and the end.
    Messages(i64),
    /// The group has no committed offset here.
    NoCommit,
    /// The committed offset is this far beyond the end: the topic was recreated, or the offset was set by hand.
    BeyondEnd(i64),
    /// The partition does not exist, so it has no end.
    NoEnd,
}

impl Lag {
    /// The number of messages, if it is known.
    #[must_use]
    pub const fn messages(self) -> Option<i64> {
        match self {
            Self::Messages(messages) => Some(messages),
            Self::NoCommit | Self::BeyondEnd(_) | Self::NoEnd => None,
        }
    }
}

impl PartitionSample {
    /// Messages between the committed offset and the end.
    #[must_use]
    pub fn lag(&self, isolation: Isolation) -> Lag {
        let Some(committed) = self.committed else { return Lag::NoCommit };
        let Some(bounds) = self.bounds else { return Lag::NoEnd };
        match bounds.end(isolation).saturating_sub(committed) {
            messages if messages >= 0 => Lag::Messages(messages),
            beyond => Lag::BeyondEnd(beyond.saturating_neg()),
        }
    }

    /// Offsets that retention or a deletion removed before the group had read them.
    #[must_use]
    pub fn lost(&self) -> Option<i64> {
        Some(self.bounds?.log_start.saturating_sub(self.committed?).max(0))
    }

    /// Age of the next unread record at a given time; 0 without lag, `None` if unknown.
    #[must_use]
    pub fn seconds(&self, isolation: Isolation, now_millis: i64) -> Option<f64> {
        if self.lag(isolation).messages()? == 0 {
            return Some(0.0);
        }
        match self.next {
            NextRecord::Absent => Some(0.0),
            NextRecord::Timestamp(millis) => match now_millis.saturating_sub(millis) {
                age if age < -MAX_CLOCK_SKEW_MILLIS => None,
                age => Some(in_seconds(age.max(0))),
            },
            NextRecord::Unknown => None,
        }
    }

    /// How far the timestamp of the next unread record is in the future, if that is more than the allowed clock skew.
    #[must_use]
    pub fn ahead_seconds(&self, isolation: Isolation, now_millis: i64) -> Option<f64> {
        match self.next {
            NextRecord::Timestamp(millis) if self.lag(isolation).messages().is_some_and(|messages| messages > 0) => {
                let ahead = millis.saturating_sub(now_millis);
                (ahead > MAX_CLOCK_SKEW_MILLIS).then(|| in_seconds(ahead))
            }
            _ => None,
        }
    }

    /// Whether the partition may hold unread records, by its bounds.
    #[must_use]
    pub(super) fn may_have_records(&self, isolation: Isolation) -> bool {
        self.bounds.is_none_or(|bounds| bounds.log_start < bounds.end(isolation))
    }
}

#[allow(clippy::cast_precision_loss, reason = "a double holds every millisecond of 285,000 years")]
pub(super) fn in_seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}

impl GroupSample {
    /// Total lag of the partitions whose lag is known; `None` if it is known for none.
    #[must_use]
    pub fn messages(&self) -> Option<i64> {
        self.partitions
            .iter()
            .filter_map(|partition| partition.lag(self.isolation).messages())
            .reduce(i64::saturating_add)
    }

    /// Age of the oldest unread record; `None` if it is unknown for any partition with lag.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let unknown = self.partitions.iter().any(|partition| {
            partition.lag(self.isolation).messages().is_some()
                && partition.seconds(self.isolation, self.at_millis).is_none()
        });
        if unknown { None } else { self.seconds_at_least() }
    }

    /// A lower bound of that age, from the partitions where it is known.
    #[must_use]
    pub fn seconds_at_least(&self) -> Option<f64> {
        self.partitions
            .iter()
            .filter_map(|partition| partition.seconds(self.isolation, self.at_millis))
            .reduce(f64::max)
    }

    /// Lost offsets of all partitions; `None` while nothing is committed.
    #[must_use]
    pub fn lost(&self) -> Option<i64> {
        self.partitions.iter().filter_map(PartitionSample::lost).reduce(i64::saturating_add)
    }

    /// Number of partitions whose lag is unknown.
    #[must_use]
    pub fn without_number(&self) -> usize {
        self.partitions.iter().filter(|partition| partition.lag(self.isolation).messages().is_none()).count()
    }

    /// Whether the real lag may be larger than the total: some partition is not empty and its lag is unknown.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        self.partitions.iter().any(|partition| match partition.lag(self.isolation) {
            Lag::Messages(_) => false,
            Lag::NoCommit => partition.may_have_records(self.isolation),
            Lag::BeyondEnd(_) | Lag::NoEnd => true,
        })
    }

    /// Whether the group exists. Kafka reports a missing group as `Dead`, without offsets or members.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.state != "Dead"
            || self.kind.is_some()
            || self.members > 0
            || self.partitions.iter().any(|partition| partition.committed.is_some())
    }
}

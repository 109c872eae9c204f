//! Owns one look at a group: what was seen of each partition, and what follows from it about messages, seconds and losses.

use serde::{Deserialize, Serialize};

/// Up to which end lag is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// The last stable offset: what a reader of committed records could have read.
    ReadCommitted,
    /// The high watermark.
    ReadUncommitted,
}

impl Isolation {
    /// As Kafka writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read_committed",
            Self::ReadUncommitted => "read_uncommitted",
        }
    }
}

/// How far a writer's clock may be ahead of this one, in milliseconds: what is written further ahead has no age.
const MAX_CLOCK_SKEW_MILLIS: i64 = 1_000;

/// A kind of group that has no committed offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// Its members share the records of a partition, and the broker keeps what each was given (KIP-932).
    Share,
}

/// A group at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSample {
    /// The group, as it is called on the cluster.
    pub group: String,
    /// Its state in Kafka's words; `Dead` for a group that does not exist.
    pub state: String,
    /// How many members it has.
    pub members: usize,
    /// What kind it is, unless its members are consumers.
    pub kind: Option<GroupKind>,
    /// Up to which end its lag is counted.
    pub isolation: Isolation,
    /// When it was seen: milliseconds of the wall clock since the epoch.
    pub at_millis: i64,
    /// Every partition that the group has an offset for, that a member of it was given, or that was asked for; by topic
    /// and number.
    pub partitions: Vec<PartitionSample>,
}

/// A partition at one moment, as a group sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionSample {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The group's committed offset; pending transactions are not waited for.
    pub committed: Option<i64>,
    /// Where it stands; `None` for one that does not exist (any more).
    pub bounds: Option<LogBounds>,
    /// What is known of the next record that the group could read.
    pub next: NextRecord,
    /// The id of the member that has it.
    pub owner: Option<String>,
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBounds {
    /// The first offset that is still there.
    pub log_start: i64,
    /// Behind it stands an open transaction, or nothing.
    pub last_stable: i64,
    /// One past the last record.
    pub high_watermark: i64,
}

impl LogBounds {
    /// The end up to which an isolation counts.
    #[must_use]
    pub const fn end(self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::ReadCommitted => self.last_stable,
            Isolation::ReadUncommitted => self.high_watermark,
        }
    }
}

/// The next record that a reader at the committed offset gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextRecord {
    /// Its timestamp: milliseconds since the epoch.
    Timestamp(i64),
    /// There is none: what lies between is markers, aborted, or removed by compaction.
    Absent,
    /// Not known: not looked for, not found in time, without a timestamp, or not allowed to be read.
    Unknown,
}

/// Messages that wait on a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// That many offsets lie between the group and the end.
    Messages(i64),
    /// The group has committed nothing here.
    NoCommit,
    /// The group stands that far behind the end, where nothing is: the topic was recreated, or somebody set its offset.
    BeyondEnd(i64),
    /// The partition does not exist, so it has no end.
    NoEnd,
}

impl Lag {
    /// The number, where it is one.
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

    /// Offsets that retention or a deletion took before the group had read them.
    #[must_use]
    pub fn lost(&self) -> Option<i64> {
        Some(self.bounds?.log_start.saturating_sub(self.committed?).max(0))
    }

    /// How old the next unread record is at a time; 0 where nothing waits, `None` where that is not known.
    #[must_use]
    pub fn seconds(&self, isolation: Isolation, now_millis: i64) -> Option<f64> {
        if self.lag(isolation).messages()? == 0 {
            return Some(0.0);
        }
        match self.next {
            NextRecord::Absent => Some(0.0),
            // A writer's clock may be ahead of this one.
            NextRecord::Timestamp(millis) => match now_millis.saturating_sub(millis) {
                age if age < -MAX_CLOCK_SKEW_MILLIS => None,
                age => Some(in_seconds(age.max(0))),
            },
            NextRecord::Unknown => None,
        }
    }

    /// How far in the future the next unread record was written, by its timestamp; where that is further than clocks differ.
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

    /// Whether something may wait here, as far as its bounds tell.
    #[must_use]
    pub(super) fn may_have_records(&self, isolation: Isolation) -> bool {
        self.bounds.is_none_or(|bounds| bounds.log_start < bounds.end(isolation))
    }
}

/// Milliseconds as seconds.
#[allow(clippy::cast_precision_loss, reason = "a double holds every millisecond of 285,000 years")]
pub(super) fn in_seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}

impl GroupSample {
    /// Messages that wait on all partitions where that is a number; `None` where it is one nowhere.
    #[must_use]
    pub fn messages(&self) -> Option<i64> {
        self.partitions
            .iter()
            .filter_map(|partition| partition.lag(self.isolation).messages())
            .reduce(i64::saturating_add)
    }

    /// How old the oldest record is that waits; `None` when that is not known of some partition where messages wait.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let unknown = self.partitions.iter().any(|partition| {
            partition.lag(self.isolation).messages().is_some()
                && partition.seconds(self.isolation, self.at_millis).is_none()
        });
        if unknown { None } else { self.seconds_at_least() }
    }

    /// The same as far as it is known: it is at least that old.
    #[must_use]
    pub fn seconds_at_least(&self) -> Option<f64> {
        self.partitions
            .iter()
            .filter_map(|partition| partition.seconds(self.isolation, self.at_millis))
            .reduce(f64::max)
    }

    /// Offsets that were lost on all partitions together; `None` while nothing is committed.
    #[must_use]
    pub fn lost(&self) -> Option<i64> {
        self.partitions.iter().filter_map(PartitionSample::lost).reduce(i64::saturating_add)
    }

    /// Partitions whose lag is no number.
    #[must_use]
    pub fn without_number(&self) -> usize {
        self.partitions.iter().filter(|partition| partition.lag(self.isolation).messages().is_none()).count()
    }

    /// Whether more may wait than is counted: on a partition whose lag is no number, and which is not empty.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        self.partitions.iter().any(|partition| match partition.lag(self.isolation) {
            Lag::Messages(_) => false,
            Lag::NoCommit => partition.may_have_records(self.isolation),
            Lag::BeyondEnd(_) | Lag::NoEnd => true,
        })
    }

    /// Whether there is such a group: one without offsets and members is none.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.state != "Dead"
            || self.kind.is_some()
            || self.members > 0
            || self.partitions.iter().any(|partition| partition.committed.is_some())
    }
}

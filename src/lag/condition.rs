//! The condition of `lag --fail-if`: a threshold on messages or on seconds behind.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::sample::{GroupKind, GroupSample, Lag, PartitionSample};
use crate::units::{WrittenNumber, counted, duration};

/// `>1000`, `>=10`, `>30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Whether the threshold itself meets the condition (`>=`).
    inclusive: bool,
    threshold: Threshold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threshold {
    Messages(i64),
    Age(Duration),
}

/// The result of checking a condition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ConditionResult {
    /// The condition is met.
    Met,
    /// The condition is not met.
    NotMet,
    /// The known part does not meet it, and the rest is unknown for this reason.
    Unknown(UnknownReason),
}

/// Why a condition cannot be checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UnknownReason {
    /// The group does not exist.
    NoGroup,
    /// The group exists, but none of its offsets are visible.
    NoOffsets,
    /// This many partitions have no committed offset of the group, or do not exist.
    NoCommit(usize),
    /// A share group, which has no committed offsets.
    ShareGroup,
    /// On this many partitions the committed offset is beyond the end of the log.
    BeyondEnd(usize),
    /// The timestamp of the next unread record is this many seconds in the future.
    Future(f64),
    /// The age of the next unread record is unknown.
    Age,
}

impl UnknownReason {
    /// Whether something is missing that may appear later: `--allow-missing` accepts it.
    #[must_use]
    pub const fn is_missing(self) -> bool {
        matches!(self, Self::NoGroup | Self::NoOffsets | Self::NoCommit(_))
    }

    /// Whether the next sample may find it.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Age)
    }
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partitions = |count: usize| counted(count as u64, "partition");
        match self {
            Self::NoGroup => f.write_str("the group does not exist"),
            Self::NoOffsets => f.write_str("none of its offsets are visible"),
            Self::NoCommit(count) => write!(f, "it has no committed offset on {}", partitions(*count)),
            Self::ShareGroup => f.write_str("it is a share group, which commits no offsets"),
            Self::BeyondEnd(count) => write!(f, "its committed offset is beyond the end of {}", partitions(*count)),
            Self::Future(seconds) => {
                let ahead = Duration::try_from_secs_f64(*seconds).map_or_else(|_| format!("{seconds:.1} s"), duration);
                write!(f, "the next record's timestamp is {ahead} in the future, so its age is unknown")
            }
            Self::Age => f.write_str("the age of the next record is unknown"),
        }
    }
}

impl Condition {
    /// Checks the condition for a group. With `allow_missing`, a missing group, missing offsets and missing partitions
    /// are ignored.
    ///
    /// The known lag is a lower bound: a condition that it meets is met whatever the unknown rest is.
    #[must_use]
    pub fn check(&self, sample: &GroupSample, allow_missing: bool) -> ConditionResult {
        let is_met = match self.threshold {
            Threshold::Messages(limit) => {
                sample.messages().is_some_and(|messages| messages > limit || self.inclusive && messages == limit)
            }
            Threshold::Age(limit) => {
                let limit = limit.as_secs_f64();
                sample.seconds_at_least().is_some_and(|seconds| seconds > limit || self.inclusive && seconds >= limit)
            }
        };
        if is_met {
            return ConditionResult::Met;
        }
        let age = if matches!(self.threshold, Threshold::Age(_)) { unknown_age(sample) } else { None };
        match unknown_messages(sample).into_iter().chain(age).find(|reason| !(allow_missing && reason.is_missing())) {
            Some(reason) => ConditionResult::Unknown(reason),
            None => ConditionResult::NotMet,
        }
    }
}

/// Why the number of messages is not fully known.
fn unknown_messages(sample: &GroupSample) -> Vec<UnknownReason> {
    if sample.kind == Some(GroupKind::Share) {
        return vec![UnknownReason::ShareGroup];
    }
    if !sample.exists() {
        return vec![UnknownReason::NoGroup];
    }
    if sample.partitions.is_empty() {
        return vec![UnknownReason::NoOffsets];
    }
    let (mut missing, mut beyond) = (0, 0);
    for partition in &sample.partitions {
        match partition.lag(sample.isolation) {
            Lag::BeyondEnd(_) => beyond += 1,
            // An empty partition has no lag, with or without a commit. A group with nothing but such partitions is
            // still unknown.
            Lag::NoCommit | Lag::NoEnd
                if sample.messages().is_none() || partition.may_have_records(sample.isolation) =>
            {
                missing += 1;
            }
            _ => {}
        }
    }
    let mut reasons = Vec::new();
    reasons.extend((beyond > 0).then_some(UnknownReason::BeyondEnd(beyond)));
    reasons.extend((missing > 0).then_some(UnknownReason::NoCommit(missing)));
    reasons
}

/// Why the age of the oldest unread record is unknown.
fn unknown_age(sample: &GroupSample) -> Option<UnknownReason> {
    let has_unknown_age = |partition: &&PartitionSample| {
        partition.lag(sample.isolation).messages().is_some()
            && partition.seconds(sample.isolation, sample.at_millis).is_none()
    };
    let mut unknown = sample.partitions.iter().filter(has_unknown_age).peekable();
    unknown.peek()?;
    let ahead =
        unknown.filter_map(|partition| partition.ahead_seconds(sample.isolation, sample.at_millis)).reduce(f64::max);
    Some(ahead.map_or(UnknownReason::Age, UnknownReason::Future))
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || "use '>1000' or '>=10' (messages), or '>30s' (time behind)".to_owned();
        let text = text.trim();
        if text.starts_with(['<', '=', '!']) {
            return Err(format!("only > and >= are supported: {}", invalid()));
        }
        let rest = text.strip_prefix('>').ok_or_else(invalid)?;
        let (inclusive, value) = rest.strip_prefix('=').map_or((false, rest), |value| (true, value));
        let value = value.trim();
        if !value.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(invalid());
        }
        let messages = WrittenNumber::parse(value).and_then(|number| i64::try_from(number.whole()?).ok());
        let threshold = match messages {
            Some(messages) => Threshold::Messages(messages),
            None => Threshold::Age(humantime::parse_duration(value).map_err(|_| invalid())?),
        };
        Ok(Self { inclusive, threshold })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.inclusive { ">=" } else { ">" };
        match self.threshold {
            Threshold::Messages(messages) => write!(f, "{sign}{messages}"),
            Threshold::Age(age) => write!(f, "{sign}{}", humantime::format_duration(age).to_string().replace(' ', "")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::sample_tests::{group, partition};
    use crate::lag::{NextRecord, PartitionSample};

    fn checked(condition: &str, sample: &GroupSample, allow_missing: bool) -> ConditionResult {
        condition.parse::<Condition>().expect(condition).check(sample, allow_missing)
    }

    fn check(condition: &str, partitions: Vec<PartitionSample>) -> ConditionResult {
        checked(condition, &group(10_000, partitions), false)
    }

    #[test]
    fn conditions_round_trip() {
        for text in [">1000", ">=10", ">0", ">30s", ">=1m30s", ">500ms", ">0s"] {
            assert_eq!(text.parse::<Condition>().expect(text).to_string(), text);
        }
        assert_eq!(" > 5 ".parse::<Condition>().expect("blanks").to_string(), ">5");
        for (text, shown) in [(">10k", ">10000"), (">=1.5M", ">=1500000"), (">10_000", ">10000")] {
            assert_eq!(text.parse::<Condition>().expect(text).to_string(), shown);
        }
        for text in ["", "5", "<5", "=5", ">", ">=", ">x", ">-5", ">5%", ">1.5", ">30 parsecs", ">>5", ">=>5"] {
            let error = text.parse::<Condition>().expect_err(text);
            assert!(error.contains("'>1000'"), "{text}: {error}");
        }
    }

    #[test]
    fn sign_decides_whether_equal_meets() {
        let waits = |end| vec![partition(Some(0), 0, end, NextRecord::Timestamp(7_000))];
        assert_eq!(check(">10", waits(10)), ConditionResult::NotMet);
        assert_eq!(check(">=10", waits(10)), ConditionResult::Met);
        assert_eq!(check(">10", waits(11)), ConditionResult::Met);
        assert_eq!(check(">3s", waits(1)), ConditionResult::NotMet);
        assert_eq!(check(">=3s", waits(1)), ConditionResult::Met);
        assert_eq!(check(">2999ms", waits(1)), ConditionResult::Met);
        assert_eq!(check(">0s", waits(0)), ConditionResult::NotMet);
    }

    #[test]
    fn unknown_lag_is_reported_unless_known_lag_meets() {
        let never = || partition(None, 0, 50, NextRecord::Unknown);
        let far = || partition(Some(0), 0, 50, NextRecord::Timestamp(0));
        let dark = || partition(Some(0), 0, 50, NextRecord::Unknown);
        let unknown = |condition, partitions| match check(condition, partitions) {
            ConditionResult::Unknown(reason) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(unknown(">10", vec![never()]), UnknownReason::NoCommit(1));
        assert_eq!(check(">10", vec![never(), far()]), ConditionResult::Met);
        assert_eq!(unknown(">99", vec![never(), far(), never()]), UnknownReason::NoCommit(2));
        assert_eq!(check(">5s", vec![dark(), far()]), ConditionResult::Met);
        assert_eq!(unknown(">20s", vec![dark(), far()]), UnknownReason::Age);
        assert_eq!(check(">99", vec![dark()]), ConditionResult::NotMet, "messages need no age");
        assert_eq!(
            unknown(">99", vec![partition(Some(60), 0, 50, NextRecord::Unknown), never()]),
            UnknownReason::BeyondEnd(1)
        );
        assert_eq!(unknown(">=0", vec![]), UnknownReason::NoOffsets);
        let empty = || partition(None, 7, 7, NextRecord::Unknown);
        assert_eq!(check(">99", vec![empty(), far()]), ConditionResult::NotMet, "an empty partition has no lag");
        assert_eq!(unknown(">99", vec![empty()]), UnknownReason::NoCommit(1), "a group without any offset is unknown");
    }

    #[test]
    fn future_timestamp_has_no_age() {
        let at = |millis| vec![partition(Some(0), 0, 15, NextRecord::Timestamp(millis))];
        assert_eq!(check(">30s", at(3_610_000)), ConditionResult::Unknown(UnknownReason::Future(3_600.0)));
        assert_eq!(check(">30s", at(10_900)), ConditionResult::NotMet, "within the allowed clock skew");
        assert_eq!(check(">14", at(3_610_000)), ConditionResult::Met);
        let mut both = at(3_610_000);
        both.extend(at(0));
        assert_eq!(check(">5s", both), ConditionResult::Met);
    }

    #[test]
    fn missing_group_passes_only_with_allow_missing() {
        let none = GroupSample { state: "Dead".to_owned(), ..group(0, vec![]) };
        let share = GroupSample { kind: Some(GroupKind::Share), ..none.clone() };
        for (sample, reason, allowed) in [
            (none, UnknownReason::NoGroup, ConditionResult::NotMet),
            (share, UnknownReason::ShareGroup, ConditionResult::Unknown(UnknownReason::ShareGroup)),
            (group(0, vec![]), UnknownReason::NoOffsets, ConditionResult::NotMet),
            (
                group(0, vec![partition(None, 0, 5, NextRecord::Unknown)]),
                UnknownReason::NoCommit(1),
                ConditionResult::NotMet,
            ),
            (
                group(
                    0,
                    vec![partition(Some(9), 0, 5, NextRecord::Unknown), partition(None, 0, 5, NextRecord::Unknown)],
                ),
                UnknownReason::BeyondEnd(1),
                ConditionResult::Unknown(UnknownReason::BeyondEnd(1)),
            ),
        ] {
            for condition in [">1000", ">30s"] {
                assert_eq!(
                    checked(condition, &sample, false),
                    ConditionResult::Unknown(reason),
                    "{condition} {reason:?}"
                );
                assert_eq!(checked(condition, &sample, true), allowed, "{condition} {reason:?}");
            }
        }
    }
}

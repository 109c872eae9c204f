//! Owns the condition of `--fail-if`: more messages, or more seconds behind, than somebody can bear.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::sample::{GroupKind, GroupSample, Lag, PartitionSample};

/// `>1000`, `>=10`, `>30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Whether the limit itself is too much.
    inclusive: bool,
    limit: Threshold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threshold {
    Messages(i64),
    Age(Duration),
}

/// What came of a condition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ConditionResult {
    /// It holds.
    Met,
    /// It does not.
    NotMet,
    /// It does not as far as is known, and this keeps the rest from being known.
    Unknown(UnknownReason),
}

/// Why a condition cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UnknownReason {
    /// There is no such group.
    NoGroup,
    /// The group exists, and no offset of it is to be seen.
    NoOffsets,
    /// That many partitions have no offset of the group, or do not exist.
    NoCommit(usize),
    /// It is a share group, which has no committed offsets.
    ShareGroup,
    /// That many partitions have an offset behind their end.
    BeyondEnd(usize),
    /// The next unread record was written that many seconds from now, by its timestamp.
    Future(f64),
    /// How old the next unread record is was not found out.
    Age,
}

impl UnknownReason {
    /// Whether something is not there that may come: what `--allow-missing` lets pass.
    #[must_use]
    pub const fn is_missing(self) -> bool {
        matches!(self, Self::NoGroup | Self::NoOffsets | Self::NoCommit(_))
    }

    /// Whether the next look may see it.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Age)
    }
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partitions =
            |count: usize| if count == 1 { "1 partition".to_owned() } else { format!("{count} partitions") };
        match self {
            Self::NoGroup => f.write_str("there is no such group"),
            Self::NoOffsets => f.write_str("no offset of it is to be seen"),
            Self::NoCommit(count) => write!(f, "it has committed nothing on {}", partitions(*count)),
            Self::ShareGroup => f.write_str("it is a share group, which commits no offsets"),
            Self::BeyondEnd(count) => write!(f, "its offset is behind the end of {}", partitions(*count)),
            Self::Future(seconds) => {
                write!(
                    f,
                    "the next record's timestamp is {seconds:.1} s in the future, so how long it waits is not known"
                )
            }
            Self::Age => f.write_str("how old the next record is was not found out"),
        }
    }
}

impl Condition {
    /// Whether it holds for a group. With `allow_missing` a group, offsets and partitions that are not there count for nothing.
    ///
    /// What is known is a lower bound, so a condition that holds for it holds whatever the rest may be.
    #[must_use]
    pub fn judge(&self, sample: &GroupSample, allow_missing: bool) -> ConditionResult {
        let holds = match self.limit {
            Threshold::Messages(limit) => {
                sample.messages().is_some_and(|messages| messages > limit || self.inclusive && messages == limit)
            }
            Threshold::Age(limit) => {
                let limit = limit.as_secs_f64();
                sample.seconds_at_least().is_some_and(|seconds| seconds > limit || self.inclusive && seconds >= limit)
            }
        };
        if holds {
            return ConditionResult::Met;
        }
        let of_age = if matches!(self.limit, Threshold::Age(_)) { unknown_age(sample) } else { None };
        match unknown_messages(sample).into_iter().chain(of_age).find(|blind| !(allow_missing && blind.is_missing())) {
            Some(blind) => ConditionResult::Unknown(blind),
            None => ConditionResult::NotMet,
        }
    }
}

/// What keeps the number of messages from being known.
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
            // Nothing waits on an empty partition, whatever is committed; but that alone says nothing of a group.
            Lag::NoCommit | Lag::NoEnd
                if sample.messages().is_none() || partition.may_have_records(sample.isolation) =>
            {
                missing += 1;
            }
            _ => {}
        }
    }
    let mut blind = Vec::new();
    blind.extend((beyond > 0).then_some(UnknownReason::BeyondEnd(beyond)));
    blind.extend((missing > 0).then_some(UnknownReason::NoCommit(missing)));
    blind
}

/// What keeps the age of the oldest record from being known, where messages wait.
fn unknown_age(sample: &GroupSample) -> Option<UnknownReason> {
    let dark = |partition: &&PartitionSample| {
        partition.lag(sample.isolation).messages().is_some()
            && partition.seconds(sample.isolation, sample.at_millis).is_none()
    };
    let mut dark = sample.partitions.iter().filter(dark).peekable();
    dark.peek()?;
    let ahead =
        dark.filter_map(|partition| partition.ahead_seconds(sample.isolation, sample.at_millis)).reduce(f64::max);
    Some(ahead.map_or(UnknownReason::Age, UnknownReason::Future))
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || "as in '>1000' or '>=10' (messages), or '>30s' (seconds behind)".to_owned();
        let text = text.trim();
        if text.starts_with(['<', '=', '!']) {
            return Err(format!("lag is bad when it is large: {}", refused()));
        }
        let rest = text.strip_prefix('>').ok_or_else(refused)?;
        let (inclusive, value) = rest.strip_prefix('=').map_or((false, rest), |value| (true, value));
        let value = value.trim();
        if !value.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(refused());
        }
        let limit = match value.parse::<i64>() {
            Ok(messages) => Threshold::Messages(messages),
            Err(_) => Threshold::Age(humantime::parse_duration(value).map_err(|_| refused())?),
        };
        Ok(Self { inclusive, limit })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.inclusive { ">=" } else { ">" };
        match self.limit {
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

    fn judged(condition: &str, sample: &GroupSample, allow_missing: bool) -> ConditionResult {
        condition.parse::<Condition>().expect(condition).judge(sample, allow_missing)
    }

    fn verdict(condition: &str, partitions: Vec<PartitionSample>) -> ConditionResult {
        judged(condition, &group(10_000, partitions), false)
    }

    #[test]
    fn a_condition_is_read_and_written_alike() {
        for text in [">1000", ">=10", ">0", ">30s", ">=1m30s", ">500ms", ">0s"] {
            assert_eq!(text.parse::<Condition>().expect(text).to_string(), text);
        }
        assert_eq!(" > 5 ".parse::<Condition>().expect("blanks").to_string(), ">5");
        for text in ["", "5", "<5", "=5", ">", ">=", ">x", ">-5", ">5%", ">1.5", ">30 parsecs", ">>5", ">=>5"] {
            let refusal = text.parse::<Condition>().expect_err(text);
            assert!(refusal.contains("'>1000'"), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_limit_is_exceeded_or_reached_as_its_sign_says() {
        let waits = |end| vec![partition(Some(0), 0, end, NextRecord::Timestamp(7_000))];
        assert_eq!(verdict(">10", waits(10)), ConditionResult::NotMet);
        assert_eq!(verdict(">=10", waits(10)), ConditionResult::Met);
        assert_eq!(verdict(">10", waits(11)), ConditionResult::Met);
        assert_eq!(verdict(">3s", waits(1)), ConditionResult::NotMet);
        assert_eq!(verdict(">=3s", waits(1)), ConditionResult::Met);
        assert_eq!(verdict(">2999ms", waits(1)), ConditionResult::Met);
        assert_eq!(verdict(">0s", waits(0)), ConditionResult::NotMet);
    }

    #[test]
    fn what_is_not_known_is_told_and_hides_nothing_that_is() {
        let never = || partition(None, 0, 50, NextRecord::Unknown);
        let far = || partition(Some(0), 0, 50, NextRecord::Timestamp(0));
        let dark = || partition(Some(0), 0, 50, NextRecord::Unknown);
        let unknown = |condition, partitions| match verdict(condition, partitions) {
            ConditionResult::Unknown(blind) => blind,
            other => panic!("{other:?}"),
        };
        assert_eq!(unknown(">10", vec![never()]), UnknownReason::NoCommit(1));
        assert_eq!(verdict(">10", vec![never(), far()]), ConditionResult::Met);
        assert_eq!(unknown(">99", vec![never(), far(), never()]), UnknownReason::NoCommit(2));
        assert_eq!(verdict(">5s", vec![dark(), far()]), ConditionResult::Met);
        assert_eq!(unknown(">20s", vec![dark(), far()]), UnknownReason::Age);
        assert_eq!(verdict(">99", vec![dark()]), ConditionResult::NotMet, "messages need no age");
        assert_eq!(
            unknown(">99", vec![partition(Some(60), 0, 50, NextRecord::Unknown), never()]),
            UnknownReason::BeyondEnd(1)
        );
        assert_eq!(unknown(">=0", vec![]), UnknownReason::NoOffsets);
        let empty = || partition(None, 7, 7, NextRecord::Unknown);
        assert_eq!(verdict(">99", vec![empty(), far()]), ConditionResult::NotMet, "an empty partition hides nothing");
        assert_eq!(
            unknown(">99", vec![empty()]),
            UnknownReason::NoCommit(1),
            "of a group without any offset nothing is known"
        );
    }

    #[test]
    fn a_timestamp_in_the_future_is_no_age() {
        let at = |millis| vec![partition(Some(0), 0, 15, NextRecord::Timestamp(millis))];
        assert_eq!(verdict(">30s", at(3_610_000)), ConditionResult::Unknown(UnknownReason::Future(3_600.0)));
        assert_eq!(verdict(">30s", at(10_900)), ConditionResult::NotMet, "clocks differ by less than a second");
        assert_eq!(verdict(">14", at(3_610_000)), ConditionResult::Met);
        let mut both = at(3_610_000);
        both.extend(at(0));
        assert_eq!(verdict(">5s", both), ConditionResult::Met);
    }

    #[test]
    fn a_group_that_is_not_there_passes_only_where_that_is_allowed() {
        let none = GroupSample { state: "Dead".to_owned(), ..group(0, vec![]) };
        let share = GroupSample { kind: Some(GroupKind::Share), ..none.clone() };
        for (sample, blind, allowed) in [
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
                assert_eq!(judged(condition, &sample, false), ConditionResult::Unknown(blind), "{condition} {blind:?}");
                assert_eq!(judged(condition, &sample, true), allowed, "{condition} {blind:?}");
            }
        }
    }
}

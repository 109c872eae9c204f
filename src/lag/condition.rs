//! Owns the condition of `--fail-if`: more messages, or more seconds behind, than somebody can bear.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::sample::GroupSample;

/// `>1000`, `>=10`, `>30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Whether the limit itself is too much.
    inclusive: bool,
    limit: Limit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Messages(i64),
    Age(Duration),
}

/// What came of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not.
    Fine,
    /// It does not as far as is known; some partition's lag is not.
    NotKnown,
}

impl Condition {
    /// Whether it holds for a group.
    ///
    /// What is known is a lower bound, so a condition that holds for it holds whatever the rest may be.
    #[must_use]
    pub fn judge(&self, sample: &GroupSample) -> Verdict {
        let (holds, known) = match self.limit {
            Limit::Messages(limit) => (
                sample.messages().is_some_and(|messages| messages > limit || self.inclusive && messages == limit),
                sample.messages().is_some() && !sample.is_uncertain(),
            ),
            Limit::Age(limit) => {
                let limit = limit.as_secs_f64();
                let exceeds = |seconds: f64| seconds > limit || self.inclusive && seconds >= limit;
                (sample.seconds_at_least().is_some_and(exceeds), sample.seconds().is_some() && !sample.is_uncertain())
            }
        };
        match (holds, known) {
            (true, _) => Verdict::Holds,
            (false, true) => Verdict::Fine,
            (false, false) => Verdict::NotKnown,
        }
    }
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
            Ok(messages) => Limit::Messages(messages),
            Err(_) => Limit::Age(humantime::parse_duration(value).map_err(|_| refused())?),
        };
        Ok(Self { inclusive, limit })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.inclusive { ">=" } else { ">" };
        match self.limit {
            Limit::Messages(messages) => write!(f, "{sign}{messages}"),
            Limit::Age(age) => write!(f, "{sign}{}", humantime::format_duration(age).to_string().replace(' ', "")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::laws::{group, partition};
    use crate::lag::{Next, PartitionSample};

    fn verdict(condition: &str, partitions: Vec<PartitionSample>) -> Verdict {
        condition.parse::<Condition>().expect(condition).judge(&group(10_000, partitions))
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
        let waits = |end| vec![partition(Some(0), 0, end, Next::Written(7_000))];
        assert_eq!(verdict(">10", waits(10)), Verdict::Fine);
        assert_eq!(verdict(">=10", waits(10)), Verdict::Holds);
        assert_eq!(verdict(">10", waits(11)), Verdict::Holds);
        assert_eq!(verdict(">3s", waits(1)), Verdict::Fine);
        assert_eq!(verdict(">=3s", waits(1)), Verdict::Holds);
        assert_eq!(verdict(">2999ms", waits(1)), Verdict::Holds);
        assert_eq!(verdict(">0s", waits(0)), Verdict::Fine);
    }

    #[test]
    fn what_is_not_known_neither_fails_nor_hides_what_is() {
        let never = || partition(None, 0, 50, Next::Unknown);
        let far = || partition(Some(0), 0, 50, Next::Written(0));
        let dark = || partition(Some(0), 0, 50, Next::Unknown);
        assert_eq!(verdict(">10", vec![never()]), Verdict::NotKnown);
        assert_eq!(verdict(">10", vec![never(), far()]), Verdict::Holds);
        assert_eq!(verdict(">99", vec![never(), far()]), Verdict::NotKnown);
        assert_eq!(verdict(">5s", vec![dark(), far()]), Verdict::Holds);
        assert_eq!(verdict(">20s", vec![dark(), far()]), Verdict::NotKnown);
        assert_eq!(verdict(">=0", vec![]), Verdict::NotKnown);
        let empty = || partition(None, 7, 7, Next::Unknown);
        assert_eq!(verdict(">99", vec![empty(), far()]), Verdict::Fine, "an empty partition hides nothing");
    }
}

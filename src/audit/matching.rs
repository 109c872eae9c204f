//! How inputs and outputs are matched: the field that they have in common, and how many outputs an input has.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The part of a record by which inputs and outputs are matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatchField {
    /// The key's bytes.
    Key,
    /// The bytes of the last header with this name.
    Header(String),
    /// A value inside the record's JSON value, as a JSON pointer (RFC 6901).
    Pointer(String),
}

impl FromStr for MatchField {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("header:") {
            _ if text == "key" => Ok(Self::Key),
            Some(name) if !name.is_empty() => Ok(Self::Header(name.to_owned())),
            None if text.starts_with('/') => Ok(Self::Pointer(text.to_owned())),
            _ => Err("expected key, header:NAME, or a JSON pointer such as /order_id".to_owned()),
        }
    }
}

impl fmt::Display for MatchField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("key"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Pointer(pointer) => f.write_str(pointer),
        }
    }
}

/// How many outputs each input must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FanOut {
    /// Exactly this many, at least 1.
    Exactly(u32),
    /// One or more.
    AtLeastOne,
    /// None or one.
    AtMostOne,
}

impl FanOut {
    /// The numbers of outputs that so many inputs with the same field may have together.
    #[must_use]
    pub fn outputs(self, inputs: u64) -> RangeInclusive<u64> {
        match self {
            Self::Exactly(each) => inputs.saturating_mul(each.into())..=inputs.saturating_mul(each.into()),
            Self::AtLeastOne if inputs > 0 => inputs..=u64::MAX,
            Self::AtLeastOne => 0..=0,
            Self::AtMostOne => 0..=inputs,
        }
    }
}

impl FromStr for FanOut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "one" => Ok(Self::Exactly(1)),
            "at-least-one" => Ok(Self::AtLeastOne),
            "at-most-one" => Ok(Self::AtMostOne),
            _ => text
                .parse()
                .ok()
                .filter(|number| (1..=1_000_000).contains(number))
                .map(Self::Exactly)
                .ok_or_else(|| "expected a number from 1 to 1000000, one, at-least-one or at-most-one".to_owned()),
        }
    }
}

impl fmt::Display for FanOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(1) => f.write_str("one"),
            Self::Exactly(number) => number.fmt(f),
            Self::AtLeastOne => f.write_str("at-least-one"),
            Self::AtMostOne => f.write_str("at-most-one"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_round_trip() {
        for text in ["key", "header:trace-id", "/order_id", "/source/offset", "/a~1b"] {
            assert_eq!(text.parse::<MatchField>().expect("parses").to_string(), text);
        }
        for text in ["", "value", "header:", "order_id", "Key"] {
            assert!(text.parse::<MatchField>().is_err(), "{text}");
        }
    }

    #[test]
    fn fan_outs_limit_the_outputs_of_repeated_inputs() {
        let outputs = |text: &str, inputs| text.parse::<FanOut>().expect("parses").outputs(inputs);
        assert_eq!([outputs("one", 0), outputs("one", 2), outputs("3", 2)], [0..=0, 2..=2, 6..=6]);
        assert_eq!([outputs("at-least-one", 2), outputs("at-least-one", 0)], [2..=u64::MAX, 0..=0]);
        assert_eq!([outputs("at-most-one", 2), outputs("at-most-one", 0)], [0..=2, 0..=0]);
        for text in ["one", "3", "at-least-one", "at-most-one"] {
            assert_eq!(text.parse::<FanOut>().expect("parses").to_string(), text);
        }
        assert!(["0", "-1", "many", "1000001"].iter().all(|text| text.parse::<FanOut>().is_err()));
    }
}

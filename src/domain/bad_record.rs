//! Owns the reasons for which a record is bad: the vocabulary of the dead letters' `foodstream.dlq.reason` header.

use std::fmt;

/// Why a record is bad, and the detail a person needs to find the fault in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// The class of the fault.
    pub reason: BadReason,
    /// The field or byte position at fault, in plain ASCII words; never the record's content.
    pub detail: String,
}

/// The classes of faults; the words of [`BadReason::as_str`] are part of the contract with readers of the dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadReason {
    /// The record has no value (null), which on this topic is no tombstone.
    NoValue,
    /// The value is not UTF-8.
    NotUtf8,
    /// The value is not exactly one JSON object: malformed, a byte order mark, trailing bytes, a lone surrogate, another JSON type.
    NotJson,
    /// Arrays and objects are nested more than 127 deep.
    TooDeep,
    /// A known field stands twice in one object.
    DuplicateField,
    /// A required field is missing.
    MissingField,
    /// A field has the wrong JSON type.
    WrongType,
    /// A field has the right type and a value that is not allowed.
    BadValue,
}

impl BadReason {
    /// The word in the dead letter's header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoValue => "no_value",
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::TooDeep => "too_deep",
            Self::DuplicateField => "duplicate_field",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::BadValue => "bad_value",
        }
    }
}

impl fmt::Display for BadRecord {
    /// `reason: detail`, the text of the dead letter's header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.detail)
    }
}

//! Bad records: the reasons in the `foodstream.dlq.reason` header of dead letters. See `docs/reference/events.md`.

use std::fmt;

/// Why a record is bad, with the detail that a person needs to find the error in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// The reason.
    pub reason: BadReason,
    /// The field or byte position of the error, in ASCII; never the record's content.
    pub detail: String,
}

/// The reasons why a record is bad. Readers of dead letters rely on the names of [`BadReason::as_str`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadReason {
    /// The record has no value (null). This topic has no tombstones.
    NoValue,
    /// The value is not UTF-8.
    NotUtf8,
    /// The value is not exactly one JSON object: a syntax error, a byte order mark, trailing bytes, a lone surrogate,
    /// another JSON type.
    NotJson,
    /// Arrays and objects are nested more than 127 levels deep.
    TooDeep,
    /// A known field appears twice in one object.
    DuplicateField,
    /// A required field is missing.
    MissingField,
    /// A field has the wrong JSON type.
    WrongType,
    /// A field has the right type, but a value that is not allowed.
    BadValue,
}

impl BadReason {
    /// The name in the dead letter's header.
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

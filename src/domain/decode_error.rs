//! Errors of the event decoder: small and `Copy`, and formatted only when a record is bad. The reasons in the
//! `foodstream.dlq.reason` header of dead letters, see `docs/reference/events.md`.

use std::fmt;

use super::TimeError;

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

/// What is wrong with a record, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DecodeError {
    pub(super) location: Location,
    pub(super) problem: Problem,
}

/// Where in a record an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Location {
    /// The record's value as a whole.
    Value,
    /// A byte of the value, from 0.
    Byte(usize),
    /// A field of the outer object.
    Field(&'static str),
    /// A line of an order, from 0.
    Line(usize),
    /// A field of a line.
    LineField(usize, &'static str),
    /// A field of a decision's source.
    SourceField(&'static str),
}

/// What can be wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    NoValue,
    NotUtf8,
    NotAnObject,
    TooDeep,
    Duplicate,
    Missing,
    NoString,
    NoNumber,
    NoArray,
    NoObject,
    Empty,
    LongerThan256,
    NoLines,
    TooManyLines,
    NoQuantity,
    NoMoney,
    NoStatus,
    NoAction,
    NoReason,
    NeedlessReason,
    MissingReason,
    NoUnits,
    NoLineNumber,
    NoLineCount,
    LineBeyondLines,
    NoPartition,
    NoOffset,
    Time(TimeError),
}

impl DecodeError {
    /// An error of a known field.
    pub(super) const fn of_field(field: &'static str, problem: Problem) -> Self {
        Self { location: Location::Field(field), problem }
    }

    /// Turns an error of a field into one of a field of the line.
    pub(super) const fn in_line(self, line: usize) -> Self {
        match self.location {
            Location::Field(field) => Self { location: Location::LineField(line, field), ..self },
            _ => self,
        }
    }

    /// Turns an error of a field into one of a field of the source.
    pub(super) const fn in_source(self) -> Self {
        match self.location {
            Location::Field(field) => Self { location: Location::SourceField(field), ..self },
            _ => self,
        }
    }
}

impl From<DecodeError> for BadRecord {
    fn from(DecodeError { location, problem }: DecodeError) -> Self {
        let text = problem.text();
        let detail = match location {
            Location::Value => text.to_owned(),
            Location::Byte(byte) => format!("byte {byte}: {text}"),
            Location::Field(field) => format!("{field} {text}"),
            Location::Line(line) => format!("items[{line}] {text}"),
            Location::LineField(line, field) => format!("items[{line}].{field} {text}"),
            Location::SourceField(field) => format!("source.{field} {text}"),
        };
        Self { reason: problem.reason(), detail }
    }
}

impl Problem {
    const fn reason(self) -> BadReason {
        match self {
            Self::NoValue => BadReason::NoValue,
            Self::NotUtf8 => BadReason::NotUtf8,
            Self::NotAnObject => BadReason::NotJson,
            Self::TooDeep => BadReason::TooDeep,
            Self::Duplicate => BadReason::DuplicateField,
            Self::Missing => BadReason::MissingField,
            Self::NoString | Self::NoNumber | Self::NoArray | Self::NoObject => BadReason::WrongType,
            Self::Empty
            | Self::LongerThan256
            | Self::NoLines
            | Self::TooManyLines
            | Self::NoQuantity
            | Self::NoMoney
            | Self::NoStatus
            | Self::NoAction
            | Self::NoReason
            | Self::NeedlessReason
            | Self::MissingReason
            | Self::NoUnits
            | Self::NoLineNumber
            | Self::NoLineCount
            | Self::LineBeyondLines
            | Self::NoPartition
            | Self::NoOffset
            | Self::Time(_) => BadReason::BadValue,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::NoValue => "the record has no value",
            Self::NotUtf8 => "not UTF-8",
            Self::NotAnObject => "no JSON object begins here",
            Self::TooDeep => "nested more than 127 deep",
            Self::Duplicate => "appears twice",
            Self::Missing => "is missing",
            Self::NoString => "is not a string",
            Self::NoNumber => "is not a number",
            Self::NoArray => "is not an array",
            Self::NoObject => "is not an object",
            Self::Empty => "is empty",
            Self::LongerThan256 => "is longer than 256 bytes",
            Self::NoLines => "has no lines",
            Self::TooManyLines => "has more than 10000 lines",
            Self::NoQuantity => "is not a whole number from 1 to 1000000",
            Self::NoMoney => "is not a whole number of cents from 0.00 to 10000000.00",
            Self::NoStatus => "is neither placed nor failed",
            Self::NoAction => "is neither reserve nor reject nor release",
            Self::NoReason => "is neither out_of_stock nor order_incomplete",
            Self::NeedlessReason => "is given though the action is not reject",
            Self::MissingReason => "is null though the action is reject",
            Self::NoUnits => "is not a whole number of units",
            Self::NoLineNumber => "is not a whole number from 0 to 9999",
            Self::NoLineCount => "is not a whole number from 1 to 10000",
            Self::LineBeyondLines => "is not below lines",
            Self::NoPartition => "is not a partition number",
            Self::NoOffset => "is not an offset",
            Self::Time(TimeError::Malformed) => "is not an RFC 3339 timestamp",
            Self::Time(TimeError::LeapSecond) => "has second 60",
            Self::Time(TimeError::OutOfRange) => "lies outside the years 1970 to 9999",
        }
    }
}

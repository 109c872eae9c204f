//! Errors of the event decoder: small and `Copy`, and formatted only when a record is bad.

use super::{BadReason, BadRecord, TimeError};

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

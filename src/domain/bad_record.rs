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

/// A fault before it is put into words.
///
/// It is `Copy`, so that noting the faults of a record that turns out to be skipped costs no allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    place: Place,
    reason: BadReason,
    problem: &'static str,
}

/// Where in a record a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A byte of the value, from 0.
    Byte(usize),
    /// A field by its path from the outer object.
    Field(&'static str),
    /// A line of an order, from 0.
    Line(usize),
    /// A field of a line.
    LineField(usize, &'static str),
}

impl Fault {
    /// The record has no value.
    pub(super) const NO_VALUE: Self =
        Self { place: Place::Field("value"), reason: BadReason::NoValue, problem: "is null" };

    /// The bytes themselves are at fault, from this one on.
    pub(super) const fn at_byte(byte: usize, reason: BadReason, problem: &'static str) -> Self {
        Self { place: Place::Byte(byte), reason, problem }
    }

    /// A known field stands twice.
    pub(super) const fn duplicate(field: &'static str) -> Self {
        Self { place: Place::Field(field), reason: BadReason::DuplicateField, problem: "stands twice" }
    }

    /// A required field is missing.
    pub(super) const fn missing(field: &'static str) -> Self {
        Self { place: Place::Field(field), reason: BadReason::MissingField, problem: "is missing" }
    }

    /// A field has another JSON type.
    pub(super) const fn wrong_type(field: &'static str, problem: &'static str) -> Self {
        Self { place: Place::Field(field), reason: BadReason::WrongType, problem }
    }

    /// A field has a value that is not allowed.
    pub(super) const fn bad_value(field: &'static str, problem: &'static str) -> Self {
        Self { place: Place::Field(field), reason: BadReason::BadValue, problem }
    }

    /// A line is no JSON object.
    pub(super) const fn line_is_no_object(line: usize) -> Self {
        Self { place: Place::Line(line), reason: BadReason::WrongType, problem: "is not an object" }
    }

    /// The same fault of a field, told of that line's field.
    pub(super) const fn in_line(self, line: usize) -> Self {
        match self.place {
            Place::Field(field) => Self { place: Place::LineField(line, field), ..self },
            Place::Byte(_) | Place::Line(_) | Place::LineField(..) => self,
        }
    }
}

impl From<Fault> for BadRecord {
    fn from(fault: Fault) -> Self {
        let problem = fault.problem;
        let detail = match fault.place {
            Place::Byte(byte) => format!("byte {byte}: {problem}"),
            Place::Field(field) => format!("{field} {problem}"),
            Place::Line(line) => format!("items[{line}] {problem}"),
            Place::LineField(line, field) => format!("items[{line}].{field} {problem}"),
        };
        Self { reason: fault.reason, detail }
    }
}

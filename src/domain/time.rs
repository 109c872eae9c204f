//! Owns event time: milliseconds since the epoch, the minute it falls in, and their spelling in RFC 3339.

use std::fmt;

use thiserror::Error;

/// An instant of event time, in whole milliseconds since 1970-01-01T00:00:00Z, in the years 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventTime(i64);

/// A minute of event time, counted from 1970-01-01T00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Minute(pub i64);

/// Why a text is no event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TimeError {
    /// It does not parse.
    #[error("is no RFC 3339 timestamp")]
    Malformed,
    /// It names second 60.
    #[error("has second 60")]
    LeapSecond,
    /// It is a time outside 1970 to 9999.
    #[error("lies outside the years 1970 to 9999")]
    OutOfRange,
}

impl EventTime {
    /// The instant that many milliseconds after the epoch; `None` outside the years 1970 to 9999.
    #[must_use]
    pub fn from_millis(_millis: i64) -> Option<Self> {
        todo!("domain helper")
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339 with 0 to 9 decimals (what is finer than a millisecond is cut off); without a zone it is UTC.
    ///
    /// # Errors
    ///
    /// When it does not parse, names second 60, or lies outside the years 1970 to 9999.
    pub fn parse(_text: &str) -> Result<Self, TimeError> {
        todo!("domain helper")
    }

    /// The minute this instant falls in.
    #[must_use]
    pub const fn minute(self) -> Minute {
        Minute(self.0.div_euclid(60_000))
    }

    /// Appends `YYYY-MM-DDTHH:mm:ss.SSSZ`.
    pub fn write(self, _out: &mut Vec<u8>) {
        todo!("domain helper")
    }
}

impl fmt::Display for EventTime {
    /// `YYYY-MM-DDTHH:mm:ss.SSSZ`
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!("domain helper")
    }
}

impl fmt::Display for Minute {
    /// `YYYY-MM-DDTHH:mmZ`
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!("domain helper")
    }
}

//! A position record as an audit finds it: whether this version can read it, and has written it.

use super::log_record::LogRecord;
use crate::state::Position;

/// The last position record of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionRecord {
    /// Its offset.
    pub offset: i64,
    position: Option<Position>,
    /// What is wrong with it.
    problem: Option<String>,
}

impl PositionRecord {
    /// Reads a record; `None` if it deletes the position.
    #[must_use]
    pub fn read(record: &LogRecord<'_>) -> Option<Self> {
        let value = record.value?;
        let (position, problem) = match Position::decode(value) {
            // A field with an altered name would be taken for one that is absent.
            Ok(position) if position.encode() != value => {
                (Some(position), Some("is not as this version writes it".to_owned()))
            }
            Ok(position) => (Some(position), None),
            Err(error) => (None, Some(format!("cannot be read: {error}"))),
        };
        Some(Self { offset: record.offset, position, problem })
    }

    /// The position, if it can be read.
    #[must_use]
    pub const fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// What is wrong with the record, as the end of a sentence about it.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &[u8]) -> Option<PositionRecord> {
        PositionRecord::read(&LogRecord { offset: 7, timestamp: None, key: None, value: Some(value) })
    }

    #[test]
    fn a_position_with_an_altered_name_is_not_as_it_was_written() {
        let written = r#"{"next_offset":12,"log_start":3,"topic_id":"AAAAAAAAAAAAAAAAAAAABw","group":"g","counts":{"records":9},"holds":{"items":4},"digest":"00000000000000000000000000000abc"}"#;
        let record = read(written.as_bytes()).expect("a value");
        assert_eq!((record.offset, record.problem()), (7, None));
        assert_eq!(record.position().map(|position| position.next_offset), Some(12));
        for (from, to) in
            [("topic_id", "topic_ie"), ("counts", "countt"), ("holds", "holdt"), ("digest", "digesu"), ("abc", "aBc")]
        {
            let record = read(written.replace(from, to).as_bytes()).expect("a value");
            assert_eq!(record.problem(), Some("is not as this version writes it"), "{from}");
            assert!(record.position().is_some(), "{from}");
        }
        for (from, to) in [("group", "grouq"), (":12,", ":1.2,"), ("{", "")] {
            let record = read(written.replace(from, to).as_bytes()).expect("a value");
            assert!(record.problem().is_some_and(|problem| problem.starts_with("cannot be read: ")), "{from}");
            assert_eq!(record.position(), None, "{from}");
        }
        assert_eq!(PositionRecord::read(&LogRecord { offset: 7, timestamp: None, key: None, value: None }), None);
    }
}

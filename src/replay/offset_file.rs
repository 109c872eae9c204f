//! Offset files, the CSV format that `kafka-consumer-groups` writes with `--export` and reads with `--from-file`.
//!
//! A row is `topic,partition,offset`, or `group,topic,partition,offset` in a file of several groups (`--all-groups`).
//! The files have no header line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use csv::{ByteRecord, ReaderBuilder};
use thiserror::Error;

use super::{PlanNote, PlanRow};
use crate::units::counted;

/// The most groups that an error message lists.
const MAX_LISTED_GROUPS: usize = 10;

/// The offsets of one group, from a file: one row per partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetFile {
    name: String,
    rows: BTreeMap<(String, i32), OffsetRow>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct OffsetRow {
    line: u64,
    offset: i64,
}

/// A row that cannot be used, with its line. Text from the file is escaped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}:{line}: {problem}")]
pub struct RowError {
    /// The file's name.
    pub file: String,
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: RowProblem,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RowProblem {
    /// The file has no rows.
    #[error("the file has no rows")]
    Empty,
    /// Neither of the two formats.
    #[error("expected `topic,partition,offset` or `group,topic,partition,offset`, found {}", counted(*found as u64, "column"))]
    Columns {
        /// Columns of the row.
        found: usize,
    },
    /// The earlier rows have another number of columns.
    #[error("the row has {}, but the first row has {first}", counted(*found as u64, "column"))]
    ColumnsDiffer {
        /// Columns of the row.
        found: usize,
        /// Columns of the first row.
        first: usize,
    },
    /// Not UTF-8.
    #[error("the row is not UTF-8")]
    Encoding,
    /// The partition is not a number.
    #[error("the partition `{0}` is not a number")]
    Partition(String),
    /// The offset is not a number.
    #[error("the offset `{0}` is not an integer of 0 or more")]
    Offset(String),
    /// A partition occurs twice.
    #[error("{topic}/{partition} is already in line {line}")]
    Duplicate {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The line of its first occurrence.
        line: u64,
    },
    /// Every row belongs to another group.
    #[error("no row belongs to the group {group}: the file has rows of {found}")]
    OtherGroups {
        /// The groups of the rows.
        found: String,
        /// The group that is replayed.
        group: String,
    },
    /// The topic is not a source of the metrics.
    #[error("analytics does not read the topic `{topic}`, only {sources}")]
    Topic {
        /// The topic of the row.
        topic: String,
        /// The source topics.
        sources: String,
    },
    /// The topic does not have the partition.
    #[error("{topic} has no partition {partition}: {}", partitions_up_to(*last))]
    NoPartition {
        /// The topic.
        topic: String,
        /// The partition of the row.
        partition: i32,
        /// The topic's last partition.
        last: i32,
    },
}

impl OffsetFile {
    /// Reads the rows of a group; `name` is the file's name in messages.
    ///
    /// Ignores rows of other groups, empty lines, CRLF line breaks, blanks around a field and a byte order mark.
    ///
    /// # Errors
    ///
    /// With the first line that has neither of the two formats, has no number where one is required, or repeats a
    /// partition; and when all rows belong to other groups.
    pub fn parse(name: &str, content: &[u8], group: &str) -> Result<Self, RowError> {
        let refuse = |line, problem| RowError { file: name.to_owned(), line, problem };
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(content);
        let mut rows: BTreeMap<(String, i32), OffsetRow> = BTreeMap::new();
        let (mut columns, mut record, mut others) = (None, ByteRecord::new(), BTreeSet::new());
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                // Unreachable: reading from a byte slice does not fail.
                Err(_) => return Err(refuse(reader.position().line(), RowProblem::Encoding)),
            }
            record.trim();
            if record.len() == 1 && record[0].is_empty() {
                continue;
            }
            let line = record.position().map_or(0, |position| line_of(content, position));
            let (of, topic, partition, row) =
                row(&record, line, *columns.get_or_insert(record.len())).map_err(|problem| refuse(line, problem))?;
            if let Some(other) = of.filter(|of| of != group) {
                others.insert(other.escape_debug().to_string());
                continue;
            }
            if let Some(first) = rows.get(&(topic.clone(), partition)) {
                let topic = topic.escape_debug().to_string();
                return Err(refuse(line, RowProblem::Duplicate { topic, partition, line: first.line }));
            }
            rows.insert((topic, partition), row);
        }
        if rows.is_empty() {
            let named: Vec<&str> = others.iter().take(MAX_LISTED_GROUPS).map(String::as_str).collect();
            let more = if others.len() > MAX_LISTED_GROUPS { ", …" } else { "" };
            let found = format!("{}{more}", named.join(", "));
            let others = RowProblem::OtherGroups { found, group: group.to_owned() };
            return Err(refuse(1, if named.is_empty() { RowProblem::Empty } else { others }));
        }
        Ok(Self { name: name.to_owned(), rows })
    }

    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The offset of a partition, if the file has a row for it.
    #[must_use]
    pub fn offset(&self, topic: &str, partition: i32) -> Option<i64> {
        // Allocates for the key, but a replay calls this only once per partition.
        self.rows.get(&(topic.to_owned(), partition)).map(|row| row.offset)
    }

    /// Checks that every row names a partition of one of these topics, which have `partitions` partitions each.
    ///
    /// # Errors
    ///
    /// With the first line that does not.
    pub fn check(&self, sources: &[String], partitions: i32) -> Result<(), RowError> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|(_, row)| row.line);
        for ((topic, partition), row) in rows {
            let problem = if !sources.contains(topic) {
                RowProblem::Topic { topic: topic.escape_debug().to_string(), sources: sources.join(" and ") }
            } else if !(0..partitions).contains(partition) {
                RowProblem::NoPartition { topic: topic.clone(), partition: *partition, last: partitions - 1 }
            } else {
                continue;
            };
            return Err(RowError { file: self.name.clone(), line: row.line, problem });
        }
        Ok(())
    }
}

/// The partitions of a topic, by its last one.
fn partitions_up_to(last: i32) -> String {
    if last == 0 { "its only partition is 0".to_owned() } else { format!("its partitions are 0 to {last}") }
}

/// The line of a record. The reader's position is before the line breaks that it skips.
fn line_of(content: &[u8], position: &csv::Position) -> u64 {
    let rest = usize::try_from(position.byte()).ok().and_then(|byte| content.get(byte..)).unwrap_or_default();
    let skipped = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + skipped.filter(|byte| **byte == b'\n').count() as u64
}

/// Parses a row: its group if present, topic, partition, and the rest.
fn row(record: &ByteRecord, line: u64, first: usize) -> Result<(Option<String>, String, i32, OffsetRow), RowProblem> {
    let found = record.len();
    if found != first {
        return Err(RowProblem::ColumnsDiffer { found, first });
    }
    let fields: Vec<&str> =
        record.iter().map(std::str::from_utf8).collect::<Result<_, _>>().map_err(|_| RowProblem::Encoding)?;
    let (group, topic, partition, offset) = match fields[..] {
        [topic, partition, offset] => (None, topic, partition, offset),
        [group, topic, partition, offset] => (Some(group.to_owned()), topic, partition, offset),
        _ => return Err(RowProblem::Columns { found }),
    };
    let number = partition.parse().map_err(|_| RowProblem::Partition(partition.escape_debug().to_string()))?;
    let offset = offset
        .parse()
        .ok()
        .filter(|offset| *offset >= 0)
        .ok_or_else(|| RowProblem::Offset(offset.escape_debug().to_string()))?;
    Ok((group, topic.to_owned(), number, OffsetRow { line, offset }))
}

/// A plan in the format of `kafka-consumer-groups --reset-offsets --from-file`: the selected partitions that have an
/// offset, in the order of the plan.
#[must_use]
pub fn export_csv(plan: &[PlanRow]) -> String {
    let selected = plan.iter().filter(|row| row.from.is_some() && row.note != Some(PlanNote::Stays));
    selected.fold(String::new(), |mut out, row| {
        // Topic names need no quotes, and writing to a string cannot fail.
        writeln!(out, "{},{},{}", row.topic, row.partition, row.to).unwrap_or_default();
        out
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::replay::{PartitionFacts, PartitionTarget};

    fn parse(text: &str) -> Result<OffsetFile, RowError> {
        OffsetFile::parse("plan.csv", text.as_bytes(), "g")
    }

    fn error(text: &str) -> String {
        parse(text).expect_err(text).to_string()
    }

    #[test]
    fn reads_both_formats() {
        let three = parse("order-events,0,5\n\"inventory-events\",11,9000000000\n").expect("parses");
        assert_eq!(three.offset("order-events", 0), Some(5));
        assert_eq!(three.offset("inventory-events", 11), Some(9_000_000_000));
        assert_eq!(three.offset("inventory-events", 1), None);
        let four = parse("g,order-events,0,5\r\n\r\ng, order-events , 1 ,6").expect("parses");
        assert_eq!(four.offset("order-events", 1), Some(6));
        let sources = ["order-events".to_owned()];
        assert_eq!(four.check(&sources, 2), Ok(()));
        assert_eq!(parse("\u{feff}order-events,0,5\n").expect("parses").offset("order-events", 0), Some(5));
    }

    #[test]
    fn errors_name_the_line() {
        let cases = [
            ("", "plan.csv:1: the file has no rows"),
            ("\n\n", "plan.csv:1: the file has no rows"),
            (
                "a,0\n",
                "plan.csv:1: expected `topic,partition,offset` or `group,topic,partition,offset`, found 2 columns",
            ),
            ("a,0,1\n\ng,a,1,1\n", "plan.csv:3: the row has 4 columns, but the first row has 3"),
            ("\r\na,0,1\r\na,1,1\r\n\r\na,0,1\r\n", "plan.csv:5: a/0 is already in line 2"),
            ("topic,partition,offset\na,0,1\n", "plan.csv:1: the partition `partition` is not a number"),
            ("a,0,1\na,1,many\n", "plan.csv:2: the offset `many` is not an integer of 0 or more"),
            ("a,0,-1\n", "plan.csv:1: the offset `-1` is not an integer of 0 or more"),
            (
                "a,0,99999999999999999999\n",
                "plan.csv:1: the offset `99999999999999999999` is not an integer of 0 or more",
            ),
            ("a,0,1\nb,0,1\na,0,2\n", "plan.csv:3: a/0 is already in line 1"),
            ("a,0,\u{1b}[2J\n", "plan.csv:1: the offset `\\u{1b}[2J` is not an integer of 0 or more"),
        ];
        for (text, message) in cases {
            assert_eq!(error(text), message, "{text:?}");
        }
        let error = OffsetFile::parse("plan.csv", b"a,0,1\n\xff,0,1\n", "g").expect_err("not UTF-8");
        assert_eq!(error.to_string(), "plan.csv:2: the row is not UTF-8");
    }

    #[test]
    fn rows_outside_the_sources_are_errors() {
        let sources = ["b".to_owned(), "a".to_owned()];
        let check = |text: &str| parse(text).expect("parses").check(&sources, 3).expect_err(text).to_string();
        // The first line is reported, not the first topic.
        assert_eq!(check("z,0,1\nc,0,1\n"), "plan.csv:1: analytics does not read the topic `z`, only b and a");
        assert_eq!(check("a,2,1\na,3,1\n"), "plan.csv:2: a has no partition 3: its partitions are 0 to 2");
        assert_eq!(check("a,-1,1\n"), "plan.csv:1: a has no partition -1: its partitions are 0 to 2");
        let single = parse("a,1,1\n").expect("parses").check(&sources, 1).expect_err("no partition 1").to_string();
        assert_eq!(single, "plan.csv:1: a has no partition 1: its only partition is 0");
    }

    #[test]
    fn rows_of_other_groups_are_ignored() {
        let all = parse("g,a,0,1\n\"h\",a,0,7\ng,a,1,2\nh,a,0,8\nh,elsewhere,9,9\n").expect("parses");
        assert_eq!((all.offset("a", 0), all.offset("a", 1), all.offset("elsewhere", 9)), (Some(1), Some(2), None));
        assert_eq!(all.check(&["a".to_owned()], 2), Ok(()), "rows of other groups are not checked");
        assert_eq!(error("g,a,0,1\nh,a,0,1\ng,a,0,2\n"), "plan.csv:3: a/0 is already in line 1");
        assert_eq!(error("h,a,0,many\n"), "plan.csv:1: the offset `many` is not an integer of 0 or more");
        assert_eq!(
            error("h,a,0,1\ni\u{1b},a,0,1\n"),
            "plan.csv:1: no row belongs to the group g: the file has rows of h, i\\u{1b}"
        );
    }

    #[test]
    fn export_has_only_partitions_that_can_move() {
        let row = |partition, committed, target| {
            PlanRow::new(
                target,
                &PartitionFacts { topic: "a".into(), partition, log_start: 2, high_watermark: 9, committed },
            )
        };
        let plan = [
            row(0, Some(9), PartitionTarget::Offset(1)),
            row(1, None, PartitionTarget::Offset(4)),
            row(2, Some(9), PartitionTarget::Stay),
            row(3, Some(9), PartitionTarget::Since(None)),
        ];
        assert_eq!(export_csv(&plan), "a,0,2\na,3,9\n");
    }

    proptest! {
        /// What is export_csv is read back as the same plan.
        #[test]
        fn an_export_survives_being_read(offsets in prop::collection::vec(0i64..100, 1..8)) {
            let facts = |partition| PartitionFacts {
                topic: "order-events".into(), partition, log_start: 0, high_watermark: 100, committed: Some(100),
            };
            let plan: Vec<PlanRow> =
                (0..).zip(&offsets).map(|(partition, offset)| PlanRow::new(PartitionTarget::Offset(*offset), &facts(partition))).collect();
            let file = parse(&export_csv(&plan)).expect("parses");
            for row in &plan {
                prop_assert_eq!(file.offset(&row.topic, row.partition), Some(row.to));
            }
        }

        #[test]
        fn parsing_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            drop(OffsetFile::parse("any.csv", &bytes, "g"));
        }
    }
}

//! Owns the files of offsets that `kafka-consumer-groups` writes with `--export` and reads with `--from-file`.
//!
//! A row is `topic,partition,offset`, or `group,topic,partition,offset` where several groups share a file, as `--all-groups` writes
//! it; no header.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use csv::{ByteRecord, ReaderBuilder};
use thiserror::Error;

use super::{PlanNote, PlanRow};

/// Groups that a refusal names, at most.
const NAMED: usize = 10;

/// The rows of a file that are of one group, one a partition.
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

/// A row that cannot be taken, with its line. Texts from the file are escaped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}:{line}: {problem}")]
pub struct RowError {
    /// The file's name.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: RowProblem,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RowProblem {
    /// There is no row at all.
    #[error("the file has no row")]
    Empty,
    /// Neither of the two forms.
    #[error("{found} columns, where `topic,partition,offset` or `group,topic,partition,offset` is wanted")]
    Columns {
        /// Columns of the row.
        found: usize,
    },
    /// The rows before had another form.
    #[error("{found} columns, and the first row has {first}")]
    ColumnsDiffer {
        /// Columns of the row.
        found: usize,
        /// Columns of the first row.
        first: usize,
    },
    /// Not UTF-8.
    #[error("the row is not UTF-8")]
    Encoding,
    /// The partition is no number.
    #[error("the partition `{0}` is no number")]
    Partition(String),
    /// The offset is no number.
    #[error("the offset `{0}` is no number from 0 on")]
    Offset(String),
    /// A partition twice.
    #[error("{topic}/{partition} stands in line {line} already")]
    Duplicate {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The line that names it first.
        line: u64,
    },
    /// Every row is of another group.
    #[error("no row is of the group {group}: the file has rows of {found}")]
    OtherGroups {
        /// The groups of the rows.
        found: String,
        /// The group that is replayed.
        group: String,
    },
    /// A topic that is no source of the metrics.
    #[error("the topic `{topic}` is not read by analytics: {sources} are")]
    Topic {
        /// The topic of the row.
        topic: String,
        /// The topics that are.
        sources: String,
    },
    /// A partition that the topic does not have.
    #[error("{topic} has no partition {partition}: its partitions are 0 to {last}")]
    NoPartition {
        /// The topic.
        topic: String,
        /// The partition of the row.
        partition: i32,
        /// The last partition that it has.
        last: i32,
    },
}

impl OffsetFile {
    /// Reads the rows of a file that are of this group; `name` is what it is called in messages.
    ///
    /// Rows of other groups are passed over. Blank lines, line ends of Windows, blanks around a field and a byte order mark are passed over.
    ///
    /// # Errors
    ///
    /// With the first line that is neither of the two forms, holds no numbers where they are wanted, or names a partition
    /// again; and where all rows are of other groups.
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
                // Only a reader that fails ends here, and bytes do not.
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
            let named: Vec<&str> = others.iter().take(NAMED).map(String::as_str).collect();
            let more = if others.len() > NAMED { ", …" } else { "" };
            let found = format!("{}{more}", named.join(", "));
            let others = RowProblem::OtherGroups { found, group: group.to_owned() };
            return Err(refuse(1, if named.is_empty() { RowProblem::Empty } else { others }));
        }
        Ok(Self { name: name.to_owned(), rows })
    }

    /// What the file is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The offset of a partition, if the file has a row for it.
    #[must_use]
    pub fn offset(&self, topic: &str, partition: i32) -> Option<i64> {
        // A tuple of borrowed parts is no key of this map, and a replay asks once per partition.
        self.rows.get(&(topic.to_owned(), partition)).map(|row| row.offset)
    }

    /// Requires that every row is of one of these topics, which have that many partitions each.
    ///
    /// # Errors
    ///
    /// With the first line that is not.
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

/// The line that a record stands in: the reader's own is that of the line ends before it, which it has yet to skip.
fn line_of(content: &[u8], position: &csv::Position) -> u64 {
    let rest = usize::try_from(position.byte()).ok().and_then(|byte| content.get(byte..)).unwrap_or_default();
    let skipped = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + skipped.filter(|byte| **byte == b'\n').count() as u64
}

/// One row: its group if it names one, topic, partition and the rest.
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

/// A plan as `kafka-consumer-groups --reset-offsets --from-file` reads it: the partitions that are asked to move and have
/// an offset to move from, in the order of the plan.
#[must_use]
pub fn export_csv(plan: &[PlanRow]) -> String {
    let asked = plan.iter().filter(|row| row.from.is_some() && row.note != Some(PlanNote::Stays));
    asked.fold(String::new(), |mut out, row| {
        // The characters of a topic's name need no quotes, and a string takes every text.
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

    fn refused(text: &str) -> String {
        parse(text).expect_err(text).to_string()
    }

    #[test]
    fn both_of_kafkas_forms_are_read() {
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
    fn what_is_wrong_is_told_with_its_line() {
        let cases = [
            ("", "plan.csv:1: the file has no row"),
            ("\n\n", "plan.csv:1: the file has no row"),
            (
                "a,0\n",
                "plan.csv:1: 2 columns, where `topic,partition,offset` or `group,topic,partition,offset` is wanted",
            ),
            ("a,0,1\n\ng,a,1,1\n", "plan.csv:3: 4 columns, and the first row has 3"),
            ("\r\na,0,1\r\na,1,1\r\n\r\na,0,1\r\n", "plan.csv:5: a/0 stands in line 2 already"),
            ("topic,partition,offset\na,0,1\n", "plan.csv:1: the partition `partition` is no number"),
            ("a,0,1\na,1,many\n", "plan.csv:2: the offset `many` is no number from 0 on"),
            ("a,0,-1\n", "plan.csv:1: the offset `-1` is no number from 0 on"),
            ("a,0,99999999999999999999\n", "plan.csv:1: the offset `99999999999999999999` is no number from 0 on"),
            ("a,0,1\nb,0,1\na,0,2\n", "plan.csv:3: a/0 stands in line 1 already"),
            ("a,0,\u{1b}[2J\n", "plan.csv:1: the offset `\\u{1b}[2J` is no number from 0 on"),
        ];
        for (text, told) in cases {
            assert_eq!(refused(text), told, "{text:?}");
        }
        let error = OffsetFile::parse("plan.csv", b"a,0,1\n\xff,0,1\n", "g").expect_err("not UTF-8");
        assert_eq!(error.to_string(), "plan.csv:2: the row is not UTF-8");
    }

    #[test]
    fn rows_of_others_are_told_with_their_line() {
        let sources = ["b".to_owned(), "a".to_owned()];
        let check = |text: &str| parse(text).expect("parses").check(&sources, 3).expect_err(text).to_string();
        // In the order of the lines, whatever that of the topics is.
        assert_eq!(check("z,0,1\nc,0,1\n"), "plan.csv:1: the topic `z` is not read by analytics: b and a are");
        assert_eq!(check("a,2,1\na,3,1\n"), "plan.csv:2: a has no partition 3: its partitions are 0 to 2");
        assert_eq!(check("a,-1,1\n"), "plan.csv:1: a has no partition -1: its partitions are 0 to 2");
    }

    #[test]
    fn of_a_file_of_several_groups_the_rows_of_one_are_taken() {
        let all = parse("g,a,0,1\n\"h\",a,0,7\ng,a,1,2\nh,a,0,8\nh,elsewhere,9,9\n").expect("parses");
        assert_eq!((all.offset("a", 0), all.offset("a", 1), all.offset("elsewhere", 9)), (Some(1), Some(2), None));
        assert_eq!(all.check(&["a".to_owned()], 2), Ok(()), "rows of others are none of its business");
        assert_eq!(refused("g,a,0,1\nh,a,0,1\ng,a,0,2\n"), "plan.csv:3: a/0 stands in line 1 already");
        assert_eq!(refused("h,a,0,many\n"), "plan.csv:1: the offset `many` is no number from 0 on");
        assert_eq!(
            refused("h,a,0,1\ni\u{1b},a,0,1\n"),
            "plan.csv:1: no row is of the group g: the file has rows of h, i\\u{1b}"
        );
    }

    #[test]
    fn a_plan_is_exported_without_what_stays_and_what_has_no_offset() {
        let row = |partition, committed, aim| {
            PlanRow::new(
                aim,
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
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            drop(OffsetFile::parse("any.csv", &bytes, "g"));
        }
    }
}

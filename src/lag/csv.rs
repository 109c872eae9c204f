//! Lag as CSV: a row per partition and sample. No cell can be read as a formula by a spreadsheet.

use super::document::time;
use super::sample::GroupSample;
use super::{GroupLag, PartitionLag};
use crate::printable::printable;

const COLUMNS: [&str; 19] = [
    "at",
    "group",
    "state",
    "isolation",
    "topic",
    "partition",
    "committed",
    "log_start",
    "end",
    "last_stable_offset",
    "high_watermark",
    "messages",
    "seconds",
    "lost",
    "beyond_end",
    "owner",
    "instance_id",
    "client_id",
    "host",
];

/// The header line, with its line break.
#[must_use]
pub fn csv_heading() -> String {
    lines([COLUMNS.map(str::to_owned)])
}

/// A line per partition. A group without partitions has no lines, and an unknown value is an empty cell.
#[must_use]
pub fn csv_rows(sample: &GroupSample) -> String {
    let GroupLag { group, state, isolation, partitions, .. } = GroupLag::of(sample, None);
    let at = time(sample.at_millis);
    lines(partitions.into_iter().map(|row| {
        let PartitionLag { topic, partition, committed, log_start, end, last_stable_offset, high_watermark, .. } = row;
        [
            at.clone(),
            text(&group),
            text(&state),
            isolation.name().to_owned(),
            text(&topic),
            partition.to_string(),
            number(committed),
            number(log_start),
            number(end),
            number(last_stable_offset),
            number(high_watermark),
            number(row.messages),
            row.seconds.map_or_else(String::new, |seconds| format!("{seconds:.3}")),
            number(row.lost),
            row.beyond_end.to_string(),
            text(row.owner.as_deref().unwrap_or_default()),
            text(row.instance_id.as_deref().unwrap_or_default()),
            text(row.client_id.as_deref().unwrap_or_default()),
            text(row.host.as_deref().unwrap_or_default()),
        ]
    }))
}

fn number(value: Option<i64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Names come from the cluster: a name that looks like a formula gets an apostrophe, and terminal control characters
/// are escaped.
fn text(name: &str) -> String {
    let shown = printable(name);
    if name.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{shown}") } else { shown.into_owned() }
}

fn lines(rows: impl IntoIterator<Item = [String; COLUMNS.len()]>) -> String {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    for row in rows {
        // Cannot fail: writes go to a vector, and all rows have the same length.
        writer.write_record(&row).unwrap_or_default();
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::sample_tests::{group, partition};
    use crate::lag::{NextRecord, PartitionSample};

    #[test]
    fn writes_a_line_per_partition() {
        let seen = group(
            10_000,
            vec![
                partition(Some(3), 5, 9, NextRecord::Timestamp(8_500)),
                PartitionSample { partition: 1, ..partition(None, 0, 9, NextRecord::Unknown) },
                PartitionSample { partition: 2, ..partition(Some(12), 0, 9, NextRecord::Unknown) },
            ],
        );
        insta::assert_snapshot!(csv_heading() + &csv_rows(&seen), @r"
        at,group,state,isolation,topic,partition,committed,log_start,end,last_stable_offset,high_watermark,messages,seconds,lost,beyond_end,owner,instance_id,client_id,host
        1970-01-01T00:00:10.000Z,readers,Empty,read_committed,orders,0,3,5,9,9,9,6,1.500,2,false,,,,
        1970-01-01T00:00:10.000Z,readers,Empty,read_committed,orders,1,,0,9,9,9,,,,false,,,,
        1970-01-01T00:00:10.000Z,readers,Empty,read_committed,orders,2,12,0,9,9,9,,,0,true,,,,
        ");
        assert_eq!(csv_rows(&group(0, vec![])), "");
    }

    #[test]
    fn names_become_single_cells_without_formulas() {
        for (name, cell) in [
            ("=HYPERLINK(\"http://x\",\"y\")", "'=HYPERLINK(\"http://x\",\"y\")"),
            ("-1+1", "'-1+1"),
            ("@a", "'@a"),
            ("a,b\"c", "a,b\"c"),
            ("a\nb\u{1b}[2J", "a\\nb\\u{1b}[2J"),
        ] {
            let mut seen = group(0, vec![partition(Some(0), 0, 0, NextRecord::Unknown)]);
            name.clone_into(&mut seen.group);
            let rows = csv_rows(&seen);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(rows.as_bytes());
            let records: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("CSV");
            assert_eq!(records.len(), 1);
            assert_eq!(records[0].len(), COLUMNS.len());
            assert_eq!(&records[0][1], cell);
        }
    }
}

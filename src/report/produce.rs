//! Text report of `produce`: the rate, the offsets per partition, and the acknowledged records last.

use std::fmt::{self, Write};

use super::text_table::{Align, TextTable, whole};
use super::{Detail, write_tables_in_files};
use crate::units::{counted, grouped};
use crate::workload::{ProduceDocument, Shape};

/// The report of a run of `produce`. `files` have the whole document. With `follows_the_rate` the event time is that of
/// the rate, which is always flat.
#[must_use]
pub fn produce_report(document: &ProduceDocument, follows_the_rate: bool, detail: Detail, files: &[String]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_report(&mut out, document, follows_the_rate, detail, files).unwrap_or_default();
    out
}

fn write_report(
    out: &mut String,
    document: &ProduceDocument,
    follows_the_rate: bool,
    detail: Detail,
    files: &[String],
) -> fmt::Result {
    if detail == Detail::Full {
        write_partitions(out, document)?;
    }
    writeln!(out, "Seed: {}", document.seed)?;
    if document.shape != Shape::default() && !follows_the_rate {
        writeln!(out, "Shape: {}", document.shape)?;
    }
    if let (Some(first), Some(last)) = (document.first_timestamp, document.last_timestamp) {
        writeln!(out, "Event time: {first} to {last}")?;
    }
    writeln!(out, "Time: {:.3} s, {} orders/s", document.elapsed_seconds, whole(document.orders_per_second))?;
    if let (Some(p99), Some(max)) = (document.late_p99_ms, document.late_max_ms) {
        writeln!(out, "Delay behind schedule: 99th percentile {p99:.3} ms, maximum {max:.3} ms")?;
    }
    if detail == Detail::Summary && !document.partitions.is_empty() {
        let partitions = counted(document.partitions.len() as u64, "partition");
        write_tables_in_files(out, &format!("Records and offsets of {partitions}"), files)?;
    }
    if document.failed > 0 {
        writeln!(out, "Records failed: {}", grouped(document.failed))?;
    }
    writeln!(out, "Records acknowledged: {} of {}", grouped(document.acknowledged), grouped(document.produced))
}

fn write_partitions(out: &mut String, document: &ProduceDocument) -> fmt::Result {
    let columns = ["partition", "records", "first offset", "last offset"].map(|name| (name, Align::Right));
    let mut table = TextTable::new(columns);
    let offset = |offset: Option<i64>| offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
    for row in &document.partitions {
        table.row([row.partition.to_string(), grouped(row.records), offset(row.first_offset), offset(row.last_offset)]);
    }
    write!(out, "{table}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::EventTime;
    use crate::workload::{ProducedPartition, WorkloadSettings};

    #[test]
    fn reports_counts_rate_and_offsets() {
        let start = EventTime::from_millis(1_795_348_800_000).expect("in range");
        let settings = WorkloadSettings { shape: Shape::Flat, ..WorkloadSettings::with_defaults(7, start) };
        let mut document = ProduceDocument::of(&settings, 250, 250, Duration::from_millis(100));
        document.partitions = vec![
            ProducedPartition { partition: 0, records: 200, first_offset: Some(0), last_offset: Some(199) },
            ProducedPartition { partition: 4, records: 50, first_offset: Some(10), last_offset: Some(59) },
        ];
        insta::assert_snapshot!(produce_report(&document, false, Detail::Summary, &[]), @r"
        Seed: 7
        Shape: flat
        Event time: 2026-11-22T12:00:00.000Z to 2026-11-22T12:00:59.760Z
        Time: 0.100 s, 2,500 orders/s
        Records acknowledged: 250 of 250
        ");
        insta::assert_snapshot!(produce_report(&document, false, Detail::Full, &[]), @r"
          partition  records  first offset  last offset
                  0      200             0          199
                  4       50            10           59
        Seed: 7
        Shape: flat
        Event time: 2026-11-22T12:00:00.000Z to 2026-11-22T12:00:59.760Z
        Time: 0.100 s, 2,500 orders/s
        Records acknowledged: 250 of 250
        ");
        let text = produce_report(&document, false, Detail::Summary, &["report.json".to_owned()]);
        assert!(text.contains("Records and offsets of 2 partitions: report.json\n"), "{text}");
        let text = produce_report(&document, true, Detail::Summary, &[]);
        assert!(!text.contains("Shape: "), "{text}");
        document.failed = 1_000;
        let text = produce_report(&document, false, Detail::Summary, &[]);
        assert!(text.ends_with("Records failed: 1,000\nRecords acknowledged: 250 of 250\n"), "{text}");
    }
}

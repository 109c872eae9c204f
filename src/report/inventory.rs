//! Text report of `inventory`: the committed offsets, and the decisions last.

use std::fmt::{self, Write};

use super::text_table::{Align, TextTable, whole};
use super::{Detail, write_tables_in_files};
use crate::inventory::InventoryDocument;
use crate::units::{counted, grouped};

/// The report of a run of `inventory`. `files` have the whole document.
#[must_use]
pub fn inventory_report(document: &InventoryDocument, detail: Detail, files: &[String]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_report(&mut out, document, detail, files).unwrap_or_default();
    out
}

fn write_report(out: &mut String, document: &InventoryDocument, detail: Detail, files: &[String]) -> fmt::Result {
    if detail == Detail::Full {
        let mut table = TextTable::new(["partition", "committed offset"].map(|name| (name, Align::Right)));
        for row in &document.committed {
            table.row([row.partition.to_string(), row.offset.to_string()]);
        }
        write!(out, "{table}")?;
    }
    writeln!(out, "Dead letters: {}, skipped records: {}", grouped(document.dead_letters), grouped(document.skipped))?;
    writeln!(
        out,
        "Transactions: {} committed, {} aborted; {} restored",
        grouped(document.transactions_committed),
        grouped(document.transactions_aborted),
        counted(document.restored_records, "ledger record")
    )?;
    writeln!(out, "Time: {:.3} s, {} orders/s", document.elapsed_seconds, whole(document.orders_per_second))?;
    match document.committed.len() as u64 {
        0 => writeln!(out, "Committed offsets: none")?,
        count if detail == Detail::Summary => {
            let committed = format!("Committed offsets of {}", counted(count, "partition"));
            write_tables_in_files(out, &committed, files)?;
        }
        _ => {}
    }
    writeln!(
        out,
        "Orders decided: {}: reserved {}, rejected {}, released {}",
        grouped(document.orders),
        grouped(document.reserved),
        grouped(document.rejected),
        grouped(document.released)
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::inventory::{CommittedOffset, DecisionCounts};

    #[test]
    fn reports_decisions_and_offsets() {
        let counts = DecisionCounts { orders: 10, reserved: 8, rejected: 1, released: 1 };
        let mut document = InventoryDocument::of(counts, Duration::from_millis(500));
        document.transactions_committed = 3;
        document.committed =
            vec![CommittedOffset { partition: 0, offset: 7 }, CommittedOffset { partition: 1, offset: 3 }];
        insta::assert_snapshot!(inventory_report(&document, Detail::Summary, &[]), @r"
        Dead letters: 0, skipped records: 0
        Transactions: 3 committed, 0 aborted; 0 ledger records restored
        Time: 0.500 s, 20 orders/s
        Orders decided: 10: reserved 8, rejected 1, released 1
        ");
        insta::assert_snapshot!(inventory_report(&document, Detail::Full, &[]), @r"
          partition  committed offset
                  0                 7
                  1                 3
        Dead letters: 0, skipped records: 0
        Transactions: 3 committed, 0 aborted; 0 ledger records restored
        Time: 0.500 s, 20 orders/s
        Orders decided: 10: reserved 8, rejected 1, released 1
        ");
        let text = inventory_report(&document, Detail::Summary, &["report.json".to_owned()]);
        assert!(text.contains("Committed offsets of 2 partitions: report.json\n"), "{text}");
        document.committed.clear();
        let text = inventory_report(&document, Detail::Summary, &[]);
        assert!(text.contains("Committed offsets: none\nOrders decided: 10"), "{text}");
    }
}

//! Text report of `inventory`: the decisions and the committed offsets.

use std::fmt::{self, Write};

use super::text_table::whole;
use crate::inventory::InventoryDocument;
use crate::units::{counted, grouped};

/// The report of a run of `inventory`.
#[must_use]
pub fn inventory_report(document: &InventoryDocument) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_report(&mut out, document).unwrap_or_default();
    out
}

fn write_report(out: &mut String, document: &InventoryDocument) -> fmt::Result {
    writeln!(out, "Orders decided: {}", grouped(document.orders))?;
    writeln!(
        out,
        "  reserved {}, rejected {}, released {}",
        grouped(document.reserved),
        grouped(document.rejected),
        grouped(document.released)
    )?;
    writeln!(out, "Dead letters: {}, skipped records: {}", grouped(document.dead_letters), grouped(document.skipped))?;
    writeln!(
        out,
        "Transactions: {} committed, {} aborted; {} restored",
        grouped(document.transactions_committed),
        grouped(document.transactions_aborted),
        counted(document.restored_records, "ledger record")
    )?;
    writeln!(out, "Time: {:.3} s, {} orders/s", document.elapsed_seconds, whole(document.orders_per_second))?;
    let committed: Vec<String> =
        document.committed.iter().map(|row| format!("{}:{}", row.partition, row.offset)).collect();
    writeln!(out, "Committed offsets: {}", if committed.is_empty() { "none".to_owned() } else { committed.join(" ") })
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
        insta::assert_snapshot!(inventory_report(&document), @r"
        Orders decided: 10
          reserved 8, rejected 1, released 1
        Dead letters: 0, skipped records: 0
        Transactions: 3 committed, 0 aborted; 0 ledger records restored
        Time: 0.500 s, 20 orders/s
        Committed offsets: 0:7 1:3
        ");
    }
}

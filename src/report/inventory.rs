//! Owns the text of an inventory run: what was decided, and where the group stands.

use std::fmt::{self, Write};

use crate::inventory::InventoryDocument;

/// What a run of `inventory` did.
#[must_use]
pub fn inventory_report(document: &InventoryDocument) -> String {
    let mut out = String::new();
    // A string takes every text.
    write_report(&mut out, document).unwrap_or_default();
    out
}

fn write_report(out: &mut String, document: &InventoryDocument) -> fmt::Result {
    writeln!(out, "Orders decided: {}", document.orders)?;
    writeln!(out, "  reserved {}, rejected {}, released {}", document.reserved, document.rejected, document.released)?;
    writeln!(out, "Dead letters: {}, skipped records: {}", document.dead_letters, document.skipped)?;
    writeln!(
        out,
        "Transactions: {} committed, {} aborted; {} ledger records restored",
        document.transactions_committed, document.transactions_aborted, document.restored_records
    )?;
    writeln!(out, "Time: {:.3} s, {:.0} orders/s", document.elapsed_seconds, document.orders_per_second)?;
    let committed: Vec<String> =
        document.committed.iter().map(|place| format!("{}:{}", place.partition, place.offset)).collect();
    writeln!(out, "Committed offsets: {}", if committed.is_empty() { "none".to_owned() } else { committed.join(" ") })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::inventory::{CommittedOffset, DecisionCounts};

    #[test]
    fn it_tells_what_was_decided_and_where_the_group_stands() {
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

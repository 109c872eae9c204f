//! Owns the promise that the defaults show something: with any seed a few orders in a hundred are rejected, as some
//! items sell out and most do not (contract, section 4, "Stock").

use foodstream::domain::{DecisionSource, EventTime, OrderRecord, Reason, decode_order};
use foodstream::inventory::{DecisionCounts, StockSettings, StockStore};
use foodstream::workload::{Buffers, DEFAULT_COUNT, Workload, WorkloadSettings};

const NOON: i64 = 1_795_348_800_000; // 2026-11-22T12:00:00Z

/// What `inventory` makes of a default workload.
#[derive(Debug, PartialEq)]
struct Outcome {
    counts: DecisionCounts,
    /// Items that some order found short.
    sold_out: usize,
    /// Items that some order named.
    named: usize,
}

fn play(seed: u64, count: u64, partitions: usize) -> Outcome {
    let start = EventTime::from_millis(NOON).expect("in range");
    let workload = Workload::new(WorkloadSettings::with_defaults(seed, start)).expect("valid");
    let mut floors: Vec<_> = (0..partitions).map(|_| StockStore::new(StockSettings::default())).collect();
    let mut short = std::collections::BTreeSet::new();
    let mut buffers = Buffers::new();
    for index in 0..count {
        let event = workload.event(index, &mut buffers);
        let Ok(OrderRecord::Order(order)) = decode_order(event.value) else { panic!("event {index} is no order") };
        let source = DecisionSource { partition: 0, offset: index.cast_signed() };
        floors[event.restaurant % partitions].decide(&order, source, &mut |decision| {
            if decision.reason == Some(Reason::OutOfStock) {
                short.insert((decision.restaurant_id.to_string(), decision.item_id.to_string()));
            }
        });
    }
    let mut named = 0;
    for floor in &floors {
        floor.changes(&mut |_, _| named += 1);
    }
    let counts = floors.iter().map(StockStore::counts).fold(DecisionCounts::default(), DecisionCounts::plus);
    Outcome { counts, sold_out: short.len(), named }
}

/// Seeds that lie near together and seeds that do not.
fn seeds() -> impl Iterator<Item = u64> {
    (0..24).chain((1..=40).map(|number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

#[test]
fn with_any_seed_a_few_orders_in_a_hundred_are_rejected() {
    let mut total = 0;
    for seed in seeds() {
        let Outcome { counts, sold_out, named } = play(seed, DEFAULT_COUNT.get(), 1);
        assert_eq!(counts.orders, 10_000);
        // The promise is 3 to 10 %; what is asked here leaves room for the seeds that are not tried.
        assert!((450..800).contains(&counts.rejected), "seed {seed}: {counts:?}");
        assert!((400..600).contains(&counts.released), "seed {seed}: {counts:?}");
        assert!(sold_out >= 10 && sold_out * 10 < named, "seed {seed}: {sold_out} of {named} items sold out");
        total += counts.rejected;
    }
    let mean = total / seeds().count() as u64;
    assert!((560..640).contains(&mean), "{mean} of 10,000 on average");
}

#[test]
fn the_number_of_partitions_changes_nothing() {
    let one = play(42, 10_000, 1);
    for partitions in [2, 6, 20] {
        assert_eq!(play(42, 10_000, partitions), one, "{partitions} partitions");
    }
}

/// Their event time fills whole hours with 15,000 orders instead of 10,000, so more is sold out at the end of each.
fn assert_goes_on_selling(count: u64) {
    let counts = play(7, count, 6).counts;
    assert!((count / 20..count / 4).contains(&counts.rejected), "{counts:?}");
}

#[test]
fn a_longer_run_is_topped_up_and_goes_on_selling() {
    assert_goes_on_selling(100_000);
}

#[test]
fn a_very_long_run_is_topped_up_and_goes_on_selling() {
    assert_goes_on_selling(1_000_000);
}

//! Seeded workload: the same seed gives the same records, byte for byte, on any machine and in any order.
//!
//! ```text
//! cargo run --example workload
//! ```
//!
//! The generator needs no Kafka. Each event is a function of the settings and its index, so that a test can compute
//! what a topic must contain, several producers can share the work, and a failed run can be repeated exactly.

#![allow(clippy::print_stdout, reason = "an example prints")]

use foodstream::domain::EventTime;
use foodstream::workload::{Buffers, Workload, WorkloadSettings};

const EVENTS: u64 = 10_000;

/// Prints some orders and compares whole workloads.
pub fn main() {
    let workload = workload(7);
    let mut buffers = Buffers::new();
    for index in 0..3 {
        let event = workload.event(index, &mut buffers);
        let value = event.value.expect("without poison every event has a value");
        println!("{}: {}", String::from_utf8_lossy(event.key), String::from_utf8_lossy(value));
    }

    // A workload is its settings: another instance with the same seed has the same bytes.
    let records = records(&workload, 0..EVENTS);
    assert_eq!(records, self::records(&self::workload(7), 0..EVENTS));

    // Events can be computed in any order, for example the second half first.
    let mut halves = self::records(&workload, EVENTS / 2..EVENTS);
    halves.splice(0..0, self::records(&workload, 0..EVENTS / 2));
    assert_eq!(records, halves);

    // Another seed gives other orders.
    assert_ne!(records, self::records(&self::workload(8), 0..EVENTS));

    // Poison and duplicates replace some events and leave the others as they are.
    let mut settings = *workload.settings();
    settings.poison_rate = "1%".parse().expect("a rate");
    settings.duplicate_rate = "2%".parse().expect("a rate");
    let hostile = self::records(&Workload::new(settings).expect("valid settings"), 0..EVENTS);
    let changed = records.iter().zip(&hostile).filter(|(plain, hostile)| plain != hostile).count();
    assert!((200..400).contains(&changed), "{changed}");
    println!("{EVENTS} events from seed 7; with 1% poison and 2% duplicates, {changed} of them differ");
}

/// The default workload with a seed: 20 restaurants, 40 items each, 5 % of the payments fail.
fn workload(seed: u64) -> Workload {
    let start = EventTime::parse("2026-01-01T12:00:00.000Z").expect("a time");
    Workload::new(WorkloadSettings::with_defaults(seed, start)).expect("valid settings")
}

/// Key and value of events. The buffers are reused, so the records are copied.
fn records(workload: &Workload, range: std::ops::Range<u64>) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut buffers = Buffers::new();
    range
        .map(|index| {
            let event = workload.event(index, &mut buffers);
            (event.key.to_vec(), event.value.map(<[u8]>::to_vec))
        })
        .collect()
}

//! Property tests of the workload with arbitrary settings, and snapshots of bytes that must not change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use proptest::prelude::*;

use super::{Buffers, Fraction, Shape, Workload, WorkloadError, WorkloadSettings};
use crate::domain::{Cents, EventTime, Order, OrderRecord, OrderStatus, decode_order};

const NOON: i64 = 1_795_348_800_000; // 2026-11-22T12:00:00Z

/// Key and value of a record.
type KeyValue = (Vec<u8>, Option<Vec<u8>>);

fn defaults(seed: u64) -> WorkloadSettings {
    WorkloadSettings::with_defaults(seed, EventTime::from_millis(NOON).expect("in range"))
}

fn workload(settings: WorkloadSettings) -> Workload {
    Workload::new(settings).expect("valid")
}

fn record(workload: &Workload, index: u64) -> KeyValue {
    let mut buffers = Buffers::new();
    let event = workload.event(index, &mut buffers);
    assert_eq!(workload.keys().nth(event.restaurant).map(str::as_bytes), Some(event.key));
    (event.key.to_vec(), event.value.map(<[u8]>::to_vec))
}

fn records(workload: &Workload, count: u64) -> Vec<KeyValue> {
    (0..count).map(|index| record(workload, index)).collect()
}

fn order(value: Option<&Vec<u8>>) -> Order<'_> {
    match decode_order(value.map(Vec::as_slice)) {
        Ok(OrderRecord::Order(order)) => order,
        other => panic!("no order: {other:?}"),
    }
}

fn ratio(count: usize, of: usize) -> f64 {
    f64::from(u32::try_from(count).expect("small")) / f64::from(u32::try_from(of).expect("small"))
}

fn any_settings() -> impl Strategy<Value = WorkloadSettings> {
    let share = || prop_oneof![Just(0u8), 0u8..=100, Just(100)].prop_map(Fraction::percent);
    let names = || prop_oneof![1u32..6, 1u32..200].prop_map(|count| count.try_into().expect("not zero"));
    let any_shape = prop_oneof![Just(Shape::Lunch), Just(Shape::Flat)];
    (any::<u64>(), share(), share(), share(), names(), names(), names(), any_shape).prop_map(
        |(seed, failure_rate, poison_rate, duplicate_rate, restaurants, items, users, shape)| WorkloadSettings {
            shape,
            failure_rate,
            poison_rate,
            duplicate_rate,
            restaurants,
            items,
            users,
            ..defaults(seed)
        },
    )
}

/// A seed in a bug report or a scenario determines these bytes: they must not change.
#[test]
fn the_bytes_of_a_seed_are_fixed() {
    let workload = workload(WorkloadSettings {
        poison_rate: Fraction::percent(10),
        duplicate_rate: Fraction::percent(10),
        shape: Shape::Flat,
        ..defaults(42)
    });
    let mut shown = String::new();
    // An order, a duplicate of event 1, poison, and the last event of a default run.
    for index in [0, 4, 39, 9_999] {
        let (key, value) = record(&workload, index);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let value = value.as_deref().map_or_else(|| "null".into(), text);
        writeln!(shown, "{index} {} {value}", text(&key)).expect("a string takes it");
    }
    insta::assert_snapshot!(shown, @r#"
    0 restaurant_01 {"event_type":"OrderPlaced","order_id":"1e875928-7c44-8ea7-acd9-e184032b525d","user_id":"user_485","restaurant_id":"restaurant_01","items":[{"item_id":"item_13","quantity":2,"price":18.95},{"item_id":"item_28","quantity":1,"price":17.35}],"total_amount":55.25,"status":"placed","timestamp":"2026-11-22T12:00:00.000Z"}
    4 restaurant_12 {"event_type":"OrderPlaced","order_id":"bf9f9bfd-69d3-8163-876f-42ecd46b8c9a","user_id":"user_941","restaurant_id":"restaurant_12","items":[{"item_id":"item_8","quantity":1,"price":14.90}],"total_amount":14.90,"status":"placed","timestamp":"2026-11-22T12:00:00.240Z"}
    39 restaurant_04 {"event_type":"OrderPlaced","order_id":"188ae0ed-b384-82cb-95fc-f4e32a28ee7a","user_id":"user_14","restaurant_id":"restaurant_04","items":[{"item_id":"item_33","quantity":0,"was":1,"price":16.95},{"item_id":"item_23","quantity":1,"price":8.15},{"item_id":"item_9","quantity":1,"price":7.45},{"item_id":"item_35","quantity":1,"price":7.15}],"total_amount":39.70,"status":"placed","timestamp":"2026-11-22T12:00:09.360Z"}
    9999 restaurant_06 {"event_type":"OrderPlaced","order_id":"35a0f4b8-d4c4-8749-8be8-8b3c9decb7f2","user_id":"user_178","restaurant_id":"restaurant_06","items":[{"item_id":"item_14","quantity":2,"price":8.15},{"item_id":"item_12","quantity":4,"price":15.25},{"item_id":"item_23","quantity":1,"price":1.70},{"item_id":"item_21","quantity":1,"price":7.70}],"total_amount":86.70,"status":"placed","timestamp":"2026-11-22T12:39:59.760Z"}
    "#);
    let mut digest = crate::state::Digest::default();
    for (offset, (key, value)) in records(&workload, 10_000).iter().enumerate() {
        digest.add(i64::try_from(offset).expect("small"), Some(key), value.as_deref());
    }
    insta::assert_snapshot!(digest, @"82b5fec6a3abde55ec8a3a4a5a1286ef");
}

/// Of the fields of an order, the shape changes only the timestamp.
#[test]
fn a_shape_changes_timestamps_only() {
    let [lunch, flat] = [Shape::Lunch, Shape::Flat].map(|shape| {
        let settings = WorkloadSettings { duplicate_rate: Fraction::percent(10), shape, ..defaults(42) };
        records(&workload(settings), 10_000)
    });
    let mut same = 0;
    for ((key, value), (flat_key, flat_value)) in lunch.iter().zip(&flat) {
        let (order, flat_order) = (order(value.as_ref()), order(flat_value.as_ref()));
        same += usize::from(order.timestamp == flat_order.timestamp);
        assert_eq!((key, Order { timestamp: flat_order.timestamp, ..order }), (flat_key, flat_order));
    }
    assert!(same < 100, "{same} timestamps are the same");
}

#[test]
fn too_many_names_are_an_error() {
    let many = 1_000_001.try_into().expect("not zero");
    let refused = |settings| Workload::new(settings).expect_err("too many").to_string();
    assert_eq!(
        refused(WorkloadSettings { restaurants: many, ..defaults(1) }),
        "at most 1,000,000 restaurants are supported"
    );
    assert_eq!(
        Workload::new(WorkloadSettings { items: many, ..defaults(1) }).err(),
        Some(WorkloadError::TooMany("items"))
    );
}

#[test]
fn orders_have_the_configured_distribution() {
    let records = records(&workload(defaults(5)), 20_000);
    let orders: Vec<_> = records.iter().map(|(_, value)| order(value.as_ref())).collect();
    let share = |is: &dyn Fn(&Order<'_>) -> bool| ratio(orders.iter().filter(|order| is(order)).count(), orders.len());
    assert!((0.045..0.055).contains(&share(&|order| order.status == OrderStatus::Failed)));
    for (lines, range) in [(1, 0.38..0.42), (2, 0.28..0.32), (3, 0.18..0.22), (4, 0.09..0.11)] {
        assert!(range.contains(&share(&|order| order.lines.len() == lines)), "{lines} lines");
    }
    let lines = || orders.iter().flat_map(|order| &order.lines);
    let few = lines().filter(|line| line.quantity <= 2).count();
    assert!(ratio(few, lines().count()) > 0.85, "quantities are mostly 1 or 2");
    assert!(lines().all(|line| (1..=4).contains(&line.quantity)));
    let ids: BTreeSet<_> = orders.iter().map(|order| &order.order_id).collect();
    assert_eq!(ids.len(), orders.len(), "order ids are unique");
    let users: BTreeSet<_> = orders.iter().map(|order| &order.user_id).collect();
    assert_eq!(users.len(), 1_000, "every user orders");
    let mut prices = BTreeMap::new();
    for order in &orders {
        for line in &order.lines {
            let price = prices.entry((&order.restaurant_id, &line.item_id)).or_insert(line.price);
            assert_eq!(*price, line.price, "an item has one price");
        }
    }
}

#[test]
fn seeds_have_different_order_ids() {
    let id = |seed, index| order(record(&workload(defaults(seed)), index).1.as_ref()).order_id.into_owned();
    let ids: BTreeSet<_> = (0..50).flat_map(|seed| (0..50).map(move |index| id(seed, index))).collect();
    assert_eq!(ids.len(), 2_500);
}

#[test]
fn duplicates_and_poison_have_their_rates() {
    let settings =
        WorkloadSettings { poison_rate: Fraction::percent(2), duplicate_rate: Fraction::percent(10), ..defaults(6) };
    let records = records(&workload(settings), 20_000);
    let bad = records.iter().filter(|(_, value)| decode_order(value.as_deref()).is_err()).count();
    assert!((0.017..0.023).contains(&ratio(bad, records.len())), "{bad}");
    let plain = self::records(&workload(defaults(6)), 20_000);
    let changed = records.iter().zip(&plain).filter(|(record, plain)| record != plain).count();
    assert!((0.11..0.13).contains(&ratio(changed, records.len())), "{changed}");
}

#[test]
fn with_only_duplicates_every_event_is_the_first() {
    let workload = workload(WorkloadSettings { duplicate_rate: Fraction::ALL, ..defaults(8) });
    let first = record(&workload, 0);
    assert!((0..3_000).all(|index| record(&workload, index) == first));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Independent of the content of the buffers and of other events.
    #[test]
    fn an_event_depends_on_settings_and_index_only(
        settings in any_settings(), indexes in prop::collection::vec(0u64..5_000, 1..40),
    ) {
        let (one, other) = (workload(settings), workload(settings));
        let mut buffers = Buffers::new();
        for index in indexes {
            let event = one.event(index, &mut buffers);
            let seen = (event.key.to_vec(), event.value.map(<[u8]>::to_vec));
            prop_assert_eq!(seen, record(&other, index));
        }
    }

    /// Each event is that without poison and duplicates, or bad, or one of the last thousand records.
    #[test]
    fn rates_only_change_their_events(settings in any_settings()) {
        let plain = workload(WorkloadSettings { poison_rate: Fraction::NONE, duplicate_rate: Fraction::NONE, ..settings });
        let records = records(&workload(settings), 1_300);
        for (index, (key, value)) in records.iter().enumerate() {
            let (plain_key, plain_value) = record(&plain, index as u64);
            if value == &plain_value {
                prop_assert_eq!(key, &plain_key);
                continue;
            }
            let bad = settings.poison_rate > Fraction::NONE && decode_order(value.as_deref()).is_err();
            let repeats = || records[index.saturating_sub(1_000)..index].contains(&(key.clone(), value.clone()));
            prop_assert!((bad && key == &plain_key) || (settings.duplicate_rate > Fraction::NONE && repeats()));
        }
    }

    #[test]
    fn an_order_is_valid_and_keyed_by_restaurant(settings in any_settings(), index in any::<u32>()) {
        let settings = WorkloadSettings { poison_rate: Fraction::NONE, duplicate_rate: Fraction::NONE, ..settings };
        let (key, value) = record(&workload(settings), index.into());
        let order = order(value.as_ref());
        prop_assert_eq!(order.restaurant_id.as_bytes(), &*key);
        prop_assert_eq!(Some(order.timestamp), settings.event_time(index.into()));
        let sum: i64 = order.lines.iter().map(|line| line.price.0 * i64::from(line.quantity)).sum();
        prop_assert_eq!(order.total, Cents(sum));
        let items: BTreeSet<_> = order.lines.iter().map(|line| &line.item_id).collect();
        prop_assert_eq!(items.len(), order.lines.len(), "an item is in one line");
        prop_assert!(order.lines.len() <= 4);
    }

    #[test]
    fn with_only_poison_every_record_is_bad(seed in any::<u64>(), index in any::<u64>()) {
        let (_, value) = record(&workload(WorkloadSettings { poison_rate: Fraction::ALL, ..defaults(seed) }), index);
        prop_assert!(decode_order(value.as_deref()).is_err());
    }
}

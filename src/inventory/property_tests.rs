//! Property tests of stock with arbitrary orders, and a simple second implementation (a model) to compare with.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::{DecisionCounts, OpeningStock, StockSettings, StockStore};
use crate::domain::{Action, Cents, Decision, DecisionSource, EventTime, Order, OrderLine, OrderStatus, Reason};

const LAST_MILLIS: i64 = EventTime::MAX.millis();

type Ledger = BTreeMap<Vec<u8>, Vec<u8>>;

fn order(restaurant: u8, lines: &[(u8, u32)], status: OrderStatus, millis: i64) -> Order<'static> {
    let line = |&(item, quantity): &(u8, u32)| OrderLine {
        item_id: format!("item_{item}").into(),
        quantity,
        price: Cents(850),
    };
    Order {
        order_id: "order".into(),
        user_id: "user_1".into(),
        restaurant_id: if restaurant == 0 { "".into() } else { format!("restaurant_{restaurant}").into() },
        lines: lines.iter().map(line).collect(),
        total: Cents(0),
        status,
        timestamp: EventTime::from_millis(millis).expect("in range"),
    }
}

fn placed(restaurant: u8, lines: &[(u8, u32)], millis: i64) -> Order<'static> {
    order(restaurant, lines, OrderStatus::Placed, millis)
}

fn any_order() -> impl Strategy<Value = Order<'static>> {
    let quantity = prop_oneof![8 => 1u32..6, 1 => 1u32..=1_000_000];
    let lines = prop::collection::vec((0u8..4, quantity), 1..7);
    // Mostly a few periods, out of order; sometimes the first and last timestamps.
    let millis = prop_oneof![12 => 0i64..20_000, 2 => 0..=LAST_MILLIS, 1 => Just(0), 1 => Just(LAST_MILLIS)];
    let status = prop_oneof![5 => Just(OrderStatus::Placed), 1 => Just(OrderStatus::Failed)];
    (0u8..3, lines, status, millis)
        .prop_map(|(restaurant, lines, status, millis)| order(restaurant, &lines, status, millis))
}

fn any_orders() -> impl Strategy<Value = Vec<Order<'static>>> {
    prop::collection::vec(any_order(), 0..60)
}

fn any_settings() -> impl Strategy<Value = StockSettings> {
    let opening = prop_oneof![
        8 => (0u64..40).prop_map(OpeningStock::Units),
        1 => any::<u64>().prop_map(OpeningStock::Units),
        1 => Just(OpeningStock::Units(u64::MAX)),
        2 => Just(OpeningStock::Unlimited),
    ];
    let every = prop_oneof![6 => 500u64..8_000, 1 => Just(1), 1 => Just(i64::MAX.unsigned_abs())];
    (opening, every).prop_map(|(opening, every)| settings(opening, every))
}

fn settings(opening: OpeningStock, every_millis: u64) -> StockSettings {
    StockSettings::new(opening, Duration::from_millis(every_millis)).expect("valid")
}

/// Decides orders whose offsets start at `first`.
fn decide(store: &mut StockStore, first: usize, orders: &[Order<'_>]) -> Vec<Decision<'static>> {
    let mut decisions = Vec::new();
    for (index, order) in orders.iter().enumerate() {
        store.decide(order, source(first + index), &mut |decision| decisions.push(owned(decision)));
    }
    decisions
}

fn source(offset: usize) -> DecisionSource {
    DecisionSource { partition: 4, offset: i64::try_from(offset).expect("small") }
}

fn owned(decision: &Decision<'_>) -> Decision<'static> {
    let own = |text: &str| Cow::Owned(text.to_owned());
    Decision {
        order_id: own(&decision.order_id),
        restaurant_id: own(&decision.restaurant_id),
        item_id: own(&decision.item_id),
        ..*decision
    }
}

/// Applies the open transaction's records to a compacted ledger.
fn write_changes(store: &StockStore, ledger: &mut Ledger) {
    let mut seen = BTreeSet::new();
    store.changes(&mut |key, value| {
        assert!(seen.insert(key.to_vec()), "a key is written once per transaction");
        ledger.insert(key.to_vec(), value.to_vec());
    });
}

fn restored(settings: StockSettings, ledger: &Ledger) -> StockStore {
    let mut store = StockStore::new(settings);
    for (key, value) in ledger {
        store.restore(key, Some(value)).expect("a ledger record");
    }
    store
}

/// A slow second implementation of `docs/reference/stock.md`: with stream times instead of periods, wide signed
/// integers, and names as keys.
struct Model {
    settings: StockSettings,
    stream_times: BTreeMap<String, i64>,
    /// By restaurant and item: on hand, reserved, period, and the offset of the last order that changed it.
    items: BTreeMap<(String, String), (i128, i128, i64, i64)>,
}

impl Model {
    fn decide(&mut self, order: &Order<'_>, source: DecisionSource) -> Vec<Decision<'static>> {
        let restaurant = order.restaurant_id.to_string();
        let key = |item: &str| (restaurant.clone(), item.to_owned());
        let limit = match self.settings.opening() {
            OpeningStock::Units(units) => Some(i128::from(units)),
            OpeningStock::Unlimited => None,
        };
        let blank = |line: usize| Decision {
            order_id: order.order_id.to_string().into(),
            restaurant_id: restaurant.clone().into(),
            item_id: order.lines[line].item_id.to_string().into(),
            quantity: order.lines[line].quantity,
            price: order.lines[line].price,
            action: Action::Release,
            reason: None,
            restocked: 0,
            on_hand: None,
            line: u32::try_from(line).expect("few"),
            lines: u32::try_from(order.lines.len()).expect("few"),
            source,
            timestamp: order.timestamp,
        };
        let mut decisions: Vec<_> = (0..order.lines.len()).map(blank).collect();
        if order.status == OrderStatus::Failed {
            return decisions;
        }
        let stream_time = self.stream_times.entry(restaurant.clone()).or_insert(i64::MIN);
        *stream_time = order.timestamp.millis().max(*stream_time);
        let every = i64::try_from(self.settings.restock_every().as_millis()).expect("fits");
        let period = (*stream_time - stream_time.rem_euclid(every)) / every;

        let mut wanted: BTreeMap<String, i128> = BTreeMap::new();
        for (line, decision) in order.lines.iter().zip(&mut decisions) {
            *wanted.entry(line.item_id.to_string()).or_default() += i128::from(line.quantity);
            let opening = limit.unwrap_or(0);
            let item = self.items.entry(key(&line.item_id)).or_insert((opening, 0, period, source.offset));
            if item.2 < period {
                decision.restocked = limit.map_or(0, |limit| u64::try_from(limit - item.0).expect("never above"));
                *item = (opening, item.1, period, source.offset);
            }
        }
        let is_short =
            |items: &BTreeMap<_, (i128, _, _, _)>, item: &str| limit.is_some() && items[&key(item)].0 < wanted[item];
        let fits = order.lines.iter().all(|line| !is_short(&self.items, &line.item_id));
        for decision in &mut decisions {
            let item = decision.item_id.to_string();
            decision.action = if fits { Action::Reserve } else { Action::Reject };
            if fits {
                let stock = self.items.get_mut(&key(&item)).expect("seen above");
                stock.0 -= if limit.is_some() { i128::from(decision.quantity) } else { 0 };
                stock.1 += i128::from(decision.quantity);
                stock.3 = source.offset;
            } else if is_short(&self.items, &item) {
                decision.reason = Some(Reason::OutOfStock);
            } else {
                decision.reason = Some(Reason::OrderIncomplete);
            }
            decision.on_hand = limit.map(|_| u64::try_from(self.items[&key(&item)].0).expect("never negative"));
        }
        decisions
    }

    fn ledger(&self) -> Ledger {
        let limited = matches!(self.settings.opening(), OpeningStock::Units(_));
        let record = |((restaurant, item), &(on_hand, reserved, period, offset)): (&(String, String), &_)| {
            let on_hand: i128 = on_hand;
            let on_hand = if limited { on_hand.to_string() } else { "null".into() };
            let reserved: i128 = reserved;
            let (period, offset): (i64, i64) = (period, offset);
            let value =
                format!(r#"{{"on_hand":{on_hand},"reserved":{reserved},"period":{period},"source_offset":{offset}}}"#);
            (format!(r#"["{restaurant}","{item}"]"#).into_bytes(), value.into_bytes())
        };
        self.items.iter().map(record).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn decisions_and_ledger_agree_with_the_model(settings in any_settings(), orders in any_orders()) {
        let mut model = Model { settings, stream_times: BTreeMap::new(), items: BTreeMap::new() };
        let mut store = StockStore::new(settings);
        for (offset, order) in orders.iter().enumerate() {
            let decisions = decide(&mut store, offset, std::slice::from_ref(order));
            prop_assert_eq!(decisions, model.decide(order, source(offset)));
        }
        let mut ledger = Ledger::new();
        write_changes(&store, &mut ledger);
        prop_assert_eq!(ledger, model.ledger());
    }

    /// Checked from the decisions alone.
    #[test]
    fn stock_balances_and_stays_in_bounds(
        opening in prop_oneof![0u64..40, any::<u64>()],
        orders in any_orders(),
    ) {
        let mut store = StockStore::new(settings(OpeningStock::Units(opening), 2_000));
        let mut sums: BTreeMap<(String, String), (i128, i128)> = BTreeMap::new();
        for decision in decide(&mut store, 0, &orders) {
            if decision.action == Action::Release {
                prop_assert_eq!((decision.on_hand, decision.restocked), (None, 0));
                continue;
            }
            let sums = sums.entry((decision.restaurant_id.to_string(), decision.item_id.to_string())).or_default();
            sums.0 += i128::from(decision.restocked);
            sums.1 += i128::from(if decision.action == Action::Reserve { decision.quantity } else { 0 });
            let on_hand = decision.on_hand.expect("limited");
            prop_assert!(on_hand <= opening);
            prop_assert_eq!(i128::from(opening) + sums.0, i128::from(on_hand) + sums.1);
        }
    }

    #[test]
    fn an_order_is_all_or_nothing(settings in any_settings(), orders in any_orders()) {
        let mut store = StockStore::new(settings);
        for (offset, order) in orders.iter().enumerate() {
            let decisions = decide(&mut store, offset, std::slice::from_ref(order));
            prop_assert_eq!(decisions.len(), order.lines.len());
            let action = decisions[0].action;
            prop_assert_eq!(action == Action::Release, order.status == OrderStatus::Failed);
            let mut named = BTreeSet::new();
            for (index, decision) in decisions.iter().enumerate() {
                prop_assert_eq!(decision.action, action);
                prop_assert_eq!(decision.line as usize, index);
                prop_assert_eq!(decision.lines as usize, decisions.len());
                prop_assert_eq!(decision.source, source(offset));
                if !named.insert(&decision.item_id) {
                    prop_assert_eq!(decision.restocked, 0, "only the first line of an item shows the restock");
                }
                let wanted: u64 = order.lines.iter()
                    .filter(|line| line.item_id == decision.item_id).map(|line| u64::from(line.quantity)).sum();
                let expected = match action {
                    Action::Reject if decision.on_hand.is_some_and(|units| units < wanted) => Some(Reason::OutOfStock),
                    Action::Reject => Some(Reason::OrderIncomplete),
                    _ => None,
                };
                prop_assert_eq!(decision.reason, expected);
            }
            if action == Action::Reject {
                prop_assert!(decisions.iter().any(|decision| decision.reason == Some(Reason::OutOfStock)));
            }
        }
    }

    /// Offsets differ without the other records, so the decisions are compared without their source.
    #[test]
    fn failed_and_other_orders_are_independent(settings in any_settings(), orders in any_orders()) {
        let content = |decision: Decision<'static>| Decision { source: source(0), ..decision };
        let among_all: Vec<_> = decide(&mut StockStore::new(settings), 0, &orders).into_iter().map(content).collect();
        for restaurant in ["", "restaurant_1", "restaurant_2"] {
            let alone: Vec<_> = orders.iter()
                .filter(|order| order.restaurant_id == restaurant && order.status == OrderStatus::Placed)
                .cloned().collect();
            let decisions = decide(&mut StockStore::new(settings), 0, &alone).into_iter().map(content);
            let expected = among_all.iter()
                .filter(|decision| decision.restaurant_id == restaurant && decision.action != Action::Release);
            prop_assert_eq!(decisions.collect::<Vec<_>>(), expected.cloned().collect::<Vec<_>>());
        }
    }

    /// So the stream times of restaurants need not be stored.
    #[test]
    fn a_restored_store_decides_the_same(
        settings in any_settings(), orders in any_orders(), split in 0usize..60, transaction in 1usize..20,
    ) {
        let split = split.min(orders.len());
        let (before, after) = orders.split_at(split);
        let mut store = StockStore::new(settings);
        let mut ledger = Ledger::new();
        for (index, batch) in before.chunks(transaction).enumerate() {
            decide(&mut store, index * transaction, batch);
            write_changes(&store, &mut ledger);
            store.commit();
        }
        let mut restored = restored(settings, &ledger);
        prop_assert_eq!(restored.holds(), store.holds());
        let mut keys = Vec::new();
        restored.keys(&mut |key| keys.push(key.to_vec()));
        keys.sort();
        prop_assert!(keys.iter().eq(ledger.keys()));
        prop_assert_eq!(decide(&mut restored, split, after), decide(&mut store, split, after));
        let mut left = ledger.clone();
        write_changes(&store, &mut left);
        write_changes(&restored, &mut ledger);
        prop_assert_eq!(left, ledger);
    }

    #[test]
    fn an_abort_leaves_no_trace(
        settings in any_settings(), kept in any_orders(), dropped in any_orders(), after in any_orders(),
    ) {
        let mut aborting = StockStore::new(settings);
        let mut other = StockStore::new(settings);
        for store in [&mut aborting, &mut other] {
            decide(store, 0, &kept);
            store.commit();
        }
        decide(&mut aborting, kept.len(), &dropped);
        aborting.abort();
        prop_assert_eq!((aborting.counts(), aborting.holds()), (other.counts(), other.holds()));
        let mut ledgers = [Ledger::new(), Ledger::new()];
        write_changes(&aborting, &mut ledgers[0]);
        prop_assert!(ledgers[0].is_empty());

        prop_assert_eq!(decide(&mut aborting, kept.len(), &after), decide(&mut other, kept.len(), &after));
        prop_assert_eq!(aborting.counts(), other.counts());
        write_changes(&aborting, &mut ledgers[0]);
        write_changes(&other, &mut ledgers[1]);
        prop_assert_eq!(&ledgers[0], &ledgers[1]);
    }

    #[test]
    fn counts_are_those_of_the_decisions(settings in any_settings(), orders in any_orders()) {
        let mut store = StockStore::new(settings);
        let mut counts = DecisionCounts::default();
        for decision in decide(&mut store, 0, &orders).iter().filter(|decision| decision.line == 0) {
            let mut one = DecisionCounts { orders: 1, ..DecisionCounts::default() };
            *match decision.action {
                Action::Reserve => &mut one.reserved,
                Action::Reject => &mut one.rejected,
                Action::Release => &mut one.released,
            } = 1;
            counts = counts.plus(one);
        }
        prop_assert_eq!(store.counts(), counts);
    }
}

#[test]
fn an_unchanged_item_is_not_written() {
    let mut store = StockStore::new(settings(OpeningStock::Units(1), 1_000));
    decide(&mut store, 0, &[placed(1, &[(1, 1)], 0)]);
    store.commit();
    decide(&mut store, 1, &[placed(1, &[(1, 1)], 999), order(1, &[(2, 1)], OrderStatus::Failed, 5_000)]);
    let mut ledger = Ledger::new();
    write_changes(&store, &mut ledger);
    assert!(ledger.is_empty(), "a rejection without a restock, and a failed payment");
}

#[test]
fn the_largest_orders_do_not_overflow() {
    let lines = vec![(1, 1_000_000); 10_000];
    let orders: Vec<_> = [0, LAST_MILLIS, 0, LAST_MILLIS].map(|millis| placed(1, &lines, millis)).into();
    for (opening, reserved) in [
        (OpeningStock::Units(0), 0),
        (OpeningStock::Units(9_999_999_999), 0),
        (OpeningStock::Units(10_000_000_000), 2),
        (OpeningStock::Units(u64::MAX), 4),
        (OpeningStock::Unlimited, 4),
    ] {
        let mut store = StockStore::new(settings(opening, 1));
        assert_eq!(decide(&mut store, 0, &orders).len(), 40_000);
        assert_eq!(store.counts().reserved, reserved, "{opening}");
    }
}

#[test]
fn extreme_ledger_values_do_not_panic() {
    let mut store = StockStore::new(settings(OpeningStock::Unlimited, 1_000));
    let value = format!(r#"{{"on_hand":null,"reserved":{},"period":{},"source_offset":0}}"#, u64::MAX, i64::MAX);
    store.restore(br#"["restaurant_1","item_1"]"#, Some(value.as_bytes())).expect("fits");
    decide(&mut store, 1, &[placed(1, &[(1, 1_000_000)], 0)]);
    assert_eq!(store.counts().reserved, 1);
}

#[test]
fn a_tombstone_deletes_the_item_and_its_period() {
    let settings = settings(OpeningStock::Units(10), 1_000);
    let mut store = StockStore::new(settings);
    let stock = |on_hand: u64, period: i64| {
        format!(r#"{{"on_hand":{on_hand},"reserved":0,"period":{period},"source_offset":0}}"#).into_bytes()
    };
    store.restore(br#"["restaurant_1","item_1"]"#, Some(&stock(3, 5))).expect("restores");
    store.restore(br#"["restaurant_1","item_2"]"#, Some(&stock(4, 2))).expect("restores");
    store.restore(br#"["restaurant_1","item_1"]"#, None).expect("restores");
    // The largest remaining period is 2: no restock in period 2.
    let decisions = decide(&mut store, 9, &[placed(1, &[(2, 1), (1, 1)], 2_500)]);
    assert_eq!((decisions[0].restocked, decisions[0].on_hand), (0, Some(3)));
    assert_eq!((decisions[1].restocked, decisions[1].on_hand), (0, Some(9)), "item_1 opens again");
    assert!(store.restore(br#"["@position"]"#, Some(b"{}")).is_err(), "position records are not items");
}

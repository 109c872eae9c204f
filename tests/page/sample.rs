//! Sample documents for page tests: a run of a script like `throttled-lag`, built without a broker.
//!
//! The unit tests and the browser test share this file; both crates have the modules that it uses under `crate::`.

use serde_json::{Value, json};

use crate::{
    analytics::{
        Decimal, InventoryMetrics, MetricsDocument, MetricsSchema, MinuteRow, RangeRow, RestaurantRow, Revenue,
    },
    replay::{PlanRow, ReplayDocument, ReplaySchema, ReplayVerdict, differences},
    scenario::{
        BrokerFacts, EndedBy, EventKind, ExpectationOutcome, LagSample, LagSeries, PartitionLagSample, Prediction,
        RunEvent, ScenarioDocument, ScenarioVerdict, StepOutcome,
    },
    state::Digest,
};

/// End of the orders, end of the throttle, and end of the run, in seconds.
const FULL: f64 = 60.0;
const RELEASED: f64 = 68.0;
const OVER: f64 = 121.4;

/// Deterministic pseudo-random numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most.max(1)
    }
}

/// The metrics of forty minutes with about 250 orders each.
pub(crate) fn metrics() -> MetricsDocument {
    let mut dice = Dice(7);
    let mut by_minute = Vec::new();
    for minute in 0..40_u64 {
        let (total, failed) = (236 + dice.roll(30), 7 + dice.roll(10));
        // Stock runs out during an hour and is topped up at its start.
        let rejected = if minute < 18 { 0 } else { (minute - 17) * 2 + dice.roll(9) };
        let pending = if minute > 37 { 30 + dice.roll(9) } else { 0 };
        by_minute.push(MinuteRow {
            minute: format!("2026-11-22T12:{minute:02}Z"),
            total,
            failed,
            reserved: total - failed - rejected - pending,
            rejected,
            released: failed,
            reserved_revenue: Revenue(u128::from((total - failed) * 3_153)),
        });
    }
    let sum = |of: fn(&MinuteRow) -> u64| by_minute.iter().map(of).sum::<u64>();
    let (total, failed) = (sum(|row| row.total), sum(|row| row.failed));
    let (reserved, rejected) = (sum(|row| row.reserved), sum(|row| row.rejected));
    let restaurants = 20;
    let share = |all: u64, index: u64| all * (2 * restaurants - index) / (restaurants * 30);
    let by_restaurant = (0..restaurants).map(|index| RestaurantRow {
        restaurant: format!("restaurant_{:02}", index + 1),
        total: share(total, index),
        failed: share(failed, index),
        reserved: share(reserved, index),
        rejected: if index % 5 == 4 { 0 } else { share(rejected, index * 3 % restaurants) },
        released: share(failed, index),
        reserved_revenue: Revenue(u128::from(share(reserved, index) * 3_153)),
    });
    let range = ["inventory-events", "order-events"].into_iter().flat_map(|topic| {
        (0..6).map(move |partition| RangeRow {
            topic: format!("throttled-lag.{topic}"),
            partition,
            start: 0,
            end: 1_700 + i64::from(partition) * 37,
            digest: Digest::default(),
        })
    });
    MetricsDocument {
        schema: MetricsSchema::Version1,
        total_orders: total,
        failed_orders: failed,
        failure_rate_percent: Decimal::percent(failed.into(), total.into()),
        average_orders_per_minute: Decimal::average(total.into(), 40),
        current_orders_per_minute: by_minute[39].total,
        orders_by_minute: by_minute.iter().map(|row| (row.minute.clone(), row.total)).collect(),
        inventory: InventoryMetrics {
            reserved_orders: reserved,
            rejected_orders: rejected,
            released_orders: failed,
            pending_orders: i64::try_from(total - failed - reserved - rejected).expect("small"),
            rejection_rate_percent: Decimal::percent(rejected.into(), (reserved + rejected).into()),
            unfulfilled_rate_percent: Decimal::percent((failed + rejected).into(), total.into()),
            reserved_revenue: by_minute.iter().fold(Revenue::default(), |sum, row| sum.plus(row.reserved_revenue)),
            rejected_by_reason: [
                ("out_of_stock".to_owned(), rejected + 31),
                ("order_incomplete".to_owned(), rejected / 2),
            ]
            .into(),
        },
        by_minute,
        by_restaurant: by_restaurant.collect(),
        left_out: None,
        skipped_records: 0,
        bad_records: 23,
        range: range.collect(),
    }
}

/// A replay of these metrics, with or without a difference.
pub(crate) fn replay(finds_the_same: bool) -> ReplayDocument {
    let before = metrics();
    let mut after = before.clone();
    let mut causes = Vec::new();
    if !finds_the_same {
        after.total_orders -= 3;
        after.by_minute[4].total -= 3;
        after.by_restaurant.pop();
        causes.push(crate::replay::Cause::RecordsGone {
            topic: "throttled-lag.order-events".to_owned(),
            partition: 2,
            log_start_before: 0,
            log_start_after: 3,
            records_before: Some(1_774),
            records_after: 1_771,
        });
    }
    let plan = before.range.iter().map(|row| PlanRow {
        topic: row.topic.clone(),
        partition: row.partition,
        from: Some(row.end),
        to: row.start,
        end: row.end,
        note: None,
    });
    ReplayDocument {
        schema: ReplaySchema::Version1,
        verdict: if finds_the_same { ReplayVerdict::Identical } else { ReplayVerdict::Different },
        records: 29_918,
        plan: plan.collect(),
        differences: differences(&before, &after, usize::MAX).first,
        differences_left_out: None,
        causes,
        note: None,
        before,
        after,
    }
}

/// Lag in messages: 80 orders a second are produced, 50 are consumed with the throttle, 260 without it.
fn waiting(at: f64) -> f64 {
    let come = 80.0 * at.min(FULL);
    let gone = 50.0 * (at - 4.0).clamp(0.0, RELEASED - 4.0) + 55.0 * (at - RELEASED).max(0.0);
    (come - gone).max(0.0)
}

/// Lag of the two groups, a sample every half second.
pub(crate) fn lag() -> Vec<LagSeries> {
    let mut dice = Dice(11);
    let mut samples = |scale: f64, first: f64| -> Vec<LagSample> {
        (0..243_u32)
            .map(|index| {
                let at_seconds = f64::from(index) * 0.5 + 0.03;
                let level = waiting(at_seconds) * scale;
                let shaken =
                    if level > 20.0 { level + f64::from(u32::try_from(dice.roll(40)).expect("small")) } else { level };
                #[allow(clippy::cast_possible_truncation, reason = "a few thousand messages")]
                let messages = (at_seconds >= first).then_some(shaken.round() as i64);
                let seconds = messages.map(|messages| if messages == 0 { 0.0 } else { shaken / 50.0 });
                let partitions = (0..6).map(|partition| PartitionLagSample {
                    topic: "throttled-lag.order-events".to_owned(),
                    partition,
                    messages: messages.map(|messages| messages / 6 + i64::from(i64::from(partition) < messages % 6)),
                    seconds,
                });
                LagSample { at_seconds, messages, seconds, partitions: partitions.collect() }
            })
            .collect()
    };
    let prediction = Prediction {
        at_seconds: RELEASED,
        messages: 1_612,
        per_second: 51.7,
        drained_at_seconds: 99.2,
        was_drained_at_seconds: Some(97.5),
    };
    vec![
        LagSeries {
            group: "throttled-lag.inventory-consumer-group".to_owned(),
            samples: samples(1.0, 4.0),
            predictions: vec![prediction],
        },
        LagSeries {
            group: "throttled-lag.analytics-consumer-group".to_owned(),
            samples: samples(0.02, 70.0),
            predictions: Vec::new(),
        },
    ]
}

/// The events of the run.
pub(crate) fn events() -> Vec<RunEvent> {
    let event = |at_seconds, kind, step: &str, text: &str| RunEvent {
        at_seconds,
        kind,
        step: (!step.is_empty()).then(|| step.to_owned()),
        text: text.to_owned(),
    };
    vec![
        event(0.0, EventKind::Started, "orders", "80 orders a second"),
        event(0.4, EventKind::Throttled, "slow", "at most 50/s"),
        event(3.9, EventKind::Killed, "slow", "kill -9 in a transaction"),
        event(4.0, EventKind::Throttled, "slow again", "at most 50/s"),
        event(60.1, EventKind::Ended, "orders", "exit 0"),
        event(60.1, EventKind::Waiting, "", "until the lag is steady for 8 s"),
        event(67.8, EventKind::Held, "", "the lag was steady"),
        event(68.0, EventKind::Stopped, "slow again", "SIGINT"),
        event(68.2, EventKind::Started, "fast", "no throttle"),
        event(97.9, EventKind::Held, "", "lag of inventory-consumer-group at most 0"),
        event(98.0, EventKind::Stopped, "fast", "SIGINT"),
        event(99.0, EventKind::Started, "metrics", "analytics, one pass"),
        event(110.2, EventKind::Ended, "metrics", "exit 0"),
        event(110.6, EventKind::Started, "again", "replay"),
        event(121.0, EventKind::Ended, "again", "exit 0"),
    ]
}

fn step(name: &str, run: &str, times: [f64; 2], ended_by: EndedBy, document: Option<Value>) -> StepOutcome {
    StepOutcome {
        name: name.to_owned(),
        run: run.to_owned(),
        command: format!("foodstream {run} -b 127.0.0.1:39211 --prefix throttled-lag. --output json"),
        background: matches!(ended_by, EndedBy::Stop | EndedBy::Kill) || name == "orders",
        started_seconds: times[0],
        ended_seconds: Some(times[1]),
        ended_by: Some(ended_by),
        exit_code: (ended_by != EndedBy::Kill).then_some(0),
        document,
        stderr: if name == "slow again" {
            vec!["stopping: the open transaction is committed first".to_owned()]
        } else {
            Vec::new()
        },
        uncommitted: (ended_by == EndedBy::Kill).then_some(120),
    }
}

fn expectations() -> Vec<ExpectationOutcome> {
    let mut expectations = Vec::new();
    let mut expect = |about: &str, value: &str, expected: &str, seen: Value| {
        let line = 40 + expectations.len() * 2;
        let (about, value, expected) = (about.to_owned(), value.to_owned(), expected.to_owned());
        expectations.push(ExpectationOutcome { about, value, expected, seen, held: true, line, why: None });
    };
    for (index, name) in ["orders", "slow again", "fast", "metrics", "again"].into_iter().enumerate() {
        expect(name, "exit", "0", json!(0));
        expect(name, "elapsed_seconds", "at most 90", json!(1.25 + f64::from(u32::try_from(index).expect("small"))));
    }
    expect("orders", "produced", "4800", json!(4800));
    expect("orders", "acknowledged", "the same as “produced”", json!(4800));
    expect("throttled-lag.inventory-consumer-group", "lag.peak", "at least 1500", json!(2_041));
    expect("throttled-lag.inventory-consumer-group", "lag.final", "0", json!(0));
    expect("throttled-lag.inventory-consumer-group", "lag.began_to_fall", "between 60 and 75", json!(68.03));
    expect("throttled-lag.inventory-consumer-group", "lag.growth_per_second", "30 within 10 %", json!(29.6));
    expect("throttled-lag.inventory-consumer-group", "lag.drain_seconds", "31.2 within 25 %", json!(29.5));
    for (index, value) in
        ["reserved", "rejected", "released", "dead_letters", "transactions_aborted"].into_iter().enumerate()
    {
        expect("sum of slow again and fast", value, "at least 0", json!(index * 317));
    }
    for value in
        ["total_orders", "failed_orders", "inventory.reserved_orders", "inventory.pending_orders", "bad_records"]
    {
        expect("again", value, "the same as step “metrics”", json!(9_876));
    }
    expect("again", "verdict", "\"identical\"", json!("identical"));
    expect("again", "records", "at least 1", json!(29_918));
    expect("again", "differences", "none", json!([]));
    let late = &mut expectations[16];
    "31.2 within 5 %".clone_into(&mut late.expected);
    late.held = false;
    expectations
}

fn told(document: &impl serde::Serialize) -> Value {
    serde_json::to_value(document).expect("documents serialize")
}

/// The document of an `inventory` that found bad records.
fn decided() -> Value {
    let row = |reason: &str, records: u64, value: Option<&str>| {
        json!({"reason": reason, "records": records, "example": {
            "topic": "throttled-lag.order-events", "partition": 3, "offset": 812, "detail": "byte 41: a string has no end",
            "value": value, "value_bytes": value.map_or(0, str::len),
        }})
    };
    json!({
        "schema": "foodstream.inventory/1", "orders": 9_795, "reserved": 9_000, "rejected": 700, "released": 95,
        "dead_letters": 23, "dead_letters_by_reason": [
            row("bad_value", 4, Some("{\"event_type\":\"OrderPlaced\",\"order_id\":\"0c488716-6a0b-8721-80d0-1136490c654a\",\"quantity\":-1}")),
            row("no_value", 1, None),
            row("not_json", 15, Some("{\"event_type\":\"Ord")),
            row("not_utf8", 3, Some("{\"event_type\":\"\\xff\\u{1b}[2J\"}")),
        ],
        "skipped": 0, "transactions_committed": 9, "transactions_aborted": 0, "restored_records": 0,
        "elapsed_seconds": 1.5, "orders_per_second": 6_530.0, "committed": [{"partition": 0, "offset": 1_700}],
    })
}

/// Runs that passed, one for each subject of a page.
pub(crate) fn subjects() -> Vec<(&'static str, ScenarioDocument)> {
    let mut lag = scenario();
    lag.verdict = ScenarioVerdict::Passed;
    lag.expectations.iter_mut().for_each(|expectation| expectation.held = true);
    let mut calm = lag.clone();
    calm.events.retain(|event| event.kind != EventKind::Killed);
    calm.steps.retain(|step| step.ended_by != Some(EndedBy::Kill));
    calm.expectations.retain(|expectation| !expectation.value.starts_with("lag."));
    let mut bad_records = calm.clone();
    bad_records.steps[1].document = Some(decided());
    // Every process that decided orders wrote its document.
    bad_records.steps.retain(|step| step.name != "fast");
    let replays = calm.clone();
    let mut orders = calm.clone();
    orders.steps.retain(|step| step.name != "again");
    vec![("lag", lag), ("bad-records", bad_records), ("replays", replays), ("orders", orders)]
}

/// A run of a script like `throttled-lag`, in which one of thirty expectations failed.
pub(crate) fn scenario() -> ScenarioDocument {
    let produced =
        json!({"schema": "foodstream.produce/1", "produced": 4800, "acknowledged": 4800, "seed": 20_261_122_007_u64});
    ScenarioDocument {
        schema: "foodstream.scenario/1".to_owned(),
        name: "throttled-lag".to_owned(),
        description: "A consumer with a limit of 50 records a second gets 80 orders a second: the lag grows by the difference, \
                      stays the same when the orders end, and falls to 0 soon after the limit is removed.\n\nWatch where the \
                      line bends, and how well its first quarter predicts the drain."
            .to_owned(),
        file: "scenarios/throttled-lag.toml".to_owned(),
        verdict: ScenarioVerdict::Failed,
        broker: BrokerFacts { embedded: true, address: "127.0.0.1:39211".to_owned(), prefix: "throttled-lag.".to_owned() },
        version: "0.1.0".to_owned(),
        librdkafka: "2.12.1".to_owned(),
        started: "2026-11-22T12:41:07.113Z".to_owned(),
        elapsed_seconds: OVER,
        steps: vec![
            step("orders", "produce --count 4800 --rate 80/s --seed 20261122007", [0.0, 60.1], EndedBy::Itself, Some(produced)),
            step("slow", "inventory --throttle 50/s", [0.4, 3.9], EndedBy::Kill, None),
            step("slow again", "inventory --throttle 50/s", [4.0, 68.0], EndedBy::Stop, None),
            step("fast", "inventory", [68.2, 98.0], EndedBy::Stop, None),
            step("metrics", "analytics --from-beginning", [99.0, 110.2], EndedBy::Itself, Some(told(&metrics()))),
            step("again", "replay", [110.6, 121.0], EndedBy::Itself, Some(told(&replay(true)))),
        ],
        events: events(),
        lag: lag(),
        expectations: expectations(),
        not_shown: vec![
            "What happens when the broker is slow instead of the consumer.".to_owned(),
            "The rates of another machine: these were measured on this one.".to_owned(),
        ],
    }
}

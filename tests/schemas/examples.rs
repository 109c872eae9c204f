//! Examples of every document and event: as printed by the program (`tests/documents/`), or built from its types if
//! they are rare.

use std::collections::BTreeMap;
use std::path::Path;

use foodstream::analytics::{MetricsDocument, OrderCounts, Revenue, Totals};
use foodstream::domain::{
    Action, Cents, Decision, DecisionSource, EventTime, Lines, Order, OrderLine, OrderStatus, Reason, encode_decision,
    encode_order,
};
use foodstream::inventory::{StockSettings, StockStore};
use foodstream::replay::{
    Cause, Difference, Note, PlanDocument, PlanNote, PlanRow, ReplayDocument, ReplaySchema, ReplayVerdict, Target,
};
use foodstream::scenario;
use foodstream::state::{Digest, Loss, Position, TopicId};
use serde::Serialize;
use serde_json::{Value, json};

/// Values by the name of the schema that describes them.
pub type Examples = Vec<(&'static str, Value)>;

/// Every document.
pub fn documents() -> Examples {
    let mut documents: Examples =
        ["produce", "inventory", "metrics", "plan", "replay", "broker", "lag", "clean", "audit"]
            .into_iter()
            .map(|name| (name, recorded(name)))
            .collect();
    documents.push(("lag", recorded("lag-several")));
    documents.extend(["audit-service", "audit-chain"].map(|name| ("audit", recorded(name))));
    documents.push(("plan", value(&PlanDocument::new(&Target::ShiftBy(-20), noted_rows()))));
    documents.push(("replay", value(&different_replay())));
    documents.push(("scenario", value(&scenario())));
    documents.push((
        "scenarios",
        json!({ "schema": "foodstream.scenarios/1", "verdict": "passed", "scenarios": [value(&scenario())] }),
    ));
    documents.push((
        "scripts",
        json!({ "schema": "foodstream.scripts/1", "scenarios": [
            { "name": "flow", "description": "Events flow.", "file": "flow.toml", "embedded": false,
              "steps": 3, "expectations": 2 },
        ] }),
    ));
    documents
}

/// Every kind of record.
pub fn events() -> Examples {
    let [placed, failed] = [OrderStatus::Placed, OrderStatus::Failed].map(order);
    let decisions = [
        decision(Action::Reserve, None, Some(98)),
        decision(Action::Reject, Some(Reason::OutOfStock), Some(1)),
        decision(Action::Reject, Some(Reason::OrderIncomplete), None),
        decision(Action::Release, None, None),
    ];
    let mut events = vec![("events/order-placed", written(|out| encode_order(&placed, out)))];
    events.push(("events/order-placed", written(|out| encode_order(&failed, out))));
    events.extend(decisions.map(|decision| ("events/inventory-event", written(|out| encode_decision(&decision, out)))));
    events.push(("events/dead-letter-headers", headers()));
    let mut floor = StockStore::new(StockSettings::default());
    floor.decide(&placed, DecisionSource { partition: 0, offset: 7 }, &mut |_| {});
    floor.changes(&mut |_, value| {
        events.push(("events/ledger-value", serde_json::from_slice(value).expect("JSON")));
    });
    events.extend(
        positions().map(|position| ("events/position", serde_json::from_slice(&position.encode()).expect("JSON"))),
    );
    let counts = OrderCounts { total: 9, failed: 1, reserved: 6, rejected: 1, released: 1, revenue: Revenue(1_234) };
    events.push(("events/analytics-state", value(&counts)));
    let totals = Totals { orders: counts, skipped: 1, bad: 2, out_of_stock: 3, order_incomplete: 4 };
    events.push(("events/analytics-state", value(&totals)));
    events
}

fn recorded(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents").join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).expect("read")).expect("JSON")
}

fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).expect("serializes")
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut bytes = Vec::new();
    write(&mut bytes);
    serde_json::from_slice(&bytes).expect("JSON")
}

fn noted_rows() -> Vec<PlanRow> {
    let notes = [
        PlanNote::Raised { asked: -3 },
        PlanNote::Lowered { asked: 90 },
        PlanNote::NoRecordSince { asked: 95 },
        PlanNote::Stays,
    ];
    let rows = notes.into_iter().zip(0..).map(|(note, partition)| PlanRow {
        topic: "order-events".into(),
        partition,
        from: Some(70),
        to: 60,
        end: 70,
        note: Some(note),
    });
    let without = PlanRow {
        topic: "order-events".into(),
        partition: 4,
        from: None,
        to: 0,
        end: 0,
        note: Some(PlanNote::NoOffset),
    };
    rows.chain([without]).collect()
}

/// A replay with every cause.
fn different_replay() -> ReplayDocument {
    let metrics: MetricsDocument = serde_json::from_value(recorded("metrics")).expect("a metrics document");
    let topic = || "lab1.order-events".to_owned();
    let digest = Digest::default();
    ReplayDocument {
        schema: ReplaySchema::Version1,
        verdict: ReplayVerdict::Different,
        records: 0,
        plan: noted_rows(),
        differences: vec![Difference { metric: "total_orders".into(), before: json!(7), after: Value::Null }],
        differences_left_out: Some(3),
        causes: vec![
            Cause::RecordsGone {
                topic: topic(),
                partition: 0,
                log_start_before: 0,
                log_start_after: 7,
                records_before: Some(9),
                records_after: 2,
            },
            Cause::RecordsChanged {
                topic: topic(),
                partition: 1,
                records: 4,
                digest_before: digest,
                digest_after: digest,
            },
            Cause::TopicRecreated {
                topic: topic(),
                partition: 2,
                end: 9,
                high_watermark: 3,
                log_start_before: None,
                log_start_after: 0,
                id_before: TopicId::of_bits(1),
                id_after: TopicId::of_bits(u128::MAX),
            },
            Cause::LogTruncated {
                topic: topic(),
                partition: 2,
                end: 9,
                high_watermark: 3,
                topic_id: TopicId::of_bits(1),
            },
            Cause::StateLost { topic: topic(), partition: 3, committed: 9, loss: None },
            Cause::StateLost {
                topic: topic(),
                partition: 3,
                committed: 9,
                loss: Some(Loss { of: "counts".into(), expected: 7, found: 3 }),
            },
            Cause::StateForeign {
                topic: topic(),
                partition: 4,
                position: 9,
                committed: 9,
                records_before: None,
                records_after: 2,
            },
            Cause::OffsetsLost { topic: topic(), partition: 5, position: 9 },
            Cause::NothingRead,
            Cause::Defect { differences: 1 },
        ],
        note: Some(Note::FirstPass),
        before: metrics.clone().limited(1, |_| false),
        after: metrics,
    }
}

fn scenario() -> scenario::ScenarioDocument {
    let step = |name: &str, document, ended_by, exit_code| scenario::StepOutcome {
        name: name.into(),
        run: "produce --count 200".into(),
        command: "foodstream produce --count 200".into(),
        background: false,
        started_seconds: 0.0,
        ended_seconds: Some(1.5),
        ended_by: Some(ended_by),
        exit_code,
        document,
        stderr: vec!["warning: …".into()],
        uncommitted: Some(30),
    };
    scenario::ScenarioDocument {
        schema: "foodstream.scenario/1".into(),
        name: "flow".into(),
        description: "Events flow.".into(),
        file: "scenarios/flow.toml".into(),
        verdict: scenario::ScenarioVerdict::Passed,
        broker: scenario::BrokerFacts { embedded: true, address: "127.0.0.1:9".into(), prefix: "flow.".into() },
        version: "0.1.0".into(),
        librdkafka: "2.12.1".into(),
        started: "2026-11-22T12:00:00.123Z".into(),
        elapsed_seconds: 2.25,
        steps: vec![
            step("orders", Some(recorded("produce")), scenario::EndedBy::Itself, Some(0)),
            step("stock", None, scenario::EndedBy::Kill, None),
        ],
        events: vec![scenario::RunEvent {
            at_seconds: 0.5,
            kind: scenario::EventKind::Started,
            step: Some("orders".into()),
            text: "orders began".into(),
        }],
        lag: vec![scenario::LagSeries {
            group: "flow.inventory-consumer-group".into(),
            samples: vec![scenario::LagSample {
                at_seconds: 0.5,
                messages: Some(200),
                seconds: Some(0.25),
                partitions: vec![scenario::PartitionLagSample {
                    topic: "flow.order-events".into(),
                    partition: 0,
                    messages: Some(200),
                    seconds: Some(0.25),
                }],
            }],
            predictions: vec![scenario::Prediction {
                at_seconds: 0.5,
                messages: 200,
                per_second: 100.5,
                drained_at_seconds: 2.5,
                was_drained_at_seconds: Some(2.25),
            }],
        }],
        expectations: vec![scenario::ExpectationOutcome {
            about: "orders".into(),
            value: "exit".into(),
            expected: "0".into(),
            seen: json!(0),
            held: true,
            line: 12,
            why: Some("it is not a number".into()),
        }],
        not_shown: vec!["It does not show several brokers.".into()],
    }
}

fn order(status: OrderStatus) -> Order<'static> {
    let line = |item: &'static str, quantity, cents| OrderLine { item_id: item.into(), quantity, price: Cents(cents) };
    Order {
        order_id: "order \"7\" \u{1b}[31m".into(),
        user_id: "usér_😀".into(),
        restaurant_id: "restaurant_07".into(),
        lines: Lines::from_iter([line("item_3", 2, 850), line("item_8", 1, 5)]),
        total: Cents(1_705),
        status,
        timestamp: EventTime::parse("2026-11-22T12:00:00.123Z").expect("a timestamp"),
    }
}

fn decision(action: Action, reason: Option<Reason>, on_hand: Option<u64>) -> Decision<'static> {
    Decision {
        order_id: "0192".into(),
        restaurant_id: "restaurant_07".into(),
        item_id: "item_3".into(),
        quantity: 2,
        price: Cents(850),
        action,
        reason,
        restocked: 0,
        on_hand,
        line: 0,
        lines: 1,
        source: DecisionSource { partition: 4, offset: 1_234 },
        timestamp: EventTime::parse("2026-11-22T12:00:00.123Z").expect("a timestamp"),
    }
}

fn headers() -> Value {
    json!({
        "foodstream.dlq.reason": "missing_field: order_id is missing",
        "foodstream.dlq.topic": "lab1.order-events",
        "foodstream.dlq.partition": "3",
        "foodstream.dlq.offset": "1234",
        "foodstream.dlq.timestamp": "1795348800123",
    })
}

/// Positions of the ledger, and of analytics during a replay.
fn positions() -> [Position; 2] {
    let ledger = Position {
        next_offset: 12,
        log_start: 3,
        topic_id: TopicId::of_bits(7),
        group: "inventory-consumer-group".into(),
        epoch: None,
        settings: Some(StockSettings::default().to_value()),
        counts: BTreeMap::from([("records".into(), 9)]),
        holds: BTreeMap::from([("items".into(), 4)]),
        digest: Digest::default(),
        until: None,
        started_over: false,
        previous: None,
    };
    let mut analytics = Position { epoch: Some("e1".into()), settings: None, until: Some(40), ..ledger.clone() };
    analytics.previous = analytics.checkpoint();
    [ledger, analytics]
}

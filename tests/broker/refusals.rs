//! States from which `inventory` refuses to continue: moved offsets, other settings, deleted records.

use super::Case;
use super::invariants;
use super::inventory_kills::{GROUP, OPENING_STOCK, RESTOCK_MILLIS};
use super::support::TestEnv;

pub const CASES: &[Case] = &[
    ("refusals::second_run_decides_nothing", second_run),
    ("refusals::offsets_moved_by_kafka_tool", moved_offsets),
    ("refusals::different_settings_or_group", other_settings),
    ("refusals::deleted_unread_records", records_gone),
    ("refusals::recreated_order_topic", recreated),
    ("refusals::colliding_topic_name", name_collision),
];

fn prepare(env: &TestEnv, count: u32) {
    env.run(&format!("produce --count {count} --seed 21 --poison-rate 1%")).expect(0);
    env.run("inventory --until-end").expect(0);
}

fn second_run(env: &TestEnv) {
    prepare(env, 2000);
    let (offsets, ends) = (env.committed(GROUP, "order-events"), env.settled_watermarks("inventory-events"));
    let second = env.document("inventory --until-end");
    assert_eq!(second["orders"], 0);
    assert_eq!(second["transactions_committed"], 0);
    assert_eq!(env.committed(GROUP, "order-events"), offsets);
    assert_eq!(env.settled_watermarks("inventory-events"), ends, "nothing was written, not even a marker");
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

fn moved_offsets(env: &TestEnv) {
    prepare(env, 3000);
    let kept = env.committed(GROUP, "order-events");
    if env.is_kafka() {
        let (group, topic) = (env.topic(GROUP), env.topic("order-events"));
        let args = format!("--reset-offsets --to-earliest --execute --group {group} --topic {topic}");
        env.tool("kafka-consumer-groups", &args);
    } else {
        env.set_offsets(GROUP, "order-events", &[0, 1, 2, 3, 4, 5].map(|partition| (partition, 0)));
    }
    assert_eq!(env.committed(GROUP, "order-events"), [Some(0); 6]);
    let refused = env.run("inventory --until-end").expect(7);
    let named = kept.iter().flatten().any(|offset| refused.stderr.contains(&format!("({offset})")));
    assert!(named && refused.stderr.contains("(0)"), "both numbers: {}", refused.stderr);
    assert!(refused.stderr.contains("foodstream inventory --resume-from-ledger"), "{}", refused.stderr);
    assert_eq!(env.committed(GROUP, "order-events"), [Some(0); 6], "a refused run changes nothing");
    let resumed = env.document("inventory --until-end --resume-from-ledger");
    assert_eq!(resumed["orders"], 0);
    assert_eq!(env.committed(GROUP, "order-events"), kept);
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
    env.run("produce --count 1000 --seed 22").expect(0);
    env.run("inventory --until-end").expect(0);
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

fn other_settings(env: &TestEnv) {
    prepare(env, 500);
    let cases = [
        ("--opening-stock 50", "--opening-stock 100"),
        ("--opening-stock unlimited", "--opening-stock 100"),
        ("--restock-every 2h", "--restock-every 1h"),
        ("--group another", &env.topic(GROUP)),
    ];
    for (args, kept) in cases {
        for resume in ["", "--resume-from-ledger"] {
            let refused = env.run(&format!("inventory --until-end {args} {resume}")).expect(7);
            assert!(refused.stderr.contains(kept), "{args} does not name {kept}: {}", refused.stderr);
        }
    }
    assert_eq!(env.committed("another", "order-events"), [None; 6]);
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

fn records_gone(env: &TestEnv) {
    prepare(env, 2000);
    let kept = env.committed(GROUP, "order-events");
    env.run("produce --count 2000 --seed 23").expect(0);
    let next = kept[2].expect("committed");
    env.delete_records("order-events", 2, next + 10);
    for args in ["inventory --until-end", "inventory --until-end --resume-from-ledger"] {
        let refused = env.run(args).expect(7);
        let numbers = [next, next + 10].map(|offset| refused.stderr.contains(&offset.to_string()));
        assert_eq!(numbers, [true; 2], "{}", refused.stderr);
        assert!(refused.stderr.contains("--prefix"), "the hint suggests another prefix: {}", refused.stderr);
    }
    assert_eq!(env.committed(GROUP, "order-events"), kept);
}

fn recreated(env: &TestEnv) {
    prepare(env, 2000);
    let decisions = env.settled_watermarks("inventory-events");
    env.delete_topic("order-events");
    env.create_topic("order-events", 6, &[]);
    for count in [0, 500] {
        if count > 0 {
            env.run(&format!("produce --count {count} --seed 24")).expect(0);
        }
        for args in ["inventory --until-end", "inventory --until-end --resume-from-ledger"] {
            let refused = env.run(args).expect(7);
            let is_named =
                refused.stderr.contains("was deleted and created again") && refused.stderr.contains("--start-over");
            assert!(is_named, "{}", refused.stderr);
        }
    }
    assert_eq!(env.settled_watermarks("inventory-events"), decisions, "nothing was decided");
}

/// Kafka treats `.` and `_` as equal in metric names, and refuses a topic that differs from another one only in them.
fn name_collision(env: &TestEnv) {
    let dotted = env.other("a");
    dotted.run("produce --count 1 --seed 1 --partitions 1").expect(0);
    let underscored = env.named(&format!("{}_", dotted.prefix.trim_end_matches('.')));
    let refused = underscored.run("produce --count 1 --seed 1 --partitions 1").expect(2);
    let (name, other) = (underscored.topic("order-events"), dotted.topic("order-events"));
    for is_named in
        [format!("creating the topic {name}: "), "collides".into(), other, "hint: Kafka treats names".into()]
    {
        assert!(refused.stderr.contains(&is_named), "{is_named} is not in {}", refused.stderr);
    }
    assert_eq!(underscored.topics(), Vec::<String>::new());
}

//! Owns what `inventory` refuses to go on from: offsets that somebody moved, other settings, records that are gone.

use super::Case;
use super::chaos::{GROUP, OPENING, RESTOCK_MILLIS};
use super::support::Lab;
use super::truth;

pub const CASES: &[Case] = &[
    ("refusals::a_second_run_decides_nothing_new", second_run),
    ("refusals::offsets_moved_by_kafkas_own_tool_are_refused_and_the_ledger_goes_on", moved),
    ("refusals::other_settings_or_another_group_are_refused_by_the_kept_ones", other_settings),
    ("refusals::unread_records_that_are_gone_are_refused", records_gone),
    ("refusals::an_order_topic_created_again_is_refused", created_again),
    ("refusals::a_topic_that_collides_with_another_is_told_in_the_brokers_words", collision),
];

fn prepare(lab: &Lab, count: u32) {
    lab.run(&format!("produce --count {count} --seed 21 --poison-rate 1%")).expect(0);
    lab.run("inventory --until-end").expect(0);
}

fn second_run(lab: &Lab) {
    prepare(lab, 2000);
    let (offsets, ends) = (lab.committed(GROUP, "order-events"), lab.settled("inventory-events"));
    let second = lab.document("inventory --until-end");
    assert_eq!(second["orders"], 0);
    assert_eq!(second["transactions_committed"], 0);
    assert_eq!(lab.committed(GROUP, "order-events"), offsets);
    assert_eq!(lab.settled("inventory-events"), ends, "nothing was written, not even a marker");
    truth::check(lab, OPENING, RESTOCK_MILLIS);
}

fn moved(lab: &Lab) {
    prepare(lab, 3000);
    let kept = lab.committed(GROUP, "order-events");
    if lab.is_kafka() {
        let (group, topic) = (lab.topic(GROUP), lab.topic("order-events"));
        let words = format!("--reset-offsets --to-earliest --execute --group {group} --topic {topic}");
        lab.tool("kafka-consumer-groups", &words);
    } else {
        lab.set_offsets(GROUP, "order-events", &[0, 1, 2, 3, 4, 5].map(|partition| (partition, 0)));
    }
    assert_eq!(lab.committed(GROUP, "order-events"), [Some(0); 6]);
    let refused = lab.run("inventory --until-end").expect(7);
    let named = kept.iter().flatten().any(|offset| refused.stderr.contains(&format!("({offset})")));
    assert!(named && refused.stderr.contains("(0)"), "both numbers: {}", refused.stderr);
    assert!(refused.stderr.contains("foodstream inventory --resume-from-ledger"), "{}", refused.stderr);
    assert_eq!(lab.committed(GROUP, "order-events"), [Some(0); 6], "a refusal changes nothing");
    let resumed = lab.document("inventory --until-end --resume-from-ledger");
    assert_eq!(resumed["orders"], 0);
    assert_eq!(lab.committed(GROUP, "order-events"), kept);
    truth::check(lab, OPENING, RESTOCK_MILLIS);
    lab.run("produce --count 1000 --seed 22").expect(0);
    lab.run("inventory --until-end").expect(0);
    truth::check(lab, OPENING, RESTOCK_MILLIS);
}

fn other_settings(lab: &Lab) {
    prepare(lab, 500);
    let cases = [
        ("--opening-stock 50", "--opening-stock 100"),
        ("--opening-stock unlimited", "--opening-stock 100"),
        ("--restock-every 2h", "--restock-every 1h"),
        ("--group another", &lab.topic(GROUP)),
    ];
    for (words, kept) in cases {
        for resume in ["", "--resume-from-ledger"] {
            let refused = lab.run(&format!("inventory --until-end {words} {resume}")).expect(7);
            assert!(refused.stderr.contains(kept), "{words} does not name {kept}: {}", refused.stderr);
        }
    }
    assert_eq!(lab.committed("another", "order-events"), [None; 6]);
    truth::check(lab, OPENING, RESTOCK_MILLIS);
}

fn records_gone(lab: &Lab) {
    prepare(lab, 2000);
    let kept = lab.committed(GROUP, "order-events");
    lab.run("produce --count 2000 --seed 23").expect(0);
    let next = kept[2].expect("committed");
    lab.delete_records("order-events", 2, next + 10);
    for words in ["inventory --until-end", "inventory --until-end --resume-from-ledger"] {
        let refused = lab.run(words).expect(7);
        let numbers = [next, next + 10].map(|offset| refused.stderr.contains(&offset.to_string()));
        assert_eq!(numbers, [true; 2], "{}", refused.stderr);
        assert!(refused.stderr.contains("--prefix"), "the way on: {}", refused.stderr);
    }
    assert_eq!(lab.committed(GROUP, "order-events"), kept);
}

fn created_again(lab: &Lab) {
    prepare(lab, 2000);
    let decisions = lab.settled("inventory-events");
    lab.delete_topic("order-events");
    lab.create_topic("order-events", 6, &[]);
    for count in [0, 500] {
        if count > 0 {
            lab.run(&format!("produce --count {count} --seed 24")).expect(0);
        }
        for words in ["inventory --until-end", "inventory --until-end --resume-from-ledger"] {
            let refused = lab.run(words).expect(7);
            let told =
                refused.stderr.contains("was deleted and created again") && refused.stderr.contains("--start-over");
            assert!(told, "{}", refused.stderr);
        }
    }
    assert_eq!(lab.settled("inventory-events"), decisions, "nothing was decided");
}

/// Kafka takes `.` and `_` for the same in the names of its metrics, and so makes no topic beside one that differs in them only.
fn collision(lab: &Lab) {
    let dotted = lab.other("a");
    dotted.run("produce --count 1 --seed 1 --partitions 1").expect(0);
    let underscored = lab.named(&format!("{}_", dotted.prefix.trim_end_matches('.')));
    let refused = underscored.run("produce --count 1 --seed 1 --partitions 1").expect(2);
    let (name, other) = (underscored.topic("order-events"), dotted.topic("order-events"));
    for told in [format!("creating the topic {name}: "), "collides".into(), other, "hint: Kafka takes names".into()] {
        assert!(refused.stderr.contains(&told), "{told} is not in {}", refused.stderr);
    }
    assert_eq!(underscored.topics(), Vec::<String>::new());
}

//! Owns what a replay finds different, each cause with its numbers, and the way on from there.

use serde_json::Value;

use super::Case;
use super::copy::copy;
use super::groups::{GROUP, SOURCES, assert_agree, counted, decided, live_keys, offsets, set_offsets};
use super::support::{Lab, Stored};

pub const CASES: &[Case] = &[
    ("replay::records_gone_are_told_with_numbers_and_undo_restores", records_gone),
    ("replay::a_comparison_sees_one_changed_record", one_changed_record),
    ("replay::lost_moved_and_foreign_offsets_are_told_and_mended", offsets_of_others),
    ("replay::a_replay_of_nothing_proves_nothing", nothing),
];

fn causes(document: &Value) -> Vec<&str> {
    document["causes"]
        .as_array()
        .expect("causes")
        .iter()
        .map(|cause| cause["cause"].as_str().expect("a word"))
        .collect()
}

fn without_prefix(lab: &Lab, document: &Value) -> String {
    document.to_string().replace(&lab.prefix, "")
}

fn records_gone(lab: &Lab) {
    counted(lab, 1_500);
    let (stood, before) = (offsets(lab, GROUP), lab.document("analytics --until-end"));
    lab.delete_records("order-events", 1, 50);
    let run = lab.run("replay --output json").expect(3);
    let document = run.document();
    assert_eq!((&document["verdict"], &document["before"]), (&Value::from("different"), &before));
    assert_eq!(causes(&document), ["records_gone"]);
    let cause = &document["causes"][0];
    assert_eq!((&cause["topic"], &cause["partition"]), (&Value::from(lab.topic("order-events")), &Value::from(1)));
    assert_eq!((&cause["log_start_before"], &cause["log_start_after"]), (&Value::from(0), &Value::from(50)));
    let counted = |field: &str| cause[field].as_u64().expect("a count");
    assert_eq!(counted("records_before"), counted("records_after") + 50);
    let lost = before["total_orders"].as_u64().expect("a count")
        - document["after"]["total_orders"].as_u64().expect("a count");
    assert_eq!(lost, 50);
    let named =
        |metric: &str| document["differences"].as_array().expect("rows").iter().any(|found| found["metric"] == metric);
    assert!(named("total_orders"));
    assert_eq!(offsets(lab, GROUP), stood);
    assert_agree(lab, GROUP);

    assert_eq!(lab.document("replay --undo"), before, "though the records are gone");
    assert_eq!(offsets(lab, GROUP), stood);
    assert_agree(lab, GROUP);
    assert_eq!(lab.document("analytics --until-end"), before);

    // Everything is gone, up to behind where the group stood: it is still left where it was.
    lab.run("produce --count 300 --seed 9").expect(0);
    for (partition, (_, end)) in (0..).zip(lab.watermarks("order-events")) {
        lab.delete_records("order-events", partition, end);
    }
    let document = lab.run("replay --output json").expect(3).document();
    assert_eq!(causes(&document), ["records_gone"; 3]);
    assert_eq!(document["before"], before);
    assert_eq!(offsets(lab, GROUP), stood);
    assert_agree(lab, GROUP);
    assert_eq!(lab.document("replay --undo"), before);
    assert_agree(lab, GROUP);
}

fn one_changed_record(lab: &Lab) {
    counted(lab, 400);
    let good = lab.document("replay");
    let replayed = |name: &str, code: i32, change: &mut dyn FnMut(&str, &mut Stored)| {
        let other = lab.other(name);
        copy(lab, &other, change);
        let run = other.run("replay --output json").expect(code);
        let document = run.document();
        assert_eq!(without_prefix(&other, &document["before"]), without_prefix(lab, &good["before"]), "{name}");
        assert_agree(&other, GROUP);
        (other, document)
    };
    // The copy is proved good first, and with it that record timestamps are in no metric.
    let (_, document) = replayed("same", 0, &mut |_, _| {});
    assert_eq!(document["verdict"], "identical");

    let alter = |record: &mut Stored, from: &str, to: &str| {
        let text = String::from_utf8(record.value.take().expect("a value")).expect("text");
        let changed = text.contains(from);
        record.value = Some(text.replacen(from, to, 1).into_bytes());
        changed
    };
    let mut changes = 0;
    let (other, document) = replayed("digit", 3, &mut |topic, record| {
        let reserves = record.json()["action"] == "reserve" && record.json()["quantity"] == 1;
        if topic == SOURCES[1] && record.partition == 1 && changes == 0 && reserves {
            changes += usize::from(alter(record, "\"quantity\":1,", "\"quantity\":2,"));
        }
    });
    assert_eq!(changes, 1, "one record was altered");
    assert_eq!(causes(&document), ["records_changed"]);
    let cause = &document["causes"][0];
    assert_eq!((&cause["topic"], &cause["partition"]), (&Value::from(other.topic(SOURCES[1])), &Value::from(1)));
    assert_ne!(cause["digest_before"], cause["digest_after"]);
    let metrics: Vec<&str> = document["differences"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|found| found["metric"].as_str().expect("a path"))
        .collect();
    assert!(metrics.contains(&"inventory.reserved_revenue"), "{metrics:?}");
    let text = other.run("replay --undo").expect(0);
    assert!(text.stderr.contains("before its last switch"), "{}", text.stderr);

    let mut changes = 0;
    let (_, document) = replayed("unknown", 3, &mut |topic, record| {
        if topic == SOURCES[0] && record.partition == 2 && changes == 0 {
            changes += usize::from(alter(record, "{", "{\"note\":1,"));
        }
    });
    assert_eq!(changes, 1, "one record was altered");
    assert_eq!(causes(&document), ["records_changed"], "though it changes no metric");
    assert_eq!(document["differences"].as_array().expect("rows").len(), 1, "but its digest");
}

fn offsets_of_others(lab: &Lab) {
    counted(lab, 600);
    let metrics = lab.document("analytics --until-end");
    let stood = offsets(lab, GROUP);

    // Moved by another client.
    lab.set_offsets(GROUP, "order-events", &[(0, 7)]);
    let refused = lab.run("analytics --until-end").expect(7);
    let end = stood[0][0].expect("an offset");
    assert!(refused.stderr.contains("(7)") && refused.stderr.contains(&format!("({end})")), "{}", refused.stderr);
    assert!(refused.stderr.contains("--resume-from-state"), "{}", refused.stderr);
    let state = live_keys(lab);
    let different = lab.run("replay --output json").expect(3).document();
    assert_eq!(causes(&different), ["state_foreign"]);
    assert_eq!(
        (&different["causes"][0]["position"], &different["causes"][0]["committed"]),
        (&Value::from(end), &Value::from(7))
    );
    assert_eq!(live_keys(lab), state, "nothing is rewound from where nobody knows how it got there");
    assert_eq!(lab.document("analytics --until-end --resume-from-state"), metrics);
    assert_eq!(offsets(lab, GROUP), stood);

    // Deleted.
    lab.delete_group(GROUP);
    let lost = lab.run("replay --output json").expect(3).document();
    assert!(causes(&lost).contains(&"offsets_lost"), "{lost}");
    assert_eq!(lost["before"], metrics);
    assert_eq!(lab.document("analytics --until-end --resume-from-state"), metrics);
    assert_eq!(lab.document("replay")["verdict"], "identical");

    // Of another program.
    set_offsets(lab, "foreign", &stood);
    for words in
        ["replay", "replay --dry-run", "replay --shadow", "analytics --from-beginning", "analytics --until-end"]
    {
        let refused = lab.run(&format!("{words} --group foreign")).expect(7);
        assert!(refused.stderr.contains("foreign") || refused.stderr.contains("not equal"), "{}", refused.stderr);
    }
    assert_eq!(offsets(lab, "foreign"), stood);
}

fn nothing(lab: &Lab) {
    lab.create_topic("order-events", 3, &[]);
    let document = lab.run("replay --output json").expect(3).document();
    assert_eq!(causes(&document), ["nothing_read"]);
    assert_eq!(document["records"], 0);
    let none = lab.other("none");
    for words in ["replay", "replay --undo", "replay --shadow", "analytics --from-beginning"] {
        let refused = none.run(words).expect(7);
        assert!(refused.stderr.contains(&format!("--prefix {}", lab.prefix)), "{words}: {}", refused.stderr);
    }
    decided(&none, 50);
    let refused = none.run("replay --undo").expect(7);
    assert!(refused.stderr.contains("no switch to undo"), "{}", refused.stderr);
    // At the end already: a rewind to there reads nothing.
    none.run("analytics --until-end").expect(0);
    assert_eq!(causes(&none.run("replay --to-offset 99999 --output json").expect(3).document()), ["nothing_read"]);
    assert_agree(&none, GROUP);
}

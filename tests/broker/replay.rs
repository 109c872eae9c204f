//! Owns the proof that a replay rewinds the group itself, reads everything again, and leaves everything else alone.

use serde_json::Value;

use super::Case;
use super::groups::{
    GROUP, SHORT, Watch, assert_agree, counted, decided, epochs, live_keys, offsets, positions, until_members,
};
use super::support::{Lab, until};
use rustix::process::Signal;

pub const CASES: &[Case] = &[
    ("replay::a_fresh_group_is_not_passed_off_as_a_rewind", the_group_itself_moves),
    ("replay::earliest_is_not_taken_for_a_rewind_of_a_group_with_commits", earliest_reads_everything_again),
    ("replay::outcomes_are_neither_rolled_again_nor_emitted_twice", outcomes_stand),
    ("replay::a_live_group_is_refused_by_name_waited_for_or_shadowed", live_members),
    ("replay::who_joins_meanwhile_starts_after_the_rewind_and_nothing_is_half", a_joiner),
    ("replay::a_dry_run_shows_the_plan_and_changes_nothing", dry_runs_and_targets),
    ("replay::a_group_with_nothing_gets_a_first_pass_and_is_told", first_pass),
    ("replay::old_epochs_are_deleted", old_epochs),
];

fn records(lab: &Lab) -> usize {
    lab.read("order-events").len() + lab.read("inventory-events").len()
}

/// The lag of the group's partitions as others see it: Kafka's own tool, where there is one.
fn seen_lags(lab: &Lab) -> Vec<i64> {
    if !lab.is_kafka() {
        let ends = ["order-events", "inventory-events"].map(|topic| lab.stable_ends(topic)).concat();
        return ends.iter().zip(offsets(lab, GROUP).concat()).map(|(end, at)| end - at.expect("an offset")).collect();
    }
    let described = lab.tool("kafka-consumer-groups", &format!("--describe --group {}", lab.topic(GROUP)));
    described
        .lines()
        .filter(|line| line.contains("order-events") || line.contains("inventory-events"))
        .map(|line| line.split_whitespace().nth(5).expect("a lag").parse().expect("a number"))
        .collect()
}

/// The group is looked at while the replay stands still in the middle of it.
fn the_group_itself_moves(lab: &Lab) {
    counted(lab, 20_000);
    let (before, groups) = (offsets(lab, GROUP), lab.groups(&lab.prefix));
    let watch = Watch::new(lab, GROUP);
    let mut replay = lab.start("replay --output json -X session.timeout.ms=60000 -X transaction.timeout.ms=50000");
    let rewound = until("an offset below the old one", || {
        assert!(!replay.has_ended(), "the replay ended and no offset had moved back");
        watch.rewound()
    });
    replay.signal(Signal::STOP);
    let lags = seen_lags(lab);
    replay.signal(Signal::CONT);
    assert_eq!(lags.len(), 6, "{lags:?}");
    assert!(lags.iter().any(|lag| *lag > 100), "the group is seen behind: {lags:?}");
    assert!(rewound.contains(&0), "at the log's start: {rewound:?}");
    let document = replay.end().expect(0).document();
    assert_eq!(document["verdict"], "identical");
    assert!(watch.is_back(), "{:?}", watch.look());
    assert_eq!(offsets(lab, GROUP), before);
    assert_agree(lab, GROUP);
    assert_eq!(lab.groups(&lab.prefix), groups, "no other group was made");
    let again = lab.document("replay");
    assert_eq!(again["verdict"], "identical", "a second one too");
    assert_eq!(again["before"], document["before"]);
}

fn earliest_reads_everything_again(lab: &Lab) {
    counted(lab, 1_000);
    let written = records(lab);
    for words in ["replay --to-earliest", "replay"] {
        let document = lab.document(words);
        assert_eq!(document["records"], written, "{words}");
        for row in document["plan"].as_array().expect("rows") {
            assert_eq!((&row["to"], &row["from"]), (&Value::from(0), &row["end"]), "{row}");
        }
    }
    let text = lab.run("replay").expect(0);
    assert!(text.stdout.contains("identical"), "{}", text.stdout);
}

fn outcomes_stand(lab: &Lab) {
    counted(lab, 2_000);
    let topics = ["order-events", "inventory-events", "inventory-ledger", "order-events-dlq"];
    let all = || topics.map(|topic| (lab.settled(topic), lab.read_as(topic, "read_uncommitted")));
    let decider = || lab.committed("inventory-consumer-group", "order-events");
    let (before, inventory) = (all(), decider());
    let document = lab.document("replay");
    assert_eq!(document["before"]["inventory"], document["after"]["inventory"]);
    assert!(all() == before, "a replay wrote to the topics of orders or decisions");
    assert_eq!(decider(), inventory);
    let report = lab.document("inventory --until-end");
    assert_eq!(report["orders"], 0, "and there is nothing to decide again");
}

fn live_members(lab: &Lab) {
    counted(lab, 2_000);
    let expected = lab.document("analytics --from-beginning --group other");
    let mut live = lab.start(&format!("analytics {SHORT}"));
    until_members(lab, GROUP, 1);
    let (offsets_before, state) = (offsets(lab, GROUP), live_keys(lab));

    let refused = lab.run("replay").expect(7);
    assert!(refused.stderr.contains("foodstream at") && refused.stderr.contains("--wait-empty"), "{}", refused.stderr);
    assert!(!lab.folder().join("metrics_initial.txt").exists(), "and no file is left");
    let passed = lab.run("analytics --from-beginning --output json").expect(0);
    assert!(passed.stderr.contains("live") && passed.stderr.contains("left alone"), "{}", passed.stderr);
    assert_eq!(passed.document(), expected);
    let shadow = lab.document("replay --shadow");
    assert_eq!(shadow["verdict"], "identical");
    assert_eq!(shadow["after"], expected);
    assert_eq!(offsets(lab, GROUP), offsets_before);
    assert_eq!(live_keys(lab), state, "none of them wrote");
    lab.run("replay --undo").expect(7);

    // Also while the group commits without pause.
    let mut produce = lab.start("produce --rate 3000/s --duration 120s --seed 8");
    for shadow in 0..4 {
        assert!(!produce.has_ended(), "shadow {shadow}");
        assert_eq!(lab.document("replay --shadow")["verdict"], "identical", "shadow {shadow}");
    }
    produce.signal(Signal::INT);
    produce.end().expect(130);

    let mut waiting = lab.start("replay --wait-empty 60s --output json");
    assert!(lab.run("replay --wait-empty 100ms").expect(7).stderr.contains("its members are"));
    assert!(!waiting.has_ended() && !live.has_ended(), "it waits");
    // What the members count while they are waited for belongs to what is frozen.
    lab.run("produce --count 500 --seed 9").expect(0);
    let ends: Vec<Option<i64>> = lab.watermarks("order-events").iter().map(|(_, end)| Some(*end)).collect();
    until("the group to count them", || (lab.committed(GROUP, "order-events") == ends).then_some(()));
    live.signal(Signal::INT);
    live.end().expect(0);
    assert_eq!(waiting.end().expect(0).document()["verdict"], "identical");
    assert_agree(lab, GROUP);
}

fn a_joiner(lab: &Lab) {
    counted(lab, 20_000);
    let expected = lab.document("analytics --from-beginning --group other");
    let watch = Watch::new(lab, GROUP);
    let mut replay = lab.start("replay --output json");
    until("the rewind", || {
        assert!(!replay.has_ended(), "ended before anybody could join");
        watch.rewound()
    });
    let joiner = lab.start("analytics --until-end --output json");
    let replay = replay.end();
    assert!([0, 7].contains(&replay.code()), "{replay:?}");
    if replay.code() == 7 {
        assert!(replay.stderr.contains("joined"), "{}", replay.stderr);
    }
    assert_eq!(joiner.end().expect(0).document(), expected, "who joined counts to the same end");
    assert_agree(lab, GROUP);
    assert_eq!(lab.document("analytics --until-end"), expected);
    assert_eq!(lab.document("replay")["verdict"], "identical");
}

fn dry_runs_and_targets(lab: &Lab) {
    counted(lab, 1_500);
    lab.delete_records("order-events", 0, 20);
    lab.run("analytics --from-beginning").expect(0);
    let stands = |lab: &Lab| (offsets(lab, GROUP), lab.settled("analytics-state"), lab.groups(&lab.prefix));
    let before = stands(lab);
    let plan = |words: &str| lab.document(words)["plan"].as_array().expect("rows").clone();
    let row = |plan: &[Value], topic: &str, partition: i64| {
        let topic = lab.topic(topic);
        plan.iter().find(|row| row["topic"] == topic.as_str() && row["partition"] == partition).expect("a row").clone()
    };
    let low = plan("replay --dry-run --to-offset 10");
    assert_eq!(row(&low, "order-events", 0)["to"], 20);
    assert_eq!(row(&low, "order-events", 0)["note"]["raised"]["asked"], 10);
    assert_eq!(row(&low, "order-events", 1)["to"], 10);
    assert!(row(&low, "order-events", 1)["note"].is_null());
    let high = row(&plan("replay --dry-run --to-offset 99999999"), "order-events", 1);
    assert_eq!(high["to"], high["from"]);
    assert_eq!(high["note"]["lowered"]["asked"], 99_999_999);
    let text = lab.run("replay --dry-run --to-offset 10").expect(0).stdout;
    assert!(text.contains("raised from 10, below the log start"), "{text}");
    let text = lab.run("replay --dry-run --to-offset 99999999").expect(0).stdout;
    assert!(text.contains("lowered from 99999999"), "{text}");
    assert_eq!(stands(lab), before, "a dry run changes nothing");

    let document = lab.document("replay --to-offset 100 --initial-file first.txt --after-file second.txt");
    assert_eq!(document["verdict"], "identical");
    assert_eq!(row(document["plan"].as_array().expect("rows"), "order-events", 2)["to"], 100);
    assert!(document["records"].as_u64().expect("a count") < records(lab) as u64, "only from the middle on");
    let [first, second] =
        ["first.txt", "second.txt"].map(|name| std::fs::read_to_string(lab.folder().join(name)).expect("written"));
    assert_eq!(first, second);
    assert!(first.contains("Total Orders") && first.contains("Orders by Minute"), "{first}");
    assert_eq!(offsets(lab, GROUP), before.0);
    assert_agree(lab, GROUP);
    assert_eq!(lab.document("replay")["before"], document["before"], "and the state is whole behind it");

    let nowhere = lab.other("nowhere");
    let refused = nowhere.run("replay --dry-run").expect(7);
    assert!(refused.stderr.contains(&lab.prefix), "the prefixes that exist are named: {}", refused.stderr);
    let bare = lab.other("bare");
    bare.run("produce --count 10 --partitions 2").expect(0);
    bare.run("replay --dry-run").expect(0);
    bare.run("replay --shadow").expect(3);
    bare.run("analytics --from-beginning --no-commit").expect(0);
    assert_eq!(bare.topics().len(), 1, "no topic was made");
}

fn first_pass(lab: &Lab) {
    decided(lab, 500);
    let document = lab.document("replay");
    assert_eq!((&document["verdict"], &document["note"]), (&Value::from("identical"), &Value::from("first_pass")));
    assert_agree(lab, GROUP);
    assert!(lab.document("replay")["note"].is_null(), "only the first time");

    // What a killed first pass leaves behind counts for nothing: keys of an epoch that no position names.
    let (group, other) = (lab.topic(GROUP), lab.topic("other"));
    let left: Vec<(i32, Vec<u8>, Vec<u8>)> = live_keys(lab)
        .into_iter()
        .filter(|((_, key), _)| !key.starts_with(b"[\"@position\""))
        .map(|((partition, key), value)| {
            (partition, String::from_utf8_lossy(&key).replace(&group, &other).into_bytes(), value)
        })
        .collect();
    let left: Vec<_> =
        left.iter().map(|(partition, key, value)| (*partition, Some(key.as_slice()), Some(value.as_slice()))).collect();
    lab.put("analytics-state", &left);
    let document = lab.document("replay --group other");
    assert_eq!((&document["verdict"], &document["note"]), (&Value::from("identical"), &Value::from("first_pass")));
    assert!(epochs(lab, "other").values().all(|epochs| epochs.len() <= 2), "and is deleted");
}

fn old_epochs(lab: &Lab) {
    counted(lab, 500);
    for _ in 0..3 {
        lab.run("replay").expect(0);
    }
    let epochs = epochs(lab, GROUP);
    assert_eq!(epochs.len(), 6, "{epochs:?}");
    for (place, epochs) in epochs {
        assert!(epochs.len() <= 2, "{place:?}: {epochs:?}");
    }
    for (place, position) in positions(lab, GROUP) {
        assert!(position["until"].is_null() && position["previous"].is_object(), "{place:?}: {position}");
    }
}

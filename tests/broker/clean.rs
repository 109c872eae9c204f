//! Owns the cases about `clean`: exactly its prefix, nothing under a member's feet, and no half of it for ever.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use rustix::process::Signal;
use serde_json::Value;

use super::Case;
use super::joined::Joined;
use super::support::{Lab, until};

pub const CASES: &[Case] = &[
    ("clean::deletes_exactly_its_prefix_and_nothing_of_a_neighbour", exactly_its_prefix),
    ("clean::is_refused_while_somebody_reads_the_topics", live_groups),
    ("clean::run_again_finishes_what_was_killed_in_the_middle", killed),
    ("clean::asks_at_a_terminal", asks),
];

const TOPICS: [&str; 5] =
    ["analytics-state", "inventory-events", "inventory-ledger", "order-events", "order-events-dlq"];

/// Orders, decisions and the offsets of the inventory group.
fn fill(lab: &Lab) {
    lab.run("produce --count 100 --seed 1 --partitions 2").expect(0);
    lab.run("inventory --until-end").expect(0);
}

/// What a kill leaves to be found again: topics with records, and a group with an offset.
fn sketch(lab: &Lab) {
    lab.run("produce --count 10 --seed 1 --partitions 2").expect(0);
    lab.create_topic("inventory-ledger", 2, &[]);
    lab.set_offsets("inventory-consumer-group", "order-events", &[(0, 1)]);
}

/// The topics that begin with the prefix, in the order of their names.
fn topics(lab: &Lab) -> Vec<String> {
    let mut topics = lab.topics();
    topics.sort();
    topics
}

fn names(document: &Value, list: &str) -> Vec<String> {
    let rows = document[list].as_array().expect("rows").iter();
    rows.map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
}

/// Commits offsets in the name of a group with any name, as a foreign program does.
fn commit(lab: &Lab, group: &str, topics: &[String]) {
    let mut list = TopicPartitionList::new();
    for topic in topics {
        list.add_partition_offset(topic, 0, Offset::Offset(1)).expect("listed");
    }
    lab.of_group("read_uncommitted", group).commit(&list, CommitMode::Sync).expect("committed");
}

fn exactly_its_prefix(lab: &Lab) {
    // `lab1.` beside `lab1.x`, and beside `lab10.`: the one begins with it, the other with all of it but the dot.
    let nested = lab.named(&format!("{}x", lab.prefix));
    let longer = lab.named(&format!("{}0.", lab.prefix.trim_end_matches('.')));
    fill(lab);
    sketch(&nested);
    sketch(&longer);
    lab.run("analytics --until-end").expect(0);
    lab.run("analytics --until-end --group mine").expect(0);
    let common = lab.prefix.trim_end_matches('.');
    let (console, both) = (format!("console-{common}"), format!("both-{common}"));
    commit(lab, &console, &[lab.topic("order-events")]);
    commit(lab, &both, &[lab.topic("order-events"), nested.topic("order-events")]);
    // A group of a neighbour that has nothing but its name.
    commit(lab, &nested.topic("late-consumer-group"), &[nested.topic("order-events")]);

    let before = (topics(lab), lab.groups(common), nested.watermarks("order-events"));
    for topic in TOPICS {
        lab.settled(topic);
    }
    let shown = lab.document("clean --dry-run");
    assert_eq!(shown["schema"], "foodstream.clean/1");
    assert_eq!(shown["deleted"], false);
    assert_eq!(names(&shown, "topics"), TOPICS.map(|topic| lab.topic(topic)));
    let mut expected =
        ["analytics-consumer-group", "inventory-consumer-group", "mine"].map(|group| lab.topic(group)).to_vec();
    expected.insert(0, console.clone());
    expected.sort();
    assert_eq!(names(&shown, "groups"), expected);
    assert_eq!(names(&shown, "kept"), std::slice::from_ref(&both));
    assert_eq!(shown["kept"][0]["reason"], "other_topics");
    for row in shown["topics"].as_array().expect("rows") {
        let topic = row["name"].as_str().expect("a name").strip_prefix(&lab.prefix).expect("of this laboratory");
        let records: i64 = lab.watermarks(topic).iter().map(|(start, end)| end - start).sum();
        assert_eq!((row["records"].as_i64(), row["partitions"].as_i64()), (Some(records), Some(2)), "{topic}");
    }
    let refused = lab.run("clean").expect(2);
    assert!(refused.stderr.contains("--yes") && refused.stderr.contains("--dry-run"), "{}", refused.stderr);
    assert_eq!((topics(lab), lab.groups(common), nested.watermarks("order-events")), before, "nothing was deleted");

    let text = lab.run("clean --dry-run").expect(0).stdout;
    let done = lab.document("clean --yes");
    assert_eq!(done["deleted"], true);
    assert_eq!((names(&done, "topics"), names(&done, "groups")), (names(&shown, "topics"), expected));
    assert!(text.contains("To be deleted: 5 topics with ") && text.contains(", 4 groups"), "{text}");
    // At once, and only them.
    let left: Vec<String> = before.0.into_iter().filter(|topic| topic.starts_with(&nested.prefix)).collect();
    assert_eq!((topics(lab), left.len()), (left, 2));
    assert_eq!(nested.watermarks("order-events"), before.2);
    assert_eq!(
        lab.groups(common),
        BTreeSet::from([
            nested.topic("inventory-consumer-group"),
            nested.topic("late-consumer-group"),
            longer.topic("inventory-consumer-group"),
        ])
    );
    assert_eq!(lab.groups(&both), BTreeSet::from([both.clone()]));
    assert_eq!(lab.groups(&console), BTreeSet::new());
    let nothing = lab.run("clean --yes").expect(0);
    assert!(nothing.stdout.starts_with("Nothing to delete: "), "{}", nothing.stdout);

    // A fresh start, as if nothing had ever been.
    lab.run("produce --count 100 --seed 1 --partitions 2").expect(0);
    assert_eq!(lab.document("inventory --until-end")["orders"], 100);
    for lab in [&nested, &longer, lab] {
        assert_eq!(lab.document("clean --yes")["deleted"], true);
    }
    assert_eq!((topics(lab), lab.groups(common)), (Vec::new(), BTreeSet::new()));
}

fn live_groups(lab: &Lab) {
    lab.run("produce --count 10 --seed 1 --partitions 2").expect(0);
    let refused = |named: &str| {
        let refused = lab.run("clean --yes").expect(7);
        for words in [named, "has members (", "nothing was deleted", "hint: stop them"] {
            assert!(refused.stderr.contains(words), "{words} is not in {}", refused.stderr);
        }
        assert!(topics(lab).contains(&lab.topic("order-events")));
        let shown = lab.run("clean --dry-run").expect(0);
        assert!(shown.stderr.contains("it would be refused now") && shown.stderr.contains(named), "{}", shown.stderr);
    };
    let running = lab.start("inventory");
    until("it joins", || (!lab.members("inventory-consumer-group").is_empty()).then_some(()));
    refused(&lab.topic("inventory-consumer-group"));
    running.signal(Signal::INT);
    running.end().expect(0);

    // One of another program that reads the topics, and has committed nothing yet.
    let console = format!("console-{}", lab.prefix.trim_end_matches('.'));
    let reader = Joined::member(lab, &console, &lab.topic("order-events"), &[]);
    refused(&console);
    drop(reader);
    until("it leaves", || lab.members_of(&console).is_empty().then_some(()));
    let done = lab.run("clean --yes").expect(0);
    assert!(done.stdout.contains("Deleted: 4 topics with "), "{}", done.stdout);
    assert_eq!(topics(lab), Vec::<String>::new());
}

fn killed(lab: &Lab) {
    let finishes = |what: &str| {
        lab.run("clean --yes").expect(0);
        assert_eq!(topics(lab), Vec::<String>::new(), "{what}");
        assert_eq!(lab.groups(&lab.prefix), BTreeSet::new(), "{what}");
    };
    // At whatever point the process is when its first work is seen, or before.
    for waits in [false, true] {
        sketch(lab);
        let mut running = lab.start("clean --yes");
        if waits {
            until("the group goes, or the command ends", || {
                (running.has_ended() || lab.groups(&lab.prefix).is_empty()).then_some(())
            });
        }
        running.kill();
        finishes("after a kill");
    }
    // And at the two points in between.
    sketch(lab);
    lab.delete_group("inventory-consumer-group");
    finishes("without the group");
    sketch(lab);
    lab.delete_group("inventory-consumer-group");
    for topic in ["order-events", "inventory-ledger"] {
        lab.delete_topic(topic);
    }
    finishes("with half the topics");
}

/// The program at a terminal of `script` (util-linux), with what is typed there; `None` where there is no `script`.
fn at_a_terminal(lab: &Lab, words: &str, typed: &str) -> Option<(Option<i32>, String)> {
    let line = format!("{} {words} -b {} --prefix {}", env!("CARGO_BIN_EXE_foodstream"), lab.broker, lab.prefix);
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(lab.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    // The terminal keeps what is typed until somebody reads it.
    let mut stdin = child.stdin.take().expect("piped");
    let mut shown = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("piped"));
    // It asks, or ends.
    let mut byte = [0];
    while !shown.ends_with("[y/N] ") && std::io::Read::read(&mut stdout, &mut byte).expect("read") > 0 {
        shown.push(char::from(byte[0]));
    }
    stdin.write_all(typed.as_bytes()).expect("typed");
    std::io::Read::read_to_string(&mut stdout, &mut shown).expect("read");
    let code = child.wait().expect("ended").code();
    drop(stdin);
    Some((code, shown))
}

fn asks(lab: &Lab) {
    sketch(lab);
    let all = topics(lab);
    for (typed, expected) in [("no\n", 7), ("\n", 7), ("yes, but\n", 7), ("\u{3}", 130)] {
        let Some((code, shown)) = at_a_terminal(lab, "clean", typed) else { return };
        assert_eq!(code, Some(expected), "{typed:?}: {shown}");
        assert!(shown.contains("Delete 2 topics and 1 group of --prefix"), "{shown}");
        assert!(shown.contains(&lab.topic("order-events")), "it lists before it asks: {shown}");
        assert_eq!(topics(lab), all, "{typed:?}");
    }
    let (code, shown) = at_a_terminal(lab, "clean", "Yes\n").expect("as before");
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("Deleted: 2 topics with "), "{shown}");
    assert_eq!(topics(lab), Vec::<String>::new());
}

//! `clean`: deletes exactly its prefix, refuses groups with members, and can be repeated after a kill.

use std::collections::BTreeSet;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use rustix::process::Signal;
use serde_json::Value;

use super::Case;
use super::group_member::GroupMember;
use super::pseudo_terminal::{Ended, PseudoTerminal};
use super::support::{TestEnv, until};

pub const CASES: &[Case] = &[
    ("clean::deletes_only_its_prefix", exactly_its_prefix),
    ("clean::refused_while_a_group_has_members", live_groups),
    ("clean::second_run_finishes_after_kill", killed),
    ("clean::asks_for_confirmation_at_a_terminal", asks),
];

const TOPICS: [&str; 5] =
    ["analytics-state", "inventory-events", "inventory-ledger", "order-events", "order-events-dlq"];

fn fill(env: &TestEnv) {
    env.run("produce --count 100 --seed 1 --partitions 2").expect(0);
    env.run("inventory --until-end").expect(0);
}

/// The minimum for a repeated `clean`: topics with records, and a group with an offset.
fn sketch(env: &TestEnv) {
    env.run("produce --count 10 --seed 1 --partitions 2").expect(0);
    env.create_topic("inventory-ledger", 2, &[]);
    env.set_offsets("inventory-consumer-group", "order-events", &[(0, 1)]);
}

/// The topics with the prefix, sorted.
fn topics(env: &TestEnv) -> Vec<String> {
    let mut topics = env.topics();
    topics.sort();
    topics
}

fn names(document: &Value, list: &str) -> Vec<String> {
    let rows = document[list].as_array().expect("rows").iter();
    rows.map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
}

/// Commits offsets for a group with any name, like another program does.
fn commit(env: &TestEnv, group: &str, topics: &[String]) {
    let mut list = TopicPartitionList::new();
    for topic in topics {
        list.add_partition_offset(topic, 0, Offset::Offset(1)).expect("listed");
    }
    env.group_consumer("read_uncommitted", group).commit(&list, CommitMode::Sync).expect("committed");
}

fn exactly_its_prefix(env: &TestEnv) {
    // `lab1.` with neighbours `lab1.x` and `lab10.`: the first begins with the prefix, the second with all of it except
    // the dot.
    let nested = env.named(&format!("{}x", env.prefix));
    let longer = env.named(&format!("{}0.", env.prefix.trim_end_matches('.')));
    fill(env);
    sketch(&nested);
    sketch(&longer);
    env.run("analytics --until-end").expect(0);
    env.run("analytics --until-end --group mine").expect(0);
    let common = env.prefix.trim_end_matches('.');
    let (console, both) = (format!("console-{common}"), format!("both-{common}"));
    commit(env, &console, &[env.topic("order-events")]);
    commit(env, &both, &[env.topic("order-events"), nested.topic("order-events")]);
    // A group of a neighbour that has only the name of the prefix.
    commit(env, &nested.topic("late-consumer-group"), &[nested.topic("order-events")]);

    let before = (topics(env), env.groups(common), nested.watermarks("order-events"));
    for topic in TOPICS {
        env.settled_watermarks(topic);
    }
    let shown = env.document("clean --dry-run");
    assert_eq!(shown["schema"], "foodstream.clean/1");
    assert_eq!(shown["deleted"], false);
    assert_eq!(names(&shown, "topics"), TOPICS.map(|topic| env.topic(topic)));
    let mut expected =
        ["analytics-consumer-group", "inventory-consumer-group", "mine"].map(|group| env.topic(group)).to_vec();
    expected.insert(0, console.clone());
    expected.sort();
    assert_eq!(names(&shown, "groups"), expected);
    assert_eq!(names(&shown, "kept"), std::slice::from_ref(&both));
    assert_eq!(shown["kept"][0]["reason"], "other_topics");
    for row in shown["topics"].as_array().expect("rows") {
        let topic = row["name"].as_str().expect("a name").strip_prefix(&env.prefix).expect("the prefix of this test");
        let records: i64 = env.watermarks(topic).iter().map(|(start, end)| end - start).sum();
        assert_eq!((row["records"].as_i64(), row["partitions"].as_i64()), (Some(records), Some(2)), "{topic}");
    }
    let refused = env.run("clean").expect(2);
    assert!(refused.stderr.contains("--yes") && refused.stderr.contains("--dry-run"), "{}", refused.stderr);
    assert_eq!((topics(env), env.groups(common), nested.watermarks("order-events")), before, "nothing was deleted");

    let text = env.run("clean --dry-run").expect(0).stdout;
    let done = env.document("clean --yes");
    assert_eq!(done["deleted"], true);
    assert_eq!((names(&done, "topics"), names(&done, "groups")), (names(&shown, "topics"), expected));
    assert!(text.contains("To be deleted: 5 topics with ") && text.contains(", 4 groups"), "{text}");
    // Deleted at once, and nothing else.
    let left: Vec<String> = before.0.into_iter().filter(|topic| topic.starts_with(&nested.prefix)).collect();
    assert_eq!((topics(env), left.len()), (left, 2));
    assert_eq!(nested.watermarks("order-events"), before.2);
    assert_eq!(
        env.groups(common),
        BTreeSet::from([
            nested.topic("inventory-consumer-group"),
            nested.topic("late-consumer-group"),
            longer.topic("inventory-consumer-group"),
        ])
    );
    assert_eq!(env.groups(&both), BTreeSet::from([both.clone()]));
    assert_eq!(env.groups(&console), BTreeSet::new());
    let nothing = env.run("clean --yes").expect(0);
    assert!(nothing.stdout.starts_with("Nothing to delete: "), "{}", nothing.stdout);

    // The same commands work again as on an empty broker.
    env.run("produce --count 100 --seed 1 --partitions 2").expect(0);
    assert_eq!(env.document("inventory --until-end")["orders"], 100);
    for env in [&nested, &longer, env] {
        assert_eq!(env.document("clean --yes")["deleted"], true);
    }
    assert_eq!((topics(env), env.groups(common)), (Vec::new(), BTreeSet::new()));
}

fn live_groups(env: &TestEnv) {
    env.run("produce --count 10 --seed 1 --partitions 2").expect(0);
    let refused = |named: &str| {
        let refused = env.run("clean --yes").expect(7);
        for text in [named, "has members (", "nothing was deleted", "hint: stop them"] {
            assert!(refused.stderr.contains(text), "{text} is not in {}", refused.stderr);
        }
        assert!(topics(env).contains(&env.topic("order-events")));
        let shown = env.run("clean --dry-run").expect(0);
        assert!(
            shown.stderr.contains("the deletion would be refused now") && shown.stderr.contains(named),
            "{}",
            shown.stderr
        );
    };
    let running = env.start("inventory");
    until("the command joins its group", || (!env.members("inventory-consumer-group").is_empty()).then_some(()));
    refused(&env.topic("inventory-consumer-group"));
    running.signal(Signal::INT);
    running.end().expect(0);

    // A group of another program that reads the topics and has committed nothing.
    let console = format!("console-{}", env.prefix.trim_end_matches('.'));
    let reader = GroupMember::member(env, &console, &env.topic("order-events"), &[]);
    refused(&console);
    drop(reader);
    until("the member has left", || env.members_of(&console).is_empty().then_some(()));
    let done = env.run("clean --yes").expect(0);
    assert!(done.stdout.contains("Deleted: 4 topics with "), "{}", done.stdout);
    assert_eq!(topics(env), Vec::<String>::new());
}

fn killed(env: &TestEnv) {
    let finishes = |what: &str| {
        env.run("clean --yes").expect(0);
        assert_eq!(topics(env), Vec::<String>::new(), "{what}");
        assert_eq!(env.groups(&env.prefix), BTreeSet::new(), "{what}");
    };
    // Killed before its first deletion, or right after it.
    for waits in [false, true] {
        sketch(env);
        let mut running = env.start("clean --yes");
        if waits {
            until("the group is deleted or the command has ended", || {
                (running.has_ended() || env.groups(&env.prefix).is_empty()).then_some(())
            });
        }
        running.kill();
        finishes("after a kill");
    }
    // The two states in between.
    sketch(env);
    env.delete_group("inventory-consumer-group");
    finishes("without the group");
    sketch(env);
    env.delete_group("inventory-consumer-group");
    for topic in ["order-events", "inventory-ledger"] {
        env.delete_topic(topic);
    }
    finishes("with half the topics");
}

/// Runs the program on a terminal, with this answer to its prompt.
fn at_a_terminal(env: &TestEnv, args: &str, answer: &str) -> Ended {
    let mut command = env.command(args);
    command.env("TERM", "xterm-256color");
    let terminal = PseudoTerminal::start(command, None, 24, 120);
    terminal.until("it asks", |text| text.trim_end().ends_with("[y/N]"));
    terminal.press(answer.as_bytes());
    terminal.end()
}

fn asks(env: &TestEnv) {
    sketch(env);
    let all = topics(env);
    for (typed, expected) in [("no\n", 7), ("\n", 7), ("yes, but\n", 7), ("\u{3}", 130)] {
        let Ended { code, text: shown, .. } = at_a_terminal(env, "clean", typed);
        assert_eq!(code, Some(expected), "{typed:?}: {shown}");
        assert!(shown.contains("Delete 2 topics and 1 group with --prefix"), "{shown}");
        assert!(shown.contains(&env.topic("order-events")), "the topics are listed before the prompt: {shown}");
        assert_eq!(topics(env), all, "{typed:?}");
    }
    let Ended { code, text: shown, .. } = at_a_terminal(env, "clean", "Yes\n");
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("Deleted: 2 topics with "), "{shown}");
    assert_eq!(topics(env), Vec::<String>::new());
}

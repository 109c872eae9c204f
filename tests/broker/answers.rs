//! Texts for people: the result is the last line of a screen, tables need `--full`, and a terminal shows the next command.

use std::process::Command;

use super::Case;
use super::groups::offsets;
use super::pseudo_terminal::{Ended, PseudoTerminal};
use super::support::TestEnv;

pub const CASES: &[Case] = &[
    ("answers::default_texts_end_with_the_result", short_texts),
    ("answers::a_different_replay_says_what_and_why", different),
    ("answers::a_shadow_and_an_undo_say_what_they_did", shadow_and_undo),
    ("answers::a_terminal_shows_the_next_command", next_on_a_terminal),
    ("answers::next_commands_are_for_people_only", no_next),
];

/// The most lines of a default text.
const LINES: usize = 20;

/// The text of a command without `--full`, which ends with this line, and with `--full`.
fn texts(env: &TestEnv, args: &str, code: i32, last: &str) -> [String; 2] {
    let short = env.run(args).expect(code).stdout;
    assert!(short.lines().count() <= LINES, "{args}: {} lines\n{short}", short.lines().count());
    let line = short.lines().last().expect("a line").replace(&env.prefix, "");
    assert!(line.starts_with(last), "{args}: {line}");
    [short, env.run(&format!("{args} --full")).expect(code).stdout]
}

fn read(env: &TestEnv, name: &str) -> String {
    std::fs::read_to_string(env.dir().join(name)).expect(name)
}

fn short_texts(env: &TestEnv) {
    // Together with the decisions, 14 partitions: the plan is too long for a short text.
    let run = env.run("produce --count 3000 --seed 7 --partitions 7").expect(0);
    assert!(run.stdout.ends_with("Records acknowledged: 3,000 of 3,000\n"), "{}", run.stdout);
    let [short, full] = texts(env, "produce --count 1000 --seed 8", 0, "Records acknowledged: 1,000 of 1,000");
    assert!(full.contains("  partition  records  first offset  last offset\n"), "{full}");
    assert!(!short.contains("--full"), "it would produce again: {short}");
    let args = "inventory --until-end --report inventory.json";
    let [short, full] = texts(env, args, 0, "Orders decided: 5,000: reserved ");
    assert!(short.contains("\nCommitted offsets of 7 partitions: inventory.json\nOrders decided: "), "{short}");
    assert!(full.contains("  partition  committed offset\n") && full.contains("\nOrders decided: 0: "), "{full}");

    for args in ["analytics --from-beginning", "analytics --until-end"] {
        let [short, full] = texts(env, args, 0, "Orders decided: 5,000 of 5,000");
        assert!(short.starts_with("Total Orders: 5,000\nFailed Orders: "), "{short}");
        assert!(short.contains(" and partitions (14): metrics_output.txt, or --full\n"), "{short}");
        assert!(!short.contains("Orders by Minute:") && !short.contains("digest"), "{short}");
        // The format of the original, with plain numbers.
        assert_eq!(full, read(env, "metrics_output.txt"), "{args}");
        assert!(full.starts_with("Total Orders: 5000\n") && full.contains("\nOrders by Minute:\n"), "{full}");
    }

    let [short, full] = texts(env, "replay --dry-run --export plan.csv", 0, "To be read again: ");
    assert!(short.contains("\nOffsets of 14 partitions: plan.csv, or --full\n"), "{short}");
    assert!(!short.contains("delta") && full.matches(&env.topic("order-events")).count() == 7, "{full}");
    assert_eq!(full.lines().last(), short.lines().last());
    let [short, full] = texts(env, "replay", 0, "Verdict: identical: ");
    assert!(short.contains("metrics_initial.txt, metrics_after_replay.txt, or --full\n"), "{short}");
    let same = ["Total", "Orders", "5,000", "5,000"];
    assert!(short.lines().any(|line| line.split_whitespace().eq(same)), "{short}");
    assert!(full.starts_with(&read(env, "metrics_after_replay.txt")), "{full}");
    assert!(full.contains("\nPlan:\n") && full.contains("\nVerdict: identical: "), "{full}");

    let [short, _] = texts(env, "clean --dry-run", 0, "To be deleted: 5 topics with ");
    assert!(short.contains("partitions  offsets\n") && short.contains(" offsets, 2 groups\n"), "{short}");
    assert!(!short.contains("record"), "markers are offsets, and not records: {short}");
}

fn different(env: &TestEnv) {
    env.run("produce --count 3000 --seed 7 --partitions 3").expect(0);
    env.run("inventory --until-end").expect(0);
    env.run("analytics --from-beginning").expect(0);
    for partition in 0..3 {
        env.delete_records("order-events", partition, 5);
    }
    let short = env.run("replay").expect(3).stdout;
    assert!(short.lines().count() <= LINES, "{short}");
    let rows: Vec<&str> = short.lines().skip_while(|line| *line != "Differences:").collect();
    assert!(rows[2].starts_with("  total_orders ") && rows[2].contains("3,000"), "the totals come first: {short}");
    assert!(short.contains(" more; `--report FILE` lists them\n") && !short.contains("--full"), "{short}");
    assert!(short.contains("\nCauses:\n  records_gone: ") && short.contains("; also in "), "{short}");
    let last = short.lines().last().expect("a verdict");
    assert!(last.starts_with("Verdict: different: ") && last.ends_with(" metrics differ (records_gone)"), "{last}");
    // Otherwise the group has counted only the records that are left.
    env.run("replay --undo").expect(0);
    let full = env.run("replay --full").expect(3).stdout;
    assert_eq!(full.matches("\n  records_gone: ").count(), 3, "{full}");
    assert!(full.contains("\n  by_minute["), "{full}");
}

fn shadow_and_undo(env: &TestEnv) {
    env.run("produce --count 600 --seed 7 --partitions 3").expect(0);
    env.run("inventory --until-end").expect(0);
    env.run("analytics --until-end").expect(0);
    let before = offsets(env, "analytics-consumer-group");
    let [short, full] = texts(env, "replay --shadow", 0, "Verdict: identical: ");
    for text in [short, full] {
        let last =
            "every metric and every digest the same; nothing moved: the group's offsets and state are unchanged\n";
        assert!(text.ends_with(last), "{text}");
    }
    assert_eq!(offsets(env, "analytics-consumer-group"), before);
    let rewound = env.run("replay").expect(0).stdout;
    assert!(rewound.ends_with("every metric and every digest the same\n"), "{rewound}");
    let undone = env.run("replay --undo").expect(0).stdout;
    assert!(undone.ends_with("; every offset was already the same\n"), "{undone}");
    env.run("produce --count 60 --seed 8").expect(0);
    env.run("inventory --until-end").expect(0);
    env.run("analytics --from-beginning").expect(0);
    let last = "Restored: offsets and state of 6 partitions of group analytics-consumer-group";
    let [short, full] = texts(env, "replay --undo", 0, last);
    assert!(short.starts_with("Total Orders: 600\n") && short.contains("; the offsets of "), "{short}");
    // An undo of an undo: the counts of all orders are back.
    assert!(full.starts_with("Total Orders: 660\n") && full.contains("\nRestored:\n"), "{full}");
}

/// Both streams of a shell's command line on a terminal.
fn at_a_terminal(env: &TestEnv, line: &str) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(env.dir());
    shell.env("TERM", "xterm-256color").env_remove("FOODSTREAM_BOOTSTRAP_SERVERS");
    let Ended { code, bytes, .. } = PseudoTerminal::start(shell, None, 50, 300).end();
    let shown = String::from_utf8_lossy(&bytes).replace('\r', "");
    assert_eq!(code, Some(0), "{line}: {shown}");
    shown
}

/// The command after `next: `, which is the last line.
fn next(env: &TestEnv, line: &str) -> Option<String> {
    let shown = at_a_terminal(env, line);
    let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with("next: ")).collect();
    assert!(lines.len() <= 1, "{shown}");
    let next = lines.first()?.strip_prefix("next: ")?.to_owned();
    assert!(shown.ends_with(&format!("next: {next}\n")), "{shown}");
    Some(next)
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_foodstream");

/// Each line is run as it is shown.
fn next_on_a_terminal(env: &TestEnv) {
    let here = format!("-b {} --prefix {}", env.broker, env.prefix);
    let mut line = format!("{PROGRAM} produce --count 300 --seed 7 --partitions 3 {here}");
    for expected in ["inventory --until-end", "analytics --from-beginning", "replay"] {
        line = next(env, &line).unwrap_or_else(|| panic!("no next line of {line}"));
        assert_eq!(line, format!("{PROGRAM} {expected} {here}"));
    }
    assert_eq!(next(env, &line), Some(format!("{PROGRAM} scenario run crash")));
    // Once the topics of a step exist, the step is known, and its settings may be others.
    assert_eq!(next(env, &format!("{PROGRAM} produce --count 5 {here}")), None);
    assert_eq!(next(env, &format!("{PROGRAM} inventory --until-end {here}")), None);
    assert_eq!(next(env, &format!("{PROGRAM} replay --shadow {here}")), None);
    assert_eq!(next(env, &format!("{PROGRAM} replay --dry-run {here}")), None);
    // The group is kept, and quoted.
    let other = next(env, &format!("{PROGRAM} analytics --until-end --group 'my readers' {here}")).expect("a line");
    assert_eq!(other, format!("{PROGRAM} replay --group 'my readers' {here}"));
    assert_eq!(next(env, &other), Some(format!("{PROGRAM} scenario run crash")));
    // A replay of a group with members would be refused.
    let member = env.start("analytics");
    super::groups::until_members(env, "analytics-consumer-group", 1);
    let shadow = next(env, &format!("{PROGRAM} analytics --from-beginning {here}")).expect("a line");
    assert_eq!(shadow, format!("{PROGRAM} replay --shadow {here}"));
    assert_eq!(next(env, &shadow), None);
    member.signal(rustix::process::Signal::INT);
    member.end().expect(0);
}

fn no_next(env: &TestEnv) {
    let produce = format!("{PROGRAM} produce --count 5 --partitions 1 -b {}", env.broker);
    let with = |number: u32, options: &str| format!("{produce} --prefix {}{number}. {options}", env.prefix);
    assert!(next(env, &with(0, "")).is_some(), "the others differ from this one");
    for (number, options) in (1..).zip([
        "-q",
        "--output json",
        "-X sasl.password=hush-hush",
        "| cat",
        "> stdout.log",
        "2> stderr.log",
        "2>&1 | cat",
    ]) {
        let shown = at_a_terminal(env, &with(number, options));
        let file = |name: &str| std::fs::read_to_string(env.dir().join(name)).unwrap_or_default();
        let all = format!("{shown}{}{}", file("stdout.log"), file("stderr.log"));
        assert!(!all.contains("next: "), "{options}: {all}");
    }
    // Without orders there is nothing to count.
    env.create_topic("order-events", 1, &[]);
    assert_eq!(next(env, &format!("{PROGRAM} inventory --until-end -b {} --prefix {}", env.broker, env.prefix)), None);
    let run = env.run("produce --count 5 --partitions 1").expect(0);
    assert!(!run.stderr.contains("next: ") && !run.stdout.contains("next: "), "{}", run.stderr);
}

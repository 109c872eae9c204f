//! Live screens on a pseudo-terminal: what they show at each size, and that the terminal is always restored.

use std::fs;
use std::process::{Command, Stdio};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use regex_lite::Regex;
use rustix::process::{Pid, Signal, kill_process};

use super::Case;
use super::proxy::Proxy;
use super::pseudo_terminal::{Ended, PseudoTerminal, normalized};
use super::support::{TestEnv, until};

pub const CASES: &[Case] = &[
    ("screens::lag_fits_at_each_size_without_leftovers", lag),
    ("screens::the_result_of_all_groups_has_those_that_exist", all_groups),
    ("screens::analytics_fits_at_each_size", analytics),
    ("screens::scenario_fits_at_each_size", scenario),
    ("screens::each_end_restores_the_terminal", ends),
    ("screens::ctrl_z_leaves_and_fg_returns", job_control),
    ("screens::a_stop_that_cannot_be_handled_leaves_the_keys_working", sigstop),
    ("screens::outage_is_marked_with_a_growing_age", outage),
    ("screens::second_ctrl_c_restores_the_terminal_at_once", second_interrupt),
    ("screens::no_escapes_for_dumb_terminals_and_pipes", plain),
];

/// Rows and columns, in the order of the resizes: also smaller and larger in one dimension only.
const SIZES: [(u16, u16); 4] = [(24, 80), (12, 40), (40, 120), (24, 80)];

const FOOTER: &str = "q or Ctrl-C ends";

/// An environment whose prefix has five characters, so that a name in a golden screen always has the same width.
fn short(env: &TestEnv) -> TestEnv {
    let number = env.prefix.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let letters: String =
        (0..4u32).map(|at| char::from(b'a' + u8::try_from(number / 26u32.pow(at) % 26).expect("a letter"))).collect();
    env.named(&format!("{letters}."))
}

/// A command for a terminal with escape sequences.
fn command(env: &TestEnv, args: &str) -> Command {
    let mut command = env.command(args);
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
    command
}

fn start(env: &TestEnv, args: &str, rows: u16, columns: u16) -> PseudoTerminal {
    PseudoTerminal::start(command(env, args), None, rows, columns)
}

/// A group that has read one order of three of the four partitions.
fn readers(env: &TestEnv) -> String {
    env.run("produce --count 400 --seed 7 --partitions 4").expect(0);
    group_of(env, "readers", 3)
}

/// A group that has read one order of this many partitions.
fn group_of(env: &TestEnv, name: &str, partitions: i32) -> String {
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(&env.topic("order-events"), partition, Offset::Offset(1)).expect("listed");
    }
    let group = env.topic(name);
    env.group_consumer("read_uncommitted", &group).commit(&list, CommitMode::Sync).expect("committed");
    group
}

/// The screen for a golden file: without the prefix, numbers and bars. Equal lines become one, blank ones too: their
/// number depends on the rows of a table, and `through_sizes` checks the height.
fn golden(env: &TestEnv, text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    // A run of a scenario has a random part in its prefix.
    let random = Regex::new(r"endless-[0-9a-f]+\.").expect("a pattern");
    // A duration has other units on a slow machine.
    let duration = Regex::new(r"\bN (ms|min N s|min)\b").expect("a pattern");
    let text = random.replace_all(text, "run.");
    for line in text.replace(&env.prefix, "test.").lines() {
        let line = duration.replace_all(&normalized(line), "N s").into_owned();
        let line = match (line.find('['), line.rfind(']')) {
            (Some(from), Some(to)) if from < to => format!("{}[chart]{}", &line[..from], &line[to + 1..]),
            _ => line,
        };
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// Resizes through all sizes. Each screen has the title at its top, the footer at its end, and the golden content.
fn through_sizes(env: &TestEnv, terminal: &PseudoTerminal, name: &str, title: &str, is_whole: impl Fn(&str) -> bool) {
    for (rows, columns) in SIZES {
        terminal.resize(rows, columns);
        let fits = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            // Without a message or a mark, which come and go on a slow machine.
            let is_calm = lines.get(usize::from(rows) - 2) == Some(&"") && !text.contains("stale");
            let fits = lines[0].starts_with(title) && lines.get(usize::from(rows) - 1) == Some(&FOOTER);
            fits && is_calm && is_whole(text)
        };
        let text = terminal.until(&format!("{name} fits {columns}x{rows}"), fits);
        assert!(terminal.is_alternate());
        insta::with_settings!({ prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("{name}_{columns}x{rows}"), golden(env, &text));
        });
    }
}

/// Presses q. The terminal is as before, its normal screen has only the result, and nothing was scrolled off.
fn quit(terminal: PseudoTerminal, code: i32) -> Ended {
    assert!(terminal.reads_keys(), "keys are read without Enter");
    terminal.press(b"xyq");
    let ended = terminal.end();
    assert_eq!(ended.code, Some(code), "{}", ended.text);
    assert!(!ended.text.contains(FOOTER) && !ended.text.contains("xyq"), "{}", ended.text);
    ended
}

fn lag(env: &TestEnv) {
    let env = short(env);
    let group = readers(&env);
    let terminal = start(&env, &format!("lag --group {group} --watch 200ms"), 24, 80);
    let is_whole = |text: &str| text.contains("steady");
    through_sizes(&env, &terminal, "lag", "Lag at", is_whole);
    // The smallest size has the total and the footer.
    terminal.resize(3, 10);
    let text = terminal.until("the total remains", |text| text.lines().next_back() == Some("q: end"));
    assert!(
        text.lines().nth(1).is_some_and(|total| total.trim_start().starts_with(|c: char| c.is_ascii_digit())),
        "{text}"
    );
    terminal.resize(24, 80);
    let Ended { text, scrolled, .. } = quit(terminal, 0);
    assert_eq!(scrolled, 0, "{text}");
    assert!(text.contains(&format!("Group: {group}, Empty, no members\n")), "{text}");
    assert_eq!(text.matches("Rates: ").count(), 1, "{text}");
}

fn all_groups(env: &TestEnv) {
    let env = &short(env);
    let (stays, goes) = (readers(env), group_of(env, "deleted", 3));
    let args = format!("lag --all-groups --topic {} --watch 50ms --report lag.json", env.topic("order-events"));
    let terminal = start(env, &args, 24, 120);
    terminal.until("both groups", |text| text.contains(&stays) && text.contains(&goes));
    env.delete_group("deleted");
    terminal.until("one group", |text| text.contains(&stays) && !text.contains(&goes));
    let text = quit(terminal, 0).text;
    assert!(text.contains(&stays) && !text.contains(&goes), "{text}");
    assert!(text.contains("1 group: "), "{text}");
    let report = fs::read_to_string(env.dir().join("lag.json")).expect("lag.json");
    assert!(report.contains(&stays) && report.contains(&goes), "the document has the samples of both: {report}");
}

fn analytics(env: &TestEnv) {
    let env = short(env);
    // In the same minutes each time.
    env.run("produce --count 400 --seed 7 --partitions 4 --shape flat --start-time 2026-01-01T12:00:00Z").expect(0);
    let terminal = start(&env, "analytics --every 100ms", 24, 80);
    terminal.until("all orders are counted", |text| {
        text.lines().nth(3).is_some_and(|line| line.trim().starts_with("400 "))
    });
    through_sizes(&env, &terminal, "analytics", "Metrics of", |text| text.contains("400 "));
    let text = quit(terminal, 0).text;
    assert!(text.contains("Total Orders: 400\n"), "{text}");
}

fn scenario(env: &TestEnv) {
    let env = short(env);
    let script = r#"
name = "endless"
description = "Waits for a lag that never comes."

[[step]]
name = "orders"
run = "produce --count 300 --seed 7"

[[step]]
name = "reader"
run = "inventory"
background = true

[[step]]
wait = { lag = "inventory-consumer-group", at_least = 1000000 }
deadline = "10m"

[[expect]]
step = "orders"
value = "produced"
equals = 300
"#;
    fs::write(env.dir().join("endless.toml"), script).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_foodstream"));
    command
        .args(["scenario", "run", "endless.toml", "-b", &env.broker, "--prefix", &env.prefix])
        .current_dir(env.dir());
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("FOODSTREAM_BOOTSTRAP_SERVERS");
    let terminal = PseudoTerminal::start(command, None, 24, 80);
    let is_whole = |text: &str| {
        text.contains("waiting until")
            && text.contains("running, ")
            && text.contains("exit 0")
            && !text.contains(" -  [")
    };
    through_sizes(&env, &terminal, "scenario", "endless", is_whole);
    let text = quit(terminal, 130).text;
    assert!(text.contains("interrupted"), "{text}");
}

fn ends(env: &TestEnv) {
    let group = readers(env);
    let args = format!("lag --group {group} --watch 200ms");
    let shown = |args: &str| {
        let terminal = start(env, args, 24, 100);
        terminal.until("the screen is shown", |text| text.ends_with(FOOTER));
        assert!(terminal.is_alternate() && terminal.reads_keys());
        terminal
    };
    // Ctrl-C is a signal of the terminal, not a key.
    let interrupted = shown(&args);
    // Ctrl-Z: no shell could continue the first process of a session.
    interrupted.press(&[26]);
    interrupted.press(&[3]);
    assert_eq!(interrupted.end().code, Some(0));
    let terminated = shown(&args);
    terminated.signal(Signal::TERM);
    assert_eq!(terminated.end().code, Some(0));
    // Ctrl-\ aborts.
    let aborted = shown(&args);
    aborted.press(&[28]);
    assert_eq!(aborted.end().code, None);
    assert_eq!(shown(&args).close().code(), Some(0));
    // A failure ends the watch; its message is on the normal screen.
    let whole = group_of(env, "whole", 4);
    let failing = shown(&format!("lag --group {whole} --watch 200ms --fail-if >1000"));
    env.run("produce --count 1000 --seed 8 --partitions 4").expect(0);
    let Ended { code, text, .. } = failing.end();
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("error: --fail-if"), "{text}");
}

/// A shell on a terminal.
fn shell(env: &TestEnv) -> PseudoTerminal {
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]).current_dir(env.dir());
    shell.env("PS1", "$ ").env("TERM", "xterm-256color").env_remove("NO_COLOR").env("HISTFILE", "");
    PseudoTerminal::start(shell, None, 24, 120)
}

fn job_control(env: &TestEnv) {
    let group = readers(env);
    let proxy = Proxy::new(&env.broker);
    let samples = || proxy.replies(foodstream::broker::ApiKey::ListOffsets);
    // A stopped process takes no samples.
    let takes_samples = || {
        let before = samples();
        until("samples are taken", || (samples() > before + 8).then_some(()));
    };
    let terminal = shell(env);
    let run = format!("{} lag -b {} --group {group} --watch 200ms", env!("CARGO_BIN_EXE_foodstream"), proxy.address());
    terminal.press(format!("{run}; echo ended with $?\n").as_bytes());
    terminal.until("the screen is shown", |text| text.ends_with(FOOTER));
    terminal.press(&[26]);
    terminal.until("the shell is back", |text| text.contains("Stopped") && !text.contains(FOOTER));
    assert!(!terminal.is_alternate());
    terminal.press(b"echo between\n");
    terminal.until("the shell works", |text| text.contains("\nbetween\n"));
    terminal.press(b"fg\n");
    terminal.until("the screen is shown again", |text| text.ends_with(FOOTER) && text.starts_with("Lag at"));
    terminal.press(&[26]);
    terminal.until("the shell is back", |text| text.matches("Stopped").count() > 1);
    // In the background it neither draws nor stops, and a signal ends it.
    terminal.press(b"bg\n");
    takes_samples();
    terminal.press(b"jobs\n");
    terminal.until("the job runs", |text| text.contains("Running"));
    assert!(!terminal.is_alternate());
    terminal.press(b"kill %1; wait; echo all ended\n");
    terminal.until("the job has ended", |text| text.contains("\nall ended"));
    // Started in the background, then brought to the foreground.
    terminal.press(format!("clear; {run} &\n").as_bytes());
    takes_samples();
    terminal.press(b"jobs\n");
    terminal.until("the job runs", |text| text.contains("Running") && !text.contains(FOOTER));
    terminal.press(b"fg\n");
    terminal.until("the screen is shown", |text| text.ends_with(FOOTER));
    terminal.press(b"q");
    terminal.until("the result is printed", |text| text.contains("Group: ") && !text.contains(FOOTER));
    terminal.press(b"exit\n");
    assert_eq!(terminal.end().code, Some(0));
}

/// After SIGSTOP, the shell sets its own modes, in which a read of the keys waits for a line.
fn sigstop(env: &TestEnv) {
    if cfg!(not(target_os = "linux")) {
        return;
    }
    let group = readers(env);
    let terminal = shell(env);
    let run = format!("{} lag -b {} --group {group} --watch 200ms", env!("CARGO_BIN_EXE_foodstream"), env.broker);
    terminal.press(format!("{run} & echo \"pid=$!;\"\n").as_bytes());
    let pid = |text: &str| text.rsplit_once("pid=")?.1.split_once(';')?.0.parse().ok().and_then(Pid::from_raw);
    let text = terminal.until("the process has started", |text| pid(text).is_some());
    let pid = pid(&text).expect("a process id");
    let is_stopped = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('T'))
    };
    terminal.press(b"fg\n");
    terminal.until("the screen is shown", |text| text.ends_with(FOOTER));
    for _ in 0..3 {
        kill_process(pid, Signal::STOP).expect("signalled");
        until("the process has stopped", || is_stopped().then_some(()));
        terminal.press(b"fg\n");
        until("the process continues", || (!is_stopped()).then_some(()));
        until("keys are read", || terminal.reads_keys().then_some(()));
    }
    terminal.press(b"q");
    until("the screen is left", || (!terminal.is_alternate()).then_some(()));
    terminal.until("the result is printed", |text| text.contains("Group: ") && !text.contains(FOOTER));
    terminal.press(b"exit\n");
    assert_eq!(terminal.end().code, Some(0));
}

fn outage(env: &TestEnv) {
    let group = readers(env);
    let proxy = Proxy::new(&env.broker);
    let behind = env.through(&proxy.address());
    let terminal = start(&behind, &format!("lag --group {group} --watch 200ms"), 24, 100);
    terminal.until("the screen is shown", |text| text.contains("steady"));
    proxy.refuse();
    proxy.cut();
    let age = |text: &str| -> Option<u64> {
        let line = text.lines().find(|line| line.contains("stale: no answer from the cluster for "))?;
        line.split_whitespace().rev().nth(1)?.parse().ok()
    };
    let first = age(&terminal.until("the numbers are marked", |text| age(text).is_some())).expect("an age");
    terminal.until("the age grows", |text| age(text).is_some_and(|age| age >= first + 2));
    // A resize is not delayed by the outage.
    terminal.resize(12, 60);
    terminal.until("the screen fits", |text| text.lines().nth(11) == Some(FOOTER) && age(text).is_some());
    proxy.accept();
    terminal.until("the mark disappears", |text| text.contains("steady") && !text.contains("stale"));
    assert!(terminal.is_alternate());
    terminal.press(b"q");
    assert_eq!(terminal.end().code, Some(0));
}

/// The end of a command waits for its last commit. A second Ctrl-C does not, and restores the terminal as well.
fn second_interrupt(env: &TestEnv) {
    env.run("produce --count 3000 --seed 7 --partitions 4").expect(0);
    let proxy = Proxy::new(&env.broker);
    let behind = env.through(&proxy.address());
    let terminal = start(&behind, "analytics --every 100ms --throttle 200/s", 24, 100);
    until("the state is written", || {
        let has_state = env.topics().contains(&env.topic("analytics-state"));
        (has_state && env.watermarks("analytics-state").iter().any(|(_, end)| *end > 0)).then_some(())
    });
    proxy.stall();
    // A connection that is open but silent is an outage as well.
    terminal.until("the numbers are marked", |text| text.contains("stale: no answer from the cluster for "));
    terminal.press(&[3]);
    terminal.until("the footer says that the end waits", |text| text.ends_with("ending (Ctrl-C again: at once)"));
    assert!(terminal.is_alternate());
    terminal.press(&[3]);
    assert_eq!(terminal.end().code, Some(130));
}

fn plain(env: &TestEnv) {
    let group = readers(env);
    let args = format!("lag --group {group} --watch 100ms");
    let is_escaped = |bytes: &[u8]| bytes.contains(&0x1b);
    let stopped = |command: Command, stdin: Option<Stdio>| {
        let terminal = PseudoTerminal::start(command, stdin, 24, 200);
        terminal.until("two samples are shown", |text| text.matches(" messages").count() >= 2);
        terminal.press(&[3]);
        let ended = terminal.end();
        assert_eq!(ended.code, Some(0), "{}", ended.text);
        ended.bytes
    };
    let mut dumb = command(env, &args);
    dumb.env("TERM", "dumb");
    assert!(!is_escaped(&stopped(dumb, None)), "a dumb terminal");
    let mut unnamed = command(env, &args);
    unnamed.env_remove("TERM");
    assert!(!is_escaped(&stopped(unnamed, None)), "a terminal without a name");
    assert!(!is_escaped(&stopped(command(env, &format!("{args} --progress plain")), None)), "lines were asked for");
    // Without a terminal as its stdin, keys are not read and modes are not changed.
    let terminal = PseudoTerminal::start(command(env, &args), Some(Stdio::null()), 24, 100);
    terminal.until("the footer names no key", |text| text.ends_with("\nCtrl-C ends"));
    assert!(!terminal.reads_keys());
    terminal.signal(Signal::INT);
    assert_eq!(terminal.end().code, Some(0));
    // Without colours the screen has no style.
    let mut colourless = command(env, &args);
    colourless.env("NO_COLOR", "1");
    let terminal = PseudoTerminal::start(colourless, None, 24, 100);
    terminal.until("the screen is shown", |text| text.ends_with(FOOTER));
    terminal.press(b"q");
    let bytes = terminal.end().bytes;
    let text = String::from_utf8_lossy(&bytes);
    let styles: Vec<&str> = text
        .split("\u{1b}[")
        .skip(1)
        .filter(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
        .collect();
    assert!(styles.is_empty(), "{styles:?}");
}

//! Runs every example of every `--help` page as it is printed.
//!
//! Only placeholders are replaced: `lab1.` and `/var/tmp/lab` by the test's prefix and directory, port 9092 by a free
//! one, a minute by a second. So a misspelt or impossible example fails.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Case;
use super::support::{STEP_TIMEOUT, TestEnv, until};

pub const CASES: &[Case] = &[("examples::every_help_example_runs", every_example)];

/// An example: its arguments and its description.
struct Example {
    args: Vec<String>,
    description: String,
}

fn help(path: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_foodstream"))
        .args(path)
        .arg("--help")
        // Wide enough for an example and its description on one line.
        .env("COLUMNS", "400")
        .output()
        .expect("ended");
    assert!(output.status.success(), "{path:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The lines below a heading.
fn section<'a>(help: &'a str, heading: &'a str) -> impl Iterator<Item = &'a str> {
    help.lines().skip_while(move |line| *line != heading).skip(1).take_while(|line| line.starts_with("  "))
}

/// The examples of a command and its subcommands, in the order of the help.
fn examples(path: &[String], found: &mut Vec<Example>) {
    let help = help(path);
    let before = found.len();
    for line in section(&help, "Examples:") {
        let line = line.trim();
        let (typed, description) = line.split_once("  ").unwrap_or((line, ""));
        let args = split(typed);
        assert_eq!(args[0], "foodstream", "{path:?}: {line}");
        found.push(Example { args: args[1..].to_vec(), description: description.trim().to_owned() });
    }
    let commands = section(&help, "Commands:").filter_map(|line| line.split_whitespace().next());
    let commands: Vec<String> = commands.filter(|name| path.is_empty() || *name != "help").map(str::to_owned).collect();
    assert!(found.len() > before || !commands.is_empty(), "{path:?} has no example");
    for name in commands {
        examples(&[path, &[name]].concat(), found);
    }
}

/// Splits a line like a shell, as far as the examples need it.
fn split(line: &str) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            args.last_mut().expect("a word").push_str(part);
            continue;
        }
        args.extend(part.split(' ').filter(|word| !word.is_empty()).map(str::to_owned));
        if part.ends_with(' ') && line.matches('\'').count() > index {
            args.push(String::new());
        }
    }
    args
}

/// The arguments with placeholders replaced.
fn adapted(env: &TestEnv, args: &[String]) -> Vec<String> {
    let dir = env.dir().join("var");
    let mut args: Vec<String> = args
        .iter()
        .map(|word| word.replace("/var/tmp/lab", &dir.display().to_string()))
        .map(|word| if word == "lab1." { env.prefix.clone() } else { word })
        .map(|word| if word == "localhost:9092" { env.broker.clone() } else { word })
        .collect();
    let has = |flag: &str| args.iter().any(|word| word == flag);
    let asks_a_broker = !["broker", "completions", "man", "help", "scenario"].contains(&args[0].as_str());
    let listens = args[0] == "broker" && !has("--listen") && !has("--status") && !has("--stop");
    let prefixed = has("--prefix");
    if asks_a_broker && !prefixed {
        args.extend(["--prefix".to_owned(), env.prefix.clone()]);
    }
    if listens {
        args.extend(["--listen".to_owned(), "127.0.0.1:0".to_owned()]);
    }
    // Topics and groups of other programs have full names.
    let is_audit = args[0] == "audit";
    for flag in ["--decisions", "--in", "--out", "--group"].into_iter().filter(|_| is_audit) {
        if let Some(name) = args.iter().position(|word| word == flag).and_then(|index| args.get_mut(index + 1)) {
            *name = env.topic(name);
        }
    }
    if let Some(minute) = args.iter().position(|word| word == "1m").filter(|_| args[0] == "produce") {
        "1s".clone_into(&mut args[minute]);
    }
    args
}

/// Whether a command runs until it is stopped.
fn is_live(args: &[String]) -> bool {
    let has = |flag: &str| args.iter().any(|word| word == flag);
    match args[0].as_str() {
        "inventory" | "analytics" => !has("--until-end") && !has("--from-beginning"),
        "lag" => has("--watch"),
        "broker" => !has("--status") && !has("--stop"),
        _ => false,
    }
}

struct Started {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Started {
    /// Answers a prompt with yes, where `script` (util-linux) can create a terminal.
    fn new(env: &TestEnv, args: &[String], at_a_terminal: bool) -> Self {
        let (stdout, stderr) = (env.dir().join("stdout.log"), env.dir().join("stderr.log"));
        let program = env!("CARGO_BIN_EXE_foodstream");
        let mut command = if at_a_terminal {
            let mut command = Command::new("script");
            command.args(["-qec", &format!("{program} {}", args.join(" ")), "/dev/null"]);
            let typed = env.dir().join("typed");
            std::fs::write(&typed, "yes\n").expect("written");
            command.stdin(File::open(typed).expect("opened"));
            command
        } else {
            let mut command = Command::new(program);
            command.args(args).stdin(Stdio::null());
            command
        };
        let child = command
            .env("FOODSTREAM_BOOTSTRAP_SERVERS", if args[0] == "broker" { "" } else { &env.broker })
            .current_dir(env.dir())
            .stdout(File::create(&stdout).expect("created"))
            .stderr(File::create(&stderr).expect("created"))
            .spawn()
            .expect("started");
        Self { child, stdout, stderr }
    }

    fn output(&self) -> String {
        [&self.stdout, &self.stderr].map(|path| std::fs::read_to_string(path).expect("read")).join("\n")
    }

    fn end(&mut self, args: &[String]) -> i32 {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("waited for") {
                return status.code().unwrap_or(-1);
            }
            if begin.elapsed() > STEP_TIMEOUT {
                self.child.kill().expect("killed");
                panic!("{args:?} hangs:\n{}", self.output());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Waits until a live command has joined its group or has printed something.
fn until_live(env: &TestEnv, args: &[String], started: &mut Started) {
    until(&format!("{args:?} is running"), || {
        if let Some(status) = started.child.try_wait().expect("waited for") {
            panic!("{args:?} ended early with {status}:\n{}", started.output());
        }
        let is_live_now = match args[0].as_str() {
            group @ ("inventory" | "analytics") => !env.members(&format!("{group}-consumer-group")).is_empty(),
            _ => std::fs::metadata(&started.stdout).is_ok_and(|file| file.len() > 0),
        };
        is_live_now.then_some(())
    });
}

/// What the examples of `audit` judge: a service that has decided the first order, and two chains.
fn other_programs(env: &TestEnv) {
    env.create_topic("order-events", 6, &[]);
    for topic in ["stock", "payments", "receipts", "clicks", "sessions"] {
        env.create_topic(topic, 1, &[]);
    }
    let order = br#"{"event_type":"OrderPlaced","order_id":"a","user_id":"u","restaurant_id":"r","items":[{"item_id":"x","quantity":1,"price":2.5}],"total_amount":2.5,"status":"placed","timestamp":"2026-11-22T12:00:00.000Z"}"#;
    env.put("order-events", &[(0, Some(b"r"), Some(order))]);
    let event = br#"{"event_type":"InventoryEvent","order_id":"a","item_id":"x","quantity":1,"action":"reserve"}"#;
    env.put("stock", &[(0, Some(b"r"), Some(event))]);
    env.set_offsets("alice", "order-events", &[(0, 1)]);
    let record = |value: &'static [u8]| (0, Some(&b"user_1"[..]), Some(value));
    env.put("payments", &[record(br#"{"payment_id":1}"#)]);
    env.put("receipts", &[record(br#"{"payment_id":1}"#)]);
    env.put("clicks", &[record(b"a click")]);
    env.put("sessions", &[record(br#"{"user":"user_1"}"#)]);
}

fn every_example(env: &TestEnv) {
    let mut found = Vec::new();
    examples(&[], &mut found);
    assert!(found.len() > 25, "{} examples", found.len());
    // Two short scripts are enough here: every script has its own case.
    std::fs::create_dir(env.dir().join("lab")).expect("created");
    let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    for (script, copy) in [
        ("ten-thousand.toml", "lab/ten-thousand.toml"),
        ("bad-records.toml", "lab/bad-records.toml"),
        ("ten-thousand.toml", "mine.toml"),
    ] {
        std::fs::copy(scripts.join(script), env.dir().join(copy)).expect("copied");
    }
    other_programs(env);
    let terminals = Command::new("script").arg("--version").stdout(Stdio::null()).status().is_ok();
    let mut run = BTreeSet::new();
    for Example { args, description } in found {
        let line = args.join(" ");
        if !run.insert(line.clone()) || line == "scenario run --all" {
            continue;
        }
        // A shell redirects the output.
        let args: Vec<String> = args.into_iter().take_while(|argument| argument != ">").collect();
        let args = adapted(env, &args);
        let asks = args[0] == "clean" && description.contains("then ask");
        let mut started = Started::new(env, &args, asks && terminals);
        if is_live(&args) {
            until_live(env, &args, &mut started);
            let pid = Pid::from_raw(i32::try_from(started.child.id()).expect("a pid")).expect("a pid");
            kill_process(pid, Signal::INT).expect("signalled");
        }
        let code = started.end(&args);
        // An exit code other than 0 is allowed if the example documents it, or if a prompt has no terminal.
        let documented =
            [format!("exit {code}"), format!("exit code {code}")].iter().any(|text| description.contains(text))
                || (asks && !terminals && code == 2);
        assert!(code == 0 || documented, "`foodstream {line}` ended with {code}:\n{}", started.output());
    }
}

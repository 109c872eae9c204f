//! Owns that every example of every help runs: they are read where a user reads them, and run as they are written.
//!
//! What stands for the reader's own things is put in their place: the laboratory for `lab1.` and `/var/tmp/lab`, a free
//! port for 9092, a second for a minute. Nothing else is changed, so an example that is misspelt or impossible fails.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Case;
use super::support::{BOUND, Lab, until};

pub const CASES: &[Case] = &[("examples::every_one_in_every_help_runs", every_example)];

/// An example: its words, and what is said about it.
struct Example {
    words: Vec<String>,
    about: String,
}

/// The help of a command, as it is printed.
fn help(path: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_foodstream"))
        .args(path)
        .arg("--help")
        // Wide enough for an example and what is said about it to stand on one line.
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

/// The examples of a command and of the commands below it, in the order in which help lists them.
fn examples(path: &[String], found: &mut Vec<Example>) {
    let help = help(path);
    let before = found.len();
    for line in section(&help, "Examples:") {
        let line = line.trim();
        let (typed, about) = line.split_once("  ").unwrap_or((line, ""));
        let words = split(typed);
        assert_eq!(words[0], "foodstream", "{path:?}: {line}");
        found.push(Example { words: words[1..].to_vec(), about: about.trim().to_owned() });
    }
    let commands = section(&help, "Commands:").filter_map(|line| line.split_whitespace().next());
    let commands: Vec<String> = commands.filter(|name| path.is_empty() || *name != "help").map(str::to_owned).collect();
    assert!(found.len() > before || !commands.is_empty(), "{path:?} has no example");
    for name in commands {
        examples(&[path, &[name]].concat(), found);
    }
}

/// Words as a shell splits them, as far as examples need it.
fn split(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.last_mut().expect("a word").push_str(part);
            continue;
        }
        words.extend(part.split(' ').filter(|word| !word.is_empty()).map(str::to_owned));
        if part.ends_with(' ') && line.matches('\'').count() > index {
            words.push(String::new());
        }
    }
    words
}

/// The words of an example in a laboratory.
fn mapped(lab: &Lab, words: &[String]) -> Vec<String> {
    let folder = lab.folder().join("var");
    let mut words: Vec<String> = words
        .iter()
        .map(|word| word.replace("/var/tmp/lab", &folder.display().to_string()))
        .map(|word| if word == "lab1." { lab.prefix.clone() } else { word })
        .map(|word| if word == "localhost:9092" { lab.broker.clone() } else { word })
        .collect();
    let has = |flag: &str| words.iter().any(|word| word == flag);
    let asks_a_broker = !["broker", "completions", "man", "help", "scenario"].contains(&words[0].as_str());
    let listens = words[0] == "broker" && !has("--listen") && !has("--status") && !has("--stop");
    let prefixed = has("--prefix");
    if asks_a_broker && !prefixed {
        words.extend(["--prefix".to_owned(), lab.prefix.clone()]);
    }
    if listens {
        words.extend(["--listen".to_owned(), "127.0.0.1:0".to_owned()]);
    }
    if let Some(minute) = words.iter().position(|word| word == "1m").filter(|_| words[0] == "produce") {
        "1s".clone_into(&mut words[minute]);
    }
    words
}

/// Whether a command goes on until it is stopped.
fn is_live(words: &[String]) -> bool {
    let has = |flag: &str| words.iter().any(|word| word == flag);
    match words[0].as_str() {
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
    /// A question at a terminal is answered with yes, where `script` (util-linux) can make one.
    fn new(lab: &Lab, words: &[String], at_a_terminal: bool) -> Self {
        let (stdout, stderr) = (lab.folder().join("stdout.log"), lab.folder().join("stderr.log"));
        let program = env!("CARGO_BIN_EXE_foodstream");
        let mut command = if at_a_terminal {
            let mut command = Command::new("script");
            command.args(["-qec", &format!("{program} {}", words.join(" ")), "/dev/null"]);
            let typed = lab.folder().join("typed");
            std::fs::write(&typed, "yes\n").expect("written");
            command.stdin(File::open(typed).expect("opened"));
            command
        } else {
            let mut command = Command::new(program);
            command.args(words).stdin(Stdio::null());
            command
        };
        let child = command
            .env("FOODSTREAM_BOOTSTRAP_SERVERS", if words[0] == "broker" { "" } else { &lab.broker })
            .current_dir(lab.folder())
            .stdout(File::create(&stdout).expect("created"))
            .stderr(File::create(&stderr).expect("created"))
            .spawn()
            .expect("started");
        Self { child, stdout, stderr }
    }

    fn said(&self) -> String {
        [&self.stdout, &self.stderr].map(|path| std::fs::read_to_string(path).expect("read")).join("\n")
    }

    fn end(&mut self, words: &[String]) -> i32 {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("waited for") {
                return status.code().unwrap_or(-1);
            }
            if begin.elapsed() > BOUND {
                self.child.kill().expect("killed");
                panic!("{words:?} hangs:\n{}", self.said());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Waits until a live command shows that it works: it has joined its group, or has answered.
fn works(lab: &Lab, words: &[String], started: &mut Started) {
    until(&format!("{words:?} works"), || {
        if let Some(status) = started.child.try_wait().expect("waited for") {
            panic!("{words:?} ended by itself with {status}:\n{}", started.said());
        }
        let sign = match words[0].as_str() {
            group @ ("inventory" | "analytics") => !lab.members(&format!("{group}-consumer-group")).is_empty(),
            _ => std::fs::metadata(&started.stdout).is_ok_and(|file| file.len() > 0),
        };
        sign.then_some(())
    });
}

fn every_example(lab: &Lab) {
    let mut found = Vec::new();
    examples(&[], &mut found);
    assert!(found.len() > 25, "{} examples", found.len());
    // Two short ones stand for all: every script has a case of its own.
    std::fs::create_dir(lab.folder().join("scenarios")).expect("created");
    for script in ["ten-thousand.toml", "bad-records.toml"] {
        let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(script);
        std::fs::copy(from, lab.folder().join("scenarios").join(script)).expect("copied");
    }
    let terminals = Command::new("script").arg("--version").stdout(Stdio::null()).status().is_ok();
    let mut run = BTreeSet::new();
    for Example { words, about } in found {
        let line = words.join(" ");
        if !run.insert(line.clone()) {
            continue;
        }
        let words = mapped(lab, &words);
        let asks = words[0] == "clean" && about.contains("asks");
        let mut started = Started::new(lab, &words, asks && terminals);
        if is_live(&words) {
            works(lab, &words, &mut started);
            let pid = Pid::from_raw(i32::try_from(started.child.id()).expect("a pid")).expect("a pid");
            kill_process(pid, Signal::INT).expect("signalled");
        }
        let code = started.end(&words);
        // Another code than 0 is right where the example says so, and where there is no terminal to ask at.
        let told = about.contains(&format!("exit {code}")) || (asks && !terminals && code == 2);
        assert!(code == 0 || told, "`foodstream {line}` ended with {code}:\n{}", started.said());
    }
}

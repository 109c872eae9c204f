//! Table of how every process of a case ended, and the rules for expected ends.

use std::fmt;
use std::time::Instant;

use serde_json::Value;

use super::Case;
use super::brokers::Cluster;
use super::schemas::output_problems;
use super::support::TestEnv;

pub const CASES: &[Case] = &[("unexpected_ends_are_problems", unexpected_ends)];

/// How a process may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitRule {
    /// Only on Ctrl-C: with 0, or with 130 for `produce`, which has a goal. A repeated command ends by itself with 0.
    Clean,
    /// As `Clean`, or with 4 and an error that names a partition without a leader.
    Leaderless,
    /// By itself, with this code.
    ByItself(i32),
}

/// The end of a process.
#[derive(Debug, Clone)]
pub struct ProcessEnd {
    pub at: Instant,
    /// `None` if it was killed by a signal.
    pub code: Option<i32>,
    /// The harness killed it because it did not end.
    pub hung: bool,
    pub stdout: String,
    pub stderr: String,
}

impl ProcessEnd {
    fn exit_text(&self) -> String {
        match self.code {
            _ if self.hung => "hung".to_owned(),
            Some(code) => format!("exit {code}"),
            None => "killed by a signal".to_owned(),
        }
    }

    /// Its stderr from the error on, or the last lines.
    fn error_text(&self) -> String {
        let text = self.stderr.trim_end();
        let from = text.rfind("error:").or_else(|| text.rmatch_indices('\n').nth(2).map(|(at, _)| at));
        text[from.unwrap_or(0)..].trim().replace('\n', "\n      ")
    }

    /// Whether it exited with 4 and named a partition without a leader.
    fn is_leaderless(&self) -> bool {
        self.code == Some(4) && names_a_partition_without_leader(&self.stderr)
    }
}

/// Whether an error names a partition without a leader.
pub fn names_a_partition_without_leader(stderr: &str) -> bool {
    let text = stderr.rsplit("error:").next().unwrap_or_default().to_lowercase();
    let is_partition = |word: &str| {
        let number = word.rsplit_once(['/', '-', '[']).map(|(_, number)| number.trim_end_matches(']'));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut parts = text.split(|mark: char| mark.is_whitespace() || ",;:()".contains(mark));
    let names_partition = text.contains("partition ") || parts.any(is_partition);
    text.contains("leader") && names_partition
}

#[derive(Debug)]
struct Row {
    name: String,
    how: String,
    is_problem: bool,
}

/// How every process ended.
pub struct ExitTable {
    begun: Instant,
    disturbances: Vec<(Instant, String)>,
    rows: Vec<Row>,
    ends: Vec<(String, ProcessEnd)>,
    /// Number of processes, and of those that ended by themselves.
    processes: [usize; 2],
    /// Number of runs of repeated commands, and of those that failed.
    runs: [usize; 2],
}

impl ExitTable {
    pub fn new(begun: Instant, disturbances: Vec<(Instant, String)>) -> Self {
        let mut table =
            Self { begun, disturbances, rows: Vec::new(), ends: Vec::new(), processes: [0; 2], runs: [0; 2] };
        let seconds = |at: &Instant| at.saturating_duration_since(begun).as_secs_f64();
        let line = |(at, what): &(Instant, String)| Row {
            name: format!("({what})"),
            how: format!("at {:.1} s", seconds(at)),
            is_problem: false,
        };
        table.rows = table.disturbances.iter().map(line).collect();
        table
    }

    /// Adds a process; `by_itself` means that it ended before it was stopped.
    pub fn add(&mut self, name: &str, end: ProcessEnd, by_itself: bool, rule: ExitRule) {
        let is_right = is_allowed(name, &end, by_itself, rule);
        self.processes[0] += 1;
        self.processes[1] += usize::from(by_itself);
        self.push(name.to_owned(), &end, if by_itself { "by itself" } else { "on Ctrl-C" }, is_right);
        self.ends.push((name.to_owned(), end));
    }

    /// Adds the runs of a repeated command: arguments, end, and whether it ended before it was stopped.
    pub fn add_runs(&mut self, name: &str, runs: Vec<(String, ProcessEnd, bool)>, rule: ExitRule) {
        let is_wrong = |end: &ProcessEnd, early: bool| {
            early && !(rule == ExitRule::Leaderless && end.is_leaderless())
                || end.hung
                || !(end.code == Some(0) || rule == ExitRule::Leaderless && end.is_leaderless())
        };
        let wrong = runs.iter().filter(|(_, end, early)| is_wrong(end, *early)).count();
        self.runs[0] += runs.len();
        self.runs[1] += wrong;
        let how = format!("{} runs, {wrong} failed", runs.len());
        self.rows.push(Row { name: name.to_owned(), how, is_problem: runs.is_empty() });
        for (args, end, early) in runs {
            if is_wrong(&end, early) {
                self.push(format!("  {args}"), &end, if early { "by itself" } else { "" }, false);
            }
        }
    }

    fn push(&mut self, name: String, end: &ProcessEnd, manner: &str, is_right: bool) {
        let documents = output_problems(&end.stdout);
        let mut how = vec![format!("{} {manner} {}", end.exit_text(), self.moment(end.at)).replace("  ", " ")];
        how.extend((!is_right).then(|| end.error_text()));
        how.extend((!documents.is_empty()).then(|| format!("{documents:#?}")));
        let how = how.join("\n      ");
        self.rows.push(Row { name, how, is_problem: !is_right || !documents.is_empty() });
    }

    /// Describes a time by the last disturbance before it.
    fn moment(&self, at: Instant) -> String {
        let since = |from: Instant| at.saturating_duration_since(from).as_secs_f64();
        let before = self.disturbances.iter().rev().find(|(when, _)| *when <= at);
        let after = before.map_or_else(String::new, |(when, what)| format!(", {:.1} s after: {what}", since(*when)));
        format!("at {:.1} s{after}", since(self.begun))
    }

    /// The ends of the processes whose names have this prefix.
    pub fn ends<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a ProcessEnd> {
        self.ends.iter().filter(move |(found, _)| found.starts_with(name)).map(|(_, end)| end)
    }

    /// The documents of the processes whose names have this prefix.
    pub fn documents(&self, name: &str) -> Vec<Value> {
        self.ends(name).filter_map(|end| serde_json::from_str(&end.stdout).ok()).collect()
    }

    /// The unexpected ends, one line each.
    pub fn problems(&self) -> Vec<String> {
        let bad = self.rows.iter().filter(|row| row.is_problem);
        bad.map(|row| format!("{}: {}", row.name.trim_start(), row.how.lines().next().unwrap_or_default())).collect()
    }
}

fn is_allowed(name: &str, end: &ProcessEnd, by_itself: bool, rule: ExitRule) -> bool {
    let on_request = if name.starts_with("produce") { 130 } else { 0 };
    match rule {
        _ if end.hung => false,
        ExitRule::ByItself(code) => by_itself && end.code == Some(code),
        ExitRule::Leaderless if by_itself => end.is_leaderless(),
        ExitRule::Clean | ExitRule::Leaderless => !by_itself && end.code == Some(on_request),
    }
}

impl fmt::Display for ExitTable {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        for row in &self.rows {
            writeln!(to, "{} {:width$}  {}", if row.is_problem { '!' } else { ' ' }, row.name, row.how)?;
        }
        let ([all, early], [runs, failed]) = (self.processes, self.runs);
        write!(to, "  {all} processes, {early} ended by themselves; {runs} runs of repeated commands, {failed} failed")
    }
}

fn unexpected_ends(_: &Cluster, _: &TestEnv) {
    let begun = Instant::now();
    let end = |code, stderr: &str| ProcessEnd {
        at: begun,
        code,
        hung: code.is_none(),
        stdout: String::new(),
        stderr: format!("working\nerror: {stderr}"),
    };
    let leaderless = "timed out: order-events/3 has had no leader for 30 s";
    let (clean, either) = (ExitRule::Clean, ExitRule::Leaderless);
    let cases = [
        ("inventory", Some(0), "", false, clean, true),
        ("inventory", Some(0), "", true, clean, false),
        ("inventory", Some(130), "", false, clean, false),
        ("inventory", None, "", false, clean, false),
        ("inventory", Some(4), leaderless, true, clean, false),
        ("inventory", Some(4), leaderless, true, either, true),
        ("inventory", Some(4), "partition 3 has no leader", true, either, true),
        ("inventory", Some(4), "the leader of order-events does not answer", true, either, false),
        ("inventory", Some(4), "timed out: order-events/3", true, either, false),
        ("inventory", Some(1), leaderless, true, either, false),
        ("inventory", Some(0), "", true, either, false),
        ("inventory", Some(7), "", true, ExitRule::ByItself(7), true),
        ("inventory", Some(7), "", false, ExitRule::ByItself(7), false),
        ("produce", Some(130), "", false, clean, true),
        ("produce", Some(0), "", false, clean, false),
    ];
    for (name, code, stderr, by_itself, rule, is_right) in cases {
        let mut table = ExitTable::new(begun, vec![(begun, "no disturbance".to_owned())]);
        table.add(name, end(code, stderr), by_itself, rule);
        let exit_text = format!("{name} {code:?} {stderr} {by_itself} {rule:?}:\n{table}");
        assert_eq!(table.problems().is_empty(), is_right, "{exit_text}");
        // A run must end by itself.
        let mut table = ExitTable::new(begun, Vec::new());
        table.add_runs("runs", vec![("scan".to_owned(), end(code, stderr), false)], rule);
        let is_right = code == Some(0) || rule == either && code == Some(4) && is_right;
        assert_eq!(table.problems().is_empty(), is_right, "{exit_text}");
    }
    let mut table = ExitTable::new(begun, Vec::new());
    table.add_runs("runs", Vec::new(), clean);
    assert_eq!(table.problems(), ["runs: 0 runs, 0 failed"]);
}

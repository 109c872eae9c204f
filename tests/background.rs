//! Owns the embedded broker as a process: started by the commands of a folder and shared by them, in the foreground, asked
//! after and stopped. What it does as a Kafka is another suite's.

#![allow(clippy::disallowed_methods, reason = "a test has a clock of its own, and waits until something holds")]

#[allow(dead_code, reason = "another suite's")]
#[path = "protocol/client.rs"]
mod client;
#[path = "background/crowd.rs"]
mod crowd;
#[path = "background/foreign.rs"]
mod foreign;
#[path = "support/hostile.rs"]
mod hostile;
#[path = "background/names.rs"]
mod names;
#[path = "support/schemas.rs"]
mod schemas;
#[path = "background/shortage.rs"]
mod shortage;
#[path = "background/stopping.rs"]
mod stopping;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use serde_json::Value;

/// No single step takes longer; whoever hits it has found a hang.
const BOUND: Duration = Duration::from_mins(2);

/// A working directory of its own. Brokers that were started in it end with it.
struct Home {
    folder: tempfile::TempDir,
    brokers: Vec<&'static str>,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), brokers: vec![".foodstream"] }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foodstream"));
        command
            .args(words.split_whitespace())
            .current_dir(self.folder.path())
            .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
            .env_remove("FOODSTREAM_BROKER_IDLE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, words: &str) -> Run {
        Run::of(words, self.command(words).output().expect("ended"))
    }

    /// What runs over a folder of this home, if anything does.
    fn status(&self, folder: &str) -> Option<Value> {
        let run = self.run(&format!("broker --status --data {folder} --output json"));
        let document: Value = serde_json::from_str(&run.stdout).expect("a document");
        assert_eq!(document["running"], run.code == 0, "{document}");
        assert!([0, 3].contains(&run.code), "{}", run.stderr);
        (run.code == 0).then_some(document)
    }

    fn pid(&self, folder: &str) -> i32 {
        let pid = self.status(folder).expect("a broker runs")["pid"].as_i64().expect("a process");
        i32::try_from(pid).expect("a pid")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for folder in &self.brokers {
            drop(self.command(&format!("broker --stop --data {folder}")).output());
        }
    }
}

struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn of(words: &str, output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        let code = output.status.code().unwrap_or_else(|| panic!("{words} was killed: {stderr}"));
        assert_eq!(schemas::output_problems(&stdout), Vec::<String>::new(), "{words}: {stdout}");
        Self { code, stdout, stderr }
    }

    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

#[track_caller]
fn until<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = holds() {
            return value;
        }
        assert!(start.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn lives(pid: i32) -> bool {
    // One that nobody has waited for yet has ended all the same.
    let zombie = fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    test_kill_process(Pid::from_raw(pid).expect("a pid")).is_ok() && !zombie
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("signalled");
}

/// A broker in the foreground, and the first line that it said.
struct Foreground {
    child: Child,
    line: String,
}

impl Foreground {
    fn start(home: &Home, words: &str) -> Self {
        Self::of(home.command(words))
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("read");
        assert!(!line.is_empty(), "{command:?} said nothing");
        Self { child, line }
    }

    fn address(&self) -> &str {
        let rest = self.line.strip_prefix("listening on ").expect("the first line");
        rest.split_once(',').expect("an address").0
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    fn end(self, with: Signal) -> i32 {
        signal(self.pid(), with);
        self.ended()
    }

    /// The exit code of one that ends by itself, or was told to.
    fn ended(mut self) -> i32 {
        self.child.wait().expect("ended").code().expect("a code")
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn records(status: &Value) -> i64 {
    let topics = status["topics"].as_array().expect("topics");
    let orders = topics.iter().find(|topic| topic["name"] == "order-events").expect("the orders' topic");
    orders["records"].as_i64().expect("a number")
}

/// Somebody's Kafka may be at the default address, and would be asked in earnest.
fn somebody_is_at_the_default_address() -> bool {
    ["127.0.0.1:9092", "[::1]:9092"].iter().any(|address| TcpStream::connect(address).is_ok())
}

#[test]
fn what_is_typed_wrong_starts_no_broker() {
    let home = Home::new();
    for words in ["produce --rate 5/s --orders-per-minute 10", "inventory --commit-interval 1h", "replay --help"] {
        home.run(words);
        assert_eq!(fs::read_dir(home.folder.path()).expect("listed").count(), 0, "{words}");
    }
    let run = home.command("replay").env("FOODSTREAM_BROKER_IDLE", "soon").output().expect("ended");
    assert!(Run::of("replay", run).expect(2).stderr.contains("FOODSTREAM_BROKER_IDLE=soon"));
}

#[test]
fn the_first_command_starts_the_broker_and_the_next_uses_it() {
    let home = Home::new();
    let first = home.run("produce --count 100 --seed 7 -b embedded").expect(0);
    assert!(first.stderr.contains("started the embedded broker over .foodstream (127.0.0.1:"), "{}", first.stderr);
    assert_eq!(fs::read_to_string(home.path(".foodstream/.gitignore")).expect("read"), "*\n");
    let pid = home.pid(".foodstream");
    let second = home.run("produce --count 100 --seed 8 -b embedded").expect(0);
    assert!(second.stderr.contains("using the embedded broker over .foodstream (127.0.0.1:"), "{}", second.stderr);
    let quiet = home.run("produce --count 100 --seed 9 -b embedded -q").expect(0);
    assert_eq!(quiet.stderr, "");
    let status = home.status(".foodstream").expect("it runs");
    assert_eq!(status["pid"], pid);
    assert_eq!(records(&status), 300);
}

#[test]
fn processes_that_start_at_once_end_up_on_one_broker() {
    let home = Home::new();
    let words = "produce --count 20 -b embedded";
    let children: Vec<Child> = (0..6).map(|_| home.command(words).spawn().expect("started")).collect();
    let mut started = 0;
    for child in children {
        let run = Run::of(words, child.wait_with_output().expect("ended")).expect(0);
        started += usize::from(run.stderr.contains("started the embedded broker"));
    }
    assert!(started <= 1, "{started} brokers were started");
    assert_eq!(records(&home.status(".foodstream").expect("it runs")), 120);
}

#[test]
fn a_broker_that_was_killed_is_replaced_over_the_same_data() {
    let home = Home::new();
    home.run("produce --count 50 -b embedded").expect(0);
    let killed = home.pid(".foodstream");
    signal(killed, Signal::KILL);
    until("it is dead", || (!lives(killed)).then_some(()));
    assert!(home.path(".foodstream/broker.json").exists(), "nobody took the file back");
    assert_eq!(home.status(".foodstream"), None, "a stale file is no broker");
    let run = home.run("produce --count 50 -b embedded").expect(0);
    assert!(run.stderr.contains("started the embedded broker"), "{}", run.stderr);
    let status = home.status(".foodstream").expect("it runs");
    assert_ne!(status["pid"], killed);
    assert_eq!(records(&status), 100);
}

#[test]
fn an_address_that_somebody_else_has_taken_is_not_believed() {
    let home = Home::new();
    home.run("produce --count 50 -b embedded").expect(0);
    let killed = home.pid(".foodstream");
    signal(killed, Signal::KILL);
    until("it is dead", || (!lives(killed)).then_some(()));
    // Both ports are other people's now: one is mute and one hangs up.
    let mute = TcpListener::bind("127.0.0.1:0").expect("bound");
    let file = home.path(".foodstream/broker.json");
    let mut claim: Value = serde_json::from_str(&fs::read_to_string(&file).expect("read")).expect("JSON");
    for field in ["address", "control"] {
        claim[field] = Value::String(mute.local_addr().expect("an address").to_string());
    }
    fs::write(&file, claim.to_string()).expect("written");
    home.run("produce --count 50 -b embedded").expect(0);
    assert_eq!(records(&home.status(".foodstream").expect("it runs")), 100);
}

#[test]
fn it_leaves_after_its_last_client_and_not_before() {
    let home = Home::new();
    let words = "produce --count 50 -b embedded";
    // Longer than it takes between two looks at its folder: those are no clients.
    let run = home.command(words).env("FOODSTREAM_BROKER_IDLE", "2500ms").output().expect("ended");
    Run::of(words, run).expect(0);
    until("it leaves", || home.status(".foodstream").is_none().then_some(()));
    until("it takes its file back", || (!home.path(".foodstream/broker.json").exists()).then_some(()));
    // A process that works keeps it, whatever it does meanwhile.
    let mut child =
        home.command("inventory -b embedded").env("FOODSTREAM_BROKER_IDLE", "100ms").spawn().expect("started");
    let status = until("it is there again", || home.status(".foodstream").filter(|status| status["clients"] == 1));
    assert_eq!(records(&status), 50);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(800) {
        assert_eq!(home.status(".foodstream").expect("it stays")["pid"], status["pid"]);
    }
    signal(i32::try_from(child.id()).expect("a pid"), Signal::INT);
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    until("it leaves", || home.status(".foodstream").is_none().then_some(()));
}

#[test]
fn commands_that_come_while_brokers_leave_are_served_all_the_same() {
    let home = Home::new();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..6 {
                    let words = "produce --count 5 -b embedded";
                    let run = home.command(words).env("FOODSTREAM_BROKER_IDLE", "1ms").output().expect("ended");
                    Run::of(words, run).expect(0);
                }
            });
        }
    });
    // The next one is to stay, so the last that was in a hurry has to be gone.
    until("the last one leaves", || home.status(".foodstream").is_none().then_some(()));
    home.run("produce --count 5 -b embedded").expect(0);
    assert_eq!(records(&home.status(".foodstream").expect("it runs")), 95);
}

#[test]
fn it_is_told_and_stopped_by_its_folder() {
    let home = Home::new();
    assert_eq!(home.run("broker --status").expect(3).stdout, "no broker runs over .foodstream\n");
    assert_eq!(home.run("broker --stop").expect(0).stdout, "no broker runs over .foodstream\n");
    assert!(!home.path(".foodstream").exists(), "asking makes no folder");
    home.run("produce --count 50 -b embedded").expect(0);
    let pid = home.pid(".foodstream");
    let text = home.run("broker --status").expect(0).stdout;
    assert!(text.starts_with("running at 127.0.0.1:") && text.contains(&format!("Process: {pid}, since ")), "{text}");
    assert!(text.contains("order-events: 6 partitions, 50 records"), "{text}");
    let stopped = home.run("broker --stop").expect(0).stdout;
    assert!(stopped.starts_with("stopped the broker at 127.0.0.1:"), "{stopped}");
    until("its process is gone", || (!lives(pid)).then_some(()));
    assert_eq!(home.status(".foodstream"), None);
    home.run("broker --stop").expect(0);
}

#[test]
fn a_folder_that_cannot_be_had_is_told_with_the_ways_around_it() {
    let home = Home::new();
    fs::write(home.path(".foodstream"), "a file").expect("written");
    let run = home.run("produce --count 5 -b embedded").expect(7);
    assert!(run.stderr.contains(".foodstream is a file, not a folder"), "{}", run.stderr);
    for words in ["produce --count 5 -b embedded:/proc/lab", "broker --data /proc/lab"] {
        let run = home.run(words).expect(8);
        assert!(run.stderr.contains("cannot be written") && run.stderr.contains("--memory"), "{words}: {}", run.stderr);
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn a_newer_format_is_refused_by_whoever_comes() {
    let home = Home::new();
    fs::create_dir(home.path(".foodstream")).expect("made");
    fs::write(home.path(".foodstream/format.json"), "{\"format\":99}").expect("written");
    for words in ["produce --count 5 -b embedded", "broker --listen 127.0.0.1:0"] {
        let run = home.run(words).expect(7);
        assert!(run.stderr.contains("format 99") && run.stderr.contains("hint: "), "{words}: {}", run.stderr);
    }
}

#[test]
fn ctrl_c_ends_the_command_and_leaves_the_broker() {
    let home = Home::new();
    home.run("produce --count 50 -b embedded").expect(0);
    home.run("broker --stop").expect(0);
    // As at a terminal, where the whole process group hears it: this one has started the broker itself.
    let child = home.command("inventory -b embedded").process_group(0).spawn().expect("started");
    let pid = until("it has its broker", || home.status(".foodstream").filter(|status| status["clients"] == 1));
    until("it has decided", || {
        let status = home.status(".foodstream")?;
        let topics = status["topics"].as_array()?;
        topics.iter().any(|topic| topic["name"] == "inventory-events" && topic["records"] != 0).then_some(())
    });
    kill_process_group(Pid::from_child(&child), Signal::INT).expect("signalled");
    Run::of("inventory", child.wait_with_output().expect("ended")).expect(0);
    assert_eq!(home.status(".foodstream").expect("it stays")["pid"], pid["pid"]);
    // Nor does the terminal take it along when it closes.
    signal(home.pid(".foodstream"), Signal::HUP);
    assert_eq!(home.status(".foodstream").expect("it stays")["pid"], pid["pid"]);
}

#[test]
fn a_folder_by_name_is_used_and_no_other() {
    let mut home = Home::new();
    home.brokers.push("lab one");
    home.run("produce --count 5 -b embedded:lab").expect(0);
    home.brokers.push("lab");
    let run = home.command("produce --count 5").env("FOODSTREAM_BOOTSTRAP_SERVERS", "embedded:lab").output();
    let run = Run::of("produce", run.expect("ended")).expect(0);
    assert!(run.stderr.contains("using the embedded broker over lab (127.0.0.1:"), "{}", run.stderr);
    assert_eq!(records(&home.status("lab").expect("it runs")), 10);
    assert!(!home.path(".foodstream").exists());
}

#[test]
fn a_broker_in_the_foreground_is_told_used_and_ended() {
    let home = Home::new();
    let mut broker = Foreground::start(&home, "broker --listen 127.0.0.1:0 --data lab -v");
    let stderr = broker.child.stderr.take().expect("piped");
    assert!(broker.line.ends_with(", data in lab\n"), "{}", broker.line);
    let second = home.run("broker --listen 127.0.0.1:0 --data lab").expect(7);
    assert!(second.stderr.contains(&format!("process {}", broker.pid())), "{}", second.stderr);
    assert!(second.stderr.contains("--status --data lab"), "{}", second.stderr);
    let taken = home.run(&format!("broker --listen {} --memory", broker.address())).expect(2);
    assert!(taken.stderr.contains("cannot listen on"), "{}", taken.stderr);
    let run = home.run("produce --count 5 -b embedded:lab").expect(0);
    assert!(run.stderr.contains(&format!("over lab ({})", broker.address())), "{}", run.stderr);
    home.run(&format!("produce --count 5 -b {}", broker.address())).expect(0);
    assert_eq!(records(&home.status("lab").expect("it runs")), 10);
    assert_eq!(broker.end(Signal::TERM), 0);
    let told = std::io::read_to_string(stderr).expect("read");
    for word in ["topic order-events created, 6 partitions", " connected\n", "(foodstream) disconnected\n"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(!home.path("lab/broker.json").exists());
    let again = Foreground::start(&home, "broker --listen 127.0.0.1:0 --data lab");
    assert_eq!(records(&home.status("lab").expect("it runs")), 10);
    assert_eq!(again.end(Signal::INT), 0);
    let hung_up = Foreground::start(&home, "broker --listen 127.0.0.1:0 --data lab");
    assert_eq!(records(&home.status("lab").expect("it runs")), 10);
    assert_eq!(hung_up.end(Signal::HUP), 0);
    assert!(!home.path("lab/broker.json").exists(), "it ended in order");
}

/// At a terminal of `script` (util-linux) that is closed: the kernel hangs up, and every write to it fails from then on.
#[test]
fn a_terminal_that_closes_stops_the_command_in_order_and_leaves_the_broker() {
    let home = Home::new();
    home.run("produce --count 50 -b embedded").expect(0);
    let broker = home.pid(".foodstream");
    let line = format!(
        "{} analytics -b embedded --every 20ms --report report.json --timeout 20s",
        env!("CARGO_BIN_EXE_foodstream")
    );
    let terminal = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(home.folder.path())
        .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut terminal) = terminal else { return };
    let mut shown = BufReader::new(terminal.stdout.take().expect("piped"));
    let mut text = String::new();
    while !text.contains("Total Orders: 50") {
        assert!(shown.read_line(&mut text).expect("read") > 0, "{text}");
    }
    terminal.kill().expect("killed");
    terminal.wait().expect("ended");
    let report = until("the report", || fs::read_to_string(home.path("report.json")).ok());
    let report: Value = serde_json::from_str(&report).expect("whole");
    assert_eq!(report["total_orders"], 50);
    until("its group is empty", || {
        let status = home.status(".foodstream").expect("it stays");
        assert_eq!(status["pid"], broker);
        let groups = status["groups"].as_array()?;
        groups.iter().any(|group| group["state"] == "Empty").then_some(())
    });
}

#[test]
fn a_broker_in_memory_leaves_nothing_and_prints_one_document() {
    let home = Home::new();
    let mut child = home.command("broker --memory --listen 127.0.0.1:0 --output json").spawn().expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut document = String::new();
    while !document.ends_with("\n}\n") {
        document += &lines.next().expect("a document").expect("read");
        document.push('\n');
    }
    assert_eq!(schemas::output_problems(&document), Vec::<String>::new());
    let document: Value = serde_json::from_str(&document).expect("a document");
    assert_eq!((&document["schema"], &document["data"]), (&"foodstream.broker/1".into(), &Value::Null));
    let address = document["address"].as_str().expect("an address");
    home.run(&format!("produce --count 5 -b {address}")).expect(0);
    signal(i32::try_from(child.id()).expect("a pid"), Signal::INT);
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    assert!(lines.next().is_none(), "one document");
    assert_eq!(fs::read_dir(home.folder.path()).expect("listed").count(), 0);
}

#[test]
fn a_deleted_folder_ends_its_broker_and_hurts_no_other() {
    let home = Home::new();
    home.run("produce --count 5 -b embedded").expect(0);
    let first = home.pid(".foodstream");
    fs::remove_dir_all(home.path(".foodstream")).expect("deleted");
    home.run("produce --count 7 -b embedded").expect(0);
    let second = home.pid(".foodstream");
    assert_ne!(first, second);
    until("the first one leaves", || (!lives(first)).then_some(()));
    assert_eq!(home.pid(".foodstream"), second);
    assert_eq!(records(&home.status(".foodstream").expect("it runs")), 7);
    home.run("produce --count 7 -b embedded").expect(0);
}

#[test]
fn a_broker_that_ends_under_a_command_is_told_by_its_name() {
    let home = Home::new();
    let words = "produce --rate 5/s --count 1000 -b embedded --timeout 2s";
    let child = home.command(words).spawn().expect("started");
    until("it places orders", || {
        let status = home.status(".foodstream")?;
        let topics = status["topics"].as_array()?;
        topics.iter().any(|topic| topic["records"] != 0).then_some(())
    });
    let stopped = home.run("broker --stop").expect(0);
    assert!(stopped.stdout.contains("foodstream processes that were using it: 1"), "{}", stopped.stdout);
    let run = Run::of(words, child.wait_with_output().expect("ended")).expect(4);
    assert!(run.stderr.contains("the embedded broker over .foodstream (127.0.0.1:"), "{}", run.stderr);
    assert!(run.stderr.contains("`foodstream broker --status` tells how"), "{}", run.stderr);
}

/// The one test that needs the default address for itself.
#[test]
fn without_a_name_a_kafka_on_this_machine_comes_first_and_a_change_is_told() {
    if somebody_is_at_the_default_address() {
        return;
    }
    let home = Home::new();
    let first = home.run("produce --count 5").expect(0);
    assert!(first.stderr.contains("started the embedded broker over .foodstream"), "{}", first.stderr);
    assert!(!first.stderr.contains("warning"), "{}", first.stderr);
    let elsewhere = Home::new();
    let kafka = Foreground::start(&elsewhere, "broker --memory");
    let names_both = |run: &Run| {
        let told = run.stderr.lines().find(|line| line.starts_with("warning: ")).expect("a warning");
        assert!(told.contains("localhost:9092") && told.contains("the embedded broker over .foodstream"), "{told}");
    };
    names_both(&home.run("produce --count 5 -q").expect(0));
    let same = home.run("produce --count 5").expect(0);
    assert!(
        same.stderr.contains("using Kafka at localhost:9092") && !same.stderr.contains("warning"),
        "{}",
        same.stderr
    );
    // Where no broker of one's own ever was there is no folder to remember in, and none is made.
    elsewhere.run("produce --count 5").expect(0);
    assert!(!elsewhere.path(".foodstream").exists());
    kafka.end(Signal::TERM);
    names_both(&home.run("produce --count 5").expect(0));
    assert_eq!(records(&home.status(".foodstream").expect("it runs")), 10);
}

/// The commands of the README in an empty folder, and once more.
#[test]
fn the_main_job_needs_no_kafka() {
    let home = Home::new();
    for round in 1..=2 {
        home.run(&format!("produce --count 2000 --seed {round} -b embedded")).expect(0);
        home.run("inventory --until-end -b embedded").expect(0);
        let metrics = home.run("analytics --from-beginning -b embedded --output json").expect(0);
        let metrics: Value = serde_json::from_str(&metrics.stdout).expect("a document");
        assert_eq!(metrics["total_orders"], 2000 * round);
        assert_eq!(metrics["inventory"]["pending_orders"], 0);
        let replay = home.run("replay -b embedded --output json").expect(0);
        let replay: Value = serde_json::from_str(&replay.stdout).expect("a document");
        assert_eq!(replay["verdict"], "identical");
    }
    assert!(Path::new(&home.path("metrics_after_replay.txt")).exists());
}

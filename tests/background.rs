//! The embedded broker as a process: started and shared by commands, run in the foreground, queried and stopped. Its
//! behaviour as a Kafka is tested in other suites.

#![allow(clippy::disallowed_methods, reason = "tests poll with the wall clock")]

#[allow(dead_code, reason = "this suite uses a part of it")]
#[path = "protocol/client.rs"]
mod client;
#[path = "background/client_ids.rs"]
mod client_ids;
#[path = "support/hostile.rs"]
mod hostile;
#[path = "background/many_clients.rs"]
mod many_clients;
#[path = "background/resource_limits.rs"]
mod resource_limits;
#[path = "support/schemas.rs"]
mod schemas;
#[path = "background/shutdown.rs"]
mod shutdown;
#[path = "background/untrusted_directory.rs"]
mod untrusted_directory;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use serde_json::Value;

/// Time limit of a single step.
const STEP_TIMEOUT: Duration = Duration::from_mins(2);

/// A temporary working directory. Brokers that were started in it are stopped when it is dropped.
struct WorkDir {
    data: tempfile::TempDir,
    brokers: Vec<&'static str>,
}

impl WorkDir {
    fn new() -> Self {
        Self { data: tempfile::tempdir().expect("a folder"), brokers: vec![".foodstream"] }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.data.path().join(name)
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foodstream"));
        command
            .args(args.split_whitespace())
            .current_dir(self.data.path())
            .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
            .env_remove("FOODSTREAM_BROKER_IDLE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &str) -> Run {
        Run::of(args, self.command(args).output().expect("ended"))
    }

    /// The status document of the broker over a data directory; `None` if no broker runs.
    fn status(&self, data: &str) -> Option<Value> {
        let run = self.run(&format!("broker --status --data {data} --output json"));
        let document: Value = serde_json::from_str(&run.stdout).expect("a document");
        assert_eq!(document["running"], run.code == 0, "{document}");
        assert!([0, 3].contains(&run.code), "{}", run.stderr);
        (run.code == 0).then_some(document)
    }

    fn pid(&self, data: &str) -> i32 {
        let pid = self.status(data).expect("a broker runs")["pid"].as_i64().expect("a process");
        i32::try_from(pid).expect("a pid")
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        for data in &self.brokers {
            drop(self.command(&format!("broker --stop --data {data}")).output());
        }
    }
}

struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn of(args: &str, output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        let code = output.status.code().unwrap_or_else(|| panic!("{args} was killed: {stderr}"));
        assert_eq!(schemas::output_problems(&stdout), Vec::<String>::new(), "{args}: {stdout}");
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
        assert!(start.elapsed() < STEP_TIMEOUT, "timed out after {STEP_TIMEOUT:?} waiting until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_running(pid: i32) -> bool {
    // A zombie has ended, although its parent has not yet waited for it.
    let zombie = fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    test_kill_process(Pid::from_raw(pid).expect("a pid")).is_ok() && !zombie
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("signalled");
}

/// A broker in the foreground, with the first line of its stdout.
struct Foreground {
    child: Child,
    line: String,
}

impl Foreground {
    fn start(dir: &WorkDir, args: &str) -> Self {
        Self::of(dir.command(args))
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("read");
        assert!(!line.is_empty(), "{command:?} printed nothing");
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

    /// Waits for the process to end and returns its exit code.
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

/// Whether a server listens at the default address: the commands below would use it.
fn default_address_is_in_use() -> bool {
    ["127.0.0.1:9092", "[::1]:9092"].iter().any(|address| TcpStream::connect(address).is_ok())
}

#[test]
fn invalid_arguments_start_no_broker() {
    let dir = WorkDir::new();
    for args in ["produce --rate 5/s --orders-per-minute 10", "inventory --commit-interval 1h", "replay --help"] {
        dir.run(args);
        assert_eq!(fs::read_dir(dir.data.path()).expect("listed").count(), 0, "{args}");
    }
    let run = dir.command("replay").env("FOODSTREAM_BROKER_IDLE", "soon").output().expect("ended");
    assert!(Run::of("replay", run).expect(2).stderr.contains("FOODSTREAM_BROKER_IDLE=soon"));
}

#[test]
fn second_command_uses_the_started_broker() {
    let dir = WorkDir::new();
    let first = dir.run("produce --count 100 --seed 7 -b embedded").expect(0);
    assert!(first.stderr.contains("started the embedded broker over .foodstream (127.0.0.1:"), "{}", first.stderr);
    assert_eq!(fs::read_to_string(dir.path(".foodstream/.gitignore")).expect("read"), "*\n");
    let pid = dir.pid(".foodstream");
    let second = dir.run("produce --count 100 --seed 8 -b embedded").expect(0);
    assert!(second.stderr.contains("using the embedded broker over .foodstream (127.0.0.1:"), "{}", second.stderr);
    let quiet = dir.run("produce --count 100 --seed 9 -b embedded -q").expect(0);
    assert_eq!(quiet.stderr, "");
    let status = dir.status(".foodstream").expect("a running broker");
    assert_eq!(status["pid"], pid);
    assert_eq!(records(&status), 300);
}

#[test]
fn concurrent_commands_share_one_broker() {
    let dir = WorkDir::new();
    let args = "produce --count 20 -b embedded";
    let children: Vec<Child> = (0..6).map(|_| dir.command(args).spawn().expect("started")).collect();
    let mut started = 0;
    for child in children {
        let run = Run::of(args, child.wait_with_output().expect("ended")).expect(0);
        started += usize::from(run.stderr.contains("started the embedded broker"));
    }
    assert!(started <= 1, "{started} brokers were started");
    assert_eq!(records(&dir.status(".foodstream").expect("a running broker")), 120);
}

#[test]
fn killed_broker_is_replaced_over_its_data() {
    let dir = WorkDir::new();
    dir.run("produce --count 50 -b embedded").expect(0);
    let killed = dir.pid(".foodstream");
    signal(killed, Signal::KILL);
    until("the broker is dead", || (!is_running(killed)).then_some(()));
    assert!(dir.path(".foodstream/broker.json").exists(), "the killed broker left its claim file");
    assert_eq!(dir.status(".foodstream"), None, "a stale claim file does not mean a running broker");
    let run = dir.run("produce --count 50 -b embedded").expect(0);
    assert!(run.stderr.contains("started the embedded broker"), "{}", run.stderr);
    let status = dir.status(".foodstream").expect("a running broker");
    assert_ne!(status["pid"], killed);
    assert_eq!(records(&status), 100);
}

#[test]
fn reused_address_is_not_trusted() {
    let dir = WorkDir::new();
    dir.run("produce --count 50 -b embedded").expect(0);
    let killed = dir.pid(".foodstream");
    signal(killed, Signal::KILL);
    until("the broker is dead", || (!is_running(killed)).then_some(()));
    // Both ports are now served by other programs: one never answers and one closes the connection.
    let mute = TcpListener::bind("127.0.0.1:0").expect("bound");
    let file = dir.path(".foodstream/broker.json");
    let mut claim: Value = serde_json::from_str(&fs::read_to_string(&file).expect("read")).expect("JSON");
    for field in ["address", "control"] {
        claim[field] = Value::String(mute.local_addr().expect("an address").to_string());
    }
    fs::write(&file, claim.to_string()).expect("written");
    dir.run("produce --count 50 -b embedded").expect(0);
    assert_eq!(records(&dir.status(".foodstream").expect("a running broker")), 100);
}

#[test]
fn stops_after_its_last_client_leaves() {
    let dir = WorkDir::new();
    let args = "produce --count 50 -b embedded";
    // Longer than the interval at which the broker checks its directory: those checks are not clients.
    let run = dir.command(args).env("FOODSTREAM_BROKER_IDLE", "2500ms").output().expect("ended");
    Run::of(args, run).expect(0);
    until("the broker stops", || dir.status(".foodstream").is_none().then_some(()));
    until("the broker removes its claim file", || (!dir.path(".foodstream/broker.json").exists()).then_some(()));
    // A running process keeps the broker alive.
    let mut child =
        dir.command("inventory -b embedded").env("FOODSTREAM_BROKER_IDLE", "100ms").spawn().expect("started");
    let status =
        until("a broker with one client runs", || dir.status(".foodstream").filter(|status| status["clients"] == 1));
    assert_eq!(records(&status), 50);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(800) {
        assert_eq!(dir.status(".foodstream").expect("the broker still runs")["pid"], status["pid"]);
    }
    signal(i32::try_from(child.id()).expect("a pid"), Signal::INT);
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    until("the broker stops", || dir.status(".foodstream").is_none().then_some(()));
}

#[test]
fn commands_are_served_while_brokers_stop() {
    let dir = WorkDir::new();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..6 {
                    let args = "produce --count 5 -b embedded";
                    let run = dir.command(args).env("FOODSTREAM_BROKER_IDLE", "1ms").output().expect("ended");
                    Run::of(args, run).expect(0);
                }
            });
        }
    });
    // The last broker with an idle time of 1 ms must end first, because the next one has to stay.
    until("the last broker stops", || dir.status(".foodstream").is_none().then_some(()));
    dir.run("produce --count 5 -b embedded").expect(0);
    assert_eq!(records(&dir.status(".foodstream").expect("a running broker")), 95);
}

#[test]
fn status_and_stop_find_the_broker() {
    let dir = WorkDir::new();
    assert_eq!(dir.run("broker --status").expect(3).stdout, "no broker runs over .foodstream\n");
    assert_eq!(dir.run("broker --stop").expect(0).stdout, "no broker runs over .foodstream\n");
    assert!(!dir.path(".foodstream").exists(), "a status query creates no directory");
    dir.run("produce --count 50 -b embedded").expect(0);
    let pid = dir.pid(".foodstream");
    let text = dir.run("broker --status").expect(0).stdout;
    let last = text.lines().last().expect("a line");
    assert!(last.starts_with("running at 127.0.0.1:") && text.contains(&format!("Process: {pid}, since ")), "{text}");
    assert!(text.contains("order-events: 6 partitions, 50 offsets"), "{text}");
    let stopped = dir.run("broker --stop").expect(0).stdout;
    assert!(stopped.starts_with("stopped the broker at 127.0.0.1:"), "{stopped}");
    until("the process has ended", || (!is_running(pid)).then_some(()));
    assert_eq!(dir.status(".foodstream"), None);
    dir.run("broker --stop").expect(0);
}

#[test]
fn unusable_data_directory_is_refused() {
    let dir = WorkDir::new();
    fs::write(dir.path(".foodstream"), "a file").expect("written");
    let run = dir.run("produce --count 5 -b embedded").expect(7);
    assert!(run.stderr.contains(".foodstream is a file, not a directory"), "{}", run.stderr);
    for args in ["produce --count 5 -b embedded:/proc/lab", "broker --data /proc/lab"] {
        let run = dir.run(args).expect(8);
        assert!(run.stderr.contains("cannot be written") && run.stderr.contains("--memory"), "{args}: {}", run.stderr);
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn newer_format_is_refused() {
    let dir = WorkDir::new();
    fs::create_dir(dir.path(".foodstream")).expect("made");
    fs::write(dir.path(".foodstream/format.json"), "{\"format\":99}").expect("written");
    for args in ["produce --count 5 -b embedded", "broker --listen 127.0.0.1:0"] {
        let run = dir.run(args).expect(7);
        assert!(run.stderr.contains("format 99") && run.stderr.contains("hint: "), "{args}: {}", run.stderr);
    }
}

#[test]
fn ctrl_c_ends_the_command_and_leaves_the_broker() {
    let dir = WorkDir::new();
    dir.run("produce --count 50 -b embedded").expect(0);
    dir.run("broker --stop").expect(0);
    // A terminal sends SIGINT to the whole process group. This command has started the broker itself.
    let child = dir.command("inventory -b embedded").process_group(0).spawn().expect("started");
    let pid = until("the broker has one client", || dir.status(".foodstream").filter(|status| status["clients"] == 1));
    until("decisions are written", || {
        let status = dir.status(".foodstream")?;
        let topics = status["topics"].as_array()?;
        topics.iter().any(|topic| topic["name"] == "inventory-events" && topic["records"] != 0).then_some(())
    });
    kill_process_group(Pid::from_child(&child), Signal::INT).expect("signalled");
    Run::of("inventory", child.wait_with_output().expect("ended")).expect(0);
    assert_eq!(dir.status(".foodstream").expect("the broker still runs")["pid"], pid["pid"]);
    // The broker also survives the SIGHUP of a closing terminal.
    signal(dir.pid(".foodstream"), Signal::HUP);
    assert_eq!(dir.status(".foodstream").expect("the broker still runs")["pid"], pid["pid"]);
}

#[test]
fn named_data_directory_is_used() {
    let mut dir = WorkDir::new();
    dir.brokers.push("lab one");
    dir.run("produce --count 5 -b embedded:lab").expect(0);
    dir.brokers.push("lab");
    let run = dir.command("produce --count 5").env("FOODSTREAM_BOOTSTRAP_SERVERS", "embedded:lab").output();
    let run = Run::of("produce", run.expect("ended")).expect(0);
    assert!(run.stderr.contains("using the embedded broker over lab (127.0.0.1:"), "{}", run.stderr);
    assert_eq!(records(&dir.status("lab").expect("a running broker")), 10);
    assert!(!dir.path(".foodstream").exists());
}

#[test]
fn foreground_broker_is_used_and_stopped() {
    let dir = WorkDir::new();
    let mut broker = Foreground::start(&dir, "broker --listen 127.0.0.1:0 --data lab -v");
    let stderr = broker.child.stderr.take().expect("piped");
    assert!(broker.line.ends_with(", data in lab\n"), "{}", broker.line);
    let second = dir.run("broker --listen 127.0.0.1:0 --data lab").expect(7);
    assert!(second.stderr.contains(&format!("process {}", broker.pid())), "{}", second.stderr);
    assert!(second.stderr.contains("--status --data lab"), "{}", second.stderr);
    let taken = dir.run(&format!("broker --listen {} --memory", broker.address())).expect(2);
    assert!(taken.stderr.contains("cannot listen on"), "{}", taken.stderr);
    let run = dir.run("produce --count 5 -b embedded:lab").expect(0);
    assert!(run.stderr.contains(&format!("over lab ({})", broker.address())), "{}", run.stderr);
    dir.run(&format!("produce --count 5 -b {}", broker.address())).expect(0);
    assert_eq!(records(&dir.status("lab").expect("a running broker")), 10);
    assert_eq!(broker.end(Signal::TERM), 0);
    let log = std::io::read_to_string(stderr).expect("read");
    for word in ["topic order-events created with 6 partitions", " connected\n", "(foodstream) disconnected\n"] {
        assert!(log.contains(word), "{word}: {log}");
    }
    assert!(!dir.path("lab/broker.json").exists());
    let again = Foreground::start(&dir, "broker --listen 127.0.0.1:0 --data lab");
    assert_eq!(records(&dir.status("lab").expect("a running broker")), 10);
    assert_eq!(again.end(Signal::INT), 0);
    let hung_up = Foreground::start(&dir, "broker --listen 127.0.0.1:0 --data lab");
    assert_eq!(records(&dir.status("lab").expect("a running broker")), 10);
    assert_eq!(hung_up.end(Signal::HUP), 0);
    assert!(!dir.path("lab/broker.json").exists(), "it removed its claim file");
}

/// Uses the terminal of `script` (util-linux). When it closes, the kernel sends SIGHUP and every write to it fails.
#[test]
fn closed_terminal_stops_command_not_broker() {
    let dir = WorkDir::new();
    dir.run("produce --count 50 -b embedded").expect(0);
    let broker = dir.pid(".foodstream");
    let line = format!(
        "{} analytics -b embedded --every 20ms --report report.json --timeout 20s",
        env!("CARGO_BIN_EXE_foodstream")
    );
    let terminal = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(dir.data.path())
        .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
        // Lines instead of a screen.
        .env("TERM", "dumb")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut terminal) = terminal else { return };
    let mut shown = BufReader::new(terminal.stdout.take().expect("piped"));
    let mut text = String::new();
    while !text.contains("orders 50 (") {
        assert!(shown.read_line(&mut text).expect("read") > 0, "{text}");
    }
    terminal.kill().expect("killed");
    terminal.wait().expect("ended");
    let report = until("the report exists", || fs::read_to_string(dir.path("report.json")).ok());
    let report: Value = serde_json::from_str(&report).expect("whole");
    assert_eq!(report["total_orders"], 50);
    until("the group is empty", || {
        let status = dir.status(".foodstream").expect("the broker still runs");
        assert_eq!(status["pid"], broker);
        let groups = status["groups"].as_array()?;
        groups.iter().any(|group| group["state"] == "Empty").then_some(())
    });
}

#[test]
fn memory_broker_leaves_no_files() {
    let dir = WorkDir::new();
    let mut child = dir.command("broker --memory --listen 127.0.0.1:0 --output json").spawn().expect("started");
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
    dir.run(&format!("produce --count 5 -b {address}")).expect(0);
    signal(i32::try_from(child.id()).expect("a pid"), Signal::INT);
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    assert!(lines.next().is_none(), "one document");
    assert_eq!(fs::read_dir(dir.data.path()).expect("listed").count(), 0);
}

#[test]
fn deleted_data_directory_ends_its_broker() {
    let dir = WorkDir::new();
    dir.run("produce --count 5 -b embedded").expect(0);
    let first = dir.pid(".foodstream");
    fs::remove_dir_all(dir.path(".foodstream")).expect("deleted");
    dir.run("produce --count 7 -b embedded").expect(0);
    let second = dir.pid(".foodstream");
    assert_ne!(first, second);
    until("the first broker stops", || (!is_running(first)).then_some(()));
    assert_eq!(dir.pid(".foodstream"), second);
    assert_eq!(records(&dir.status(".foodstream").expect("a running broker")), 7);
    dir.run("produce --count 7 -b embedded").expect(0);
}

#[test]
fn broker_stopped_under_a_command_is_named() {
    let dir = WorkDir::new();
    let args = "produce --rate 5/s --count 1000 -b embedded --timeout 2s";
    let child = dir.command(args).spawn().expect("started");
    until("orders are written", || {
        let status = dir.status(".foodstream")?;
        let topics = status["topics"].as_array()?;
        topics.iter().any(|topic| topic["records"] != 0).then_some(())
    });
    let stopped = dir.run("broker --stop").expect(0);
    assert!(stopped.stdout.contains("which 1 foodstream command used"), "{}", stopped.stdout);
    let run = Run::of(args, child.wait_with_output().expect("ended")).expect(4);
    assert!(run.stderr.contains("the embedded broker over .foodstream (127.0.0.1:"), "{}", run.stderr);
    assert!(run.stderr.contains("`foodstream broker --status` shows the state of"), "{}", run.stderr);
}

/// The only test that needs the default address.
#[test]
fn kafka_on_this_machine_comes_first() {
    if default_address_is_in_use() {
        return;
    }
    let dir = WorkDir::new();
    let first = dir.run("produce --count 5").expect(0);
    assert!(first.stderr.contains("started the embedded broker over .foodstream"), "{}", first.stderr);
    assert!(!first.stderr.contains("warning"), "{}", first.stderr);
    let elsewhere = WorkDir::new();
    let kafka = Foreground::start(&elsewhere, "broker --memory");
    let names_both = |run: &Run| {
        let log = run.stderr.lines().find(|line| line.starts_with("warning: ")).expect("a warning");
        assert!(log.contains("localhost:9092") && log.contains("the embedded broker over .foodstream"), "{log}");
    };
    names_both(&dir.run("produce --count 5 -q").expect(0));
    let same = dir.run("produce --count 5").expect(0);
    assert!(
        same.stderr.contains("using Kafka at localhost:9092") && !same.stderr.contains("warning"),
        "{}",
        same.stderr
    );
    // Without an earlier broker no directory exists to record the choice in, and none is created.
    elsewhere.run("produce --count 5").expect(0);
    assert!(!elsewhere.path(".foodstream").exists());
    kafka.end(Signal::TERM);
    names_both(&dir.run("produce --count 5").expect(0));
    assert_eq!(records(&dir.status(".foodstream").expect("a running broker")), 10);
}

/// The commands of the README in an empty directory, twice.
#[test]
fn pipeline_needs_no_kafka() {
    let dir = WorkDir::new();
    for round in 1..=2 {
        dir.run(&format!("produce --count 2000 --seed {round} -b embedded")).expect(0);
        dir.run("inventory --until-end -b embedded").expect(0);
        let metrics = dir.run("analytics --from-beginning -b embedded --output json").expect(0);
        let metrics: Value = serde_json::from_str(&metrics.stdout).expect("a document");
        assert_eq!(metrics["total_orders"], 2000 * round);
        assert_eq!(metrics["inventory"]["pending_orders"], 0);
        let replay = dir.run("replay -b embedded --output json").expect(0);
        let replay: Value = serde_json::from_str(&replay.stdout).expect("a document");
        assert_eq!(replay["verdict"], "identical");
    }
    assert!(Path::new(&dir.path("metrics_after_replay.txt")).exists());
}

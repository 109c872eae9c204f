//! Command line without a broker: help, mistakes, precedence, an unreachable broker, signals and open files.
#![allow(clippy::disallowed_methods, reason = "how long a command waits for a broker is what is measured")]

#[path = "support/hostile.rs"]
mod hostile;
#[path = "cli/hostile_input.rs"]
mod hostile_input;
#[path = "cli/outputs.rs"]
mod outputs;
#[path = "cli/shell.rs"]
mod shell;
#[path = "cli/test_summary.rs"]
mod test_summary;

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Tolerance for a bounded wait on a busy machine.
const SLACK: Duration = Duration::from_secs(8);

/// Commands that run until they are stopped.
const LIVE: [&str; 3] = ["inventory", "analytics", "lag --watch 1s"];

const COMMANDS: [&str; 10] = [
    "produce",
    "inventory",
    "inventory --until-end",
    "analytics",
    "analytics --until-end",
    "analytics --from-beginning",
    "replay",
    "lag",
    "lag --watch 1s",
    "clean --yes",
];

fn foodstream(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foodstream"));
    command.args(args).current_dir(folder).env_remove("FOODSTREAM_BOOTSTRAP_SERVERS").stdin(Stdio::null());
    command
}

fn texts(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Help, version and mistakes, byte for byte; `TRYCMD=overwrite` records the current output.
#[test]
fn prints_the_recorded_output() {
    let cases = trycmd::TestCases::new();
    cases.case("tests/cli/*.trycmd").env("COLUMNS", "120");
    if cfg!(not(feature = "tls")) {
        cases.case("tests/cli/without_tls/*.trycmd");
    }
}

#[test]
fn a_properties_file_reports_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("client.properties");
    let failure = |content: &str, mode: u32| {
        std::fs::write(&file, content).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("permitted");
        let output = foodstream(folder.path(), &["replay", "-F", "client.properties", "-b", "127.0.0.1:1"])
            .args(["--timeout", "200ms", "--output", "json"])
            .output()
            .expect("ended");
        let (stdout, stderr) = texts(&output);
        assert_eq!(stdout, "");
        (output.status.code(), stderr)
    };
    for (content, mode, named, fix) in [
        ("# a comment\nlinger.ms\n", 0o600, "client.properties:2: linger.ms has no value", "write key=value"),
        (
            "\n\nacks=1\n",
            0o600,
            "client.properties:3: acks: the program sets this property itself, to all",
            "write acks=all",
        ),
        ("=7\n", 0o600, "client.properties:1: the property has no name", "write key=value"),
        ("lingerms=7\n", 0o600, "1: lingerms: unknown property", "did you mean linger.ms?"),
        (
            "sasl.pasword=hush-hush\n",
            0o600,
            "client.properties:1: sasl.pasword: unknown property",
            "did you mean sasl.password?",
        ),
    ] {
        let (code, stderr) = failure(content, mode);
        assert_eq!(code, Some(2), "{content}: {stderr}");
        assert!(stderr.contains(named) && stderr.contains(fix), "{content}: {stderr}");
        assert!(!stderr.contains("hush-hush"), "secrets are redacted: {stderr}");
    }
    // Valid files lead to the connection attempt, which fails.
    for (content, mode) in [("linger.ms=7\n", 0o644), ("sasl.password=hush-hush\n", 0o600), ("! old\n", 0o644)] {
        assert_eq!(failure(content, mode).0, Some(4), "{content}");
    }
    let (code, stderr) = failure("linger.ms=7\nsasl.password=hush-hush\n", 0o644);
    assert_eq!(code, Some(4), "a warning, not a refusal: {stderr}");
    let warning = "warning: client.properties:2: every user of this machine can read sasl.password in this file \
                   (mode 644): run chmod 600 client.properties\n";
    assert!(stderr.contains(warning) && !stderr.contains("hush-hush"), "{stderr}");
}

#[test]
fn applies_the_precedence_of_sources() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "bootstrap.servers=127.0.0.1:2\n").expect("written");
    for (args, environment, port) in [
        ("-F file", None, 2),
        ("-F file", Some("127.0.0.1:3"), 3),
        ("-F file", Some(""), 2),
        ("-F file -X bootstrap.servers=127.0.0.1:4", Some("127.0.0.1:3"), 4),
        ("-F file -X metadata.broker.list=127.0.0.1:4", Some("127.0.0.1:3"), 4),
        ("-F file -X bootstrap.servers=127.0.0.1:4 -b 127.0.0.1:5", Some("127.0.0.1:3"), 5),
    ] {
        let mut command = foodstream(folder.path(), &["replay", "--dry-run", "--timeout", "300ms"]);
        command.args(args.split_whitespace());
        if let Some(environment) = environment {
            command.env("FOODSTREAM_BOOTSTRAP_SERVERS", environment);
        }
        let output = command.output().expect("ended");
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(4), "{args}: {stderr}");
        assert!(stderr.contains(&format!("asking 127.0.0.1:{port} for")), "{args}: {stderr}");
    }
}

#[test]
fn an_unreachable_broker_fails_within_the_timeout() {
    let folder = tempfile::tempdir().expect("a folder");
    // A server that accepts and never responds counts as unreachable too.
    let mute = TcpListener::bind("127.0.0.1:0").expect("bound");
    let mute = mute.local_addr().expect("an address").to_string();
    let check = &|address: &str, args: &str| {
        let args: Vec<&str> = args.split_whitespace().chain(["-b", address, "--timeout", "1s"]).collect();
        let begin = Instant::now();
        let output = foodstream(folder.path(), &args).args(["--output", "json"]).output().expect("ended");
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(4), "{args:?}: {stderr}");
        assert!(begin.elapsed() < Duration::from_secs(1) + SLACK, "{args:?}: {:?}", begin.elapsed());
        assert!(stderr.contains("hint: check -b host:port"), "{args:?}: {stderr}");
        assert_eq!(stdout, "", "{args:?}");
    };
    for address in ["127.0.0.1:1", "no-such-host.invalid:9092", &mute] {
        // In parallel, because they only wait.
        std::thread::scope(|scope| {
            for args in COMMANDS {
                scope.spawn(move || check(address, args));
            }
        });
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0, "leaves no file");
}

#[test]
fn a_signal_ends_the_wait_for_a_broker() {
    let folder = tempfile::tempdir().expect("a folder");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        for line in COMMANDS {
            let code = if LIVE.contains(&line) { 0 } else { code };
            let mute = TcpListener::bind("127.0.0.1:0").expect("bound");
            let address = mute.local_addr().expect("an address").to_string();
            let args: Vec<&str> = line.split_whitespace().chain(["-b", &address, "--timeout", "60s"]).collect();
            let child = foodstream(folder.path(), &args)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("started");
            // After the first request, the signal handlers are installed.
            let (mut asked, _) = mute.accept().expect("asked");
            asked.read_exact(&mut [0]).expect("a request");
            let begin = Instant::now();
            kill_process(Pid::from_child(&child), signal).expect("signalled");
            let output = child.wait_with_output().expect("ended");
            let (stdout, stderr) = texts(&output);
            assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
            assert!(begin.elapsed() < SLACK, "{args:?}: {:?}", begin.elapsed());
            assert_eq!(stdout, "", "{args:?}");
            let expected = match line {
                "analytics" => "stopped before there was a result; not written: metrics_output.txt",
                _ if LIVE.contains(&line) => "stopped before there was a result",
                _ => "error: ",
            };
            assert!(stderr.contains(expected), "{args:?}: {stderr}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0, "leaves no file");
}

#[test]
fn keeps_ignoring_sighup_under_nohup() {
    let folder = tempfile::tempdir().expect("a folder");
    let mute = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = mute.local_addr().expect("an address").to_string();
    let child = Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_foodstream")])
        .args(["replay", "-b", &address, "--timeout", "60s"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let (mut asked, _) = mute.accept().expect("asked");
    asked.read_exact(&mut [0]).expect("a request");
    let pid = Pid::from_child(&child);
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("Linux");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("the ignored signals");
    assert_eq!(u64::from_str_radix(ignored.trim(), 16).expect("a mask") & 1, 1, "SIGHUP is the lowest bit: {ignored}");
    kill_process(pid, Signal::HUP).expect("signalled");
    kill_process(pid, Signal::INT).expect("signalled");
    let output = child.wait_with_output().expect("ended");
    // The first signal that is not ignored determines the code.
    assert_eq!(output.status.code(), Some(130), "{}", texts(&output).1);
}

/// Runs the program in a shell with a limit on open files; `limit` has the arguments of `ulimit`.
fn limited(folder: &Path, limit: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_foodstream")])
        .args(args)
        .current_dir(folder)
        .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
        .stdin(Stdio::null());
    command
}

#[test]
fn too_few_open_files_fail_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = COMMANDS.into_iter().chain(["broker --listen 127.0.0.1:0", "produce -b embedded", "replay --dry-run"]);
    for line in lines {
        let mut args: Vec<&str> = line.split_whitespace().collect();
        if !line.contains("broker") && !line.contains("-b") {
            args.extend(["-b", "127.0.0.1:1", "--timeout", "60s"]);
        }
        let begin = Instant::now();
        let output = limited(folder.path(), "-n 32", &args).output().expect("ended");
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{line}: {stderr}");
        assert!(begin.elapsed() < SLACK, "{line}: {:?}", begin.elapsed());
        assert!(stderr.contains(" more files and needs 80: Too many open files"), "{line}: {stderr}");
        assert!(stderr.contains("hint: raise the limit") && stderr.contains("ulimit -n 1024"), "{line}: {stderr}");
        assert_eq!(stdout, "", "{line}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0, "nothing has been done");
    // Mistakes are reported first, and commands without a broker need no files.
    for (args, code) in [(&["produce", "-X", "nothing"][..], 2), (&["--help"], 0), (&["completions", "bash"], 0)] {
        let output = limited(folder.path(), "-n 32", args).stdout(Stdio::null()).output().expect("ended");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", texts(&output).1);
    }
}

/// The limit is lowered for a running process, and its connection is closed.
#[cfg(target_os = "linux")]
#[test]
fn a_connection_without_descriptors_fails() {
    use rustix::process::{Resource, Rlimit, prlimit};
    let folder = tempfile::tempdir().expect("a folder");
    for line in COMMANDS {
        let mute = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = mute.local_addr().expect("an address").to_string();
        let args: Vec<&str> = line.split_whitespace().chain(["-b", &address, "--timeout", "60s"]).collect();
        let child =
            foodstream(folder.path(), &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let (mut asked, _) = mute.accept().expect("asked");
        asked.read_exact(&mut [0]).expect("a request");
        let few = Rlimit { current: Some(3), maximum: Some(3) };
        prlimit(Some(Pid::from_child(&child)), Resource::Nofile, few).expect("lowered");
        drop(asked);
        let begin = Instant::now();
        let output = child.wait_with_output().expect("ended");
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{line}: {stderr}");
        assert!(begin.elapsed() < SLACK, "{line}: {:?}", begin.elapsed());
        assert!(stderr.contains("this process has too many open files\n  hint: raise the limit"), "{line}: {stderr}");
        assert_eq!(stdout, "", "{line}");
    }
}

#[test]
fn raises_the_soft_limit_of_open_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let mute = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = mute.local_addr().expect("an address").to_string();
    let child = limited(folder.path(), "-Sn 200", &["lag", "-b", &address, "--timeout", "60s"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let (mut asked, _) = mute.accept().expect("asked");
    asked.read_exact(&mut [0]).expect("a request");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).expect("Linux");
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("the limit");
    let [soft, hard, ..] = limit.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{limit}") };
    assert_eq!(soft, hard);
    kill_process(Pid::from_child(&child), Signal::INT).expect("signalled");
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(130), "{}", texts(&output).1);
}

#[test]
fn help_into_a_closed_pipe_does_not_panic() {
    for args in [["--help", ""], ["produce", "--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let args: Vec<&str> = args.into_iter().filter(|word| !word.is_empty()).collect();
        let output = foodstream(Path::new("."), &args).stdout(writer).output().expect("ended");
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

/// Each script of `scenarios/` with its first `value` misspelt: reported before anything runs, with file, line, column,
/// text and suggestion.
#[test]
fn a_misspelt_key_of_a_script_reports_its_place() {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let folder = tempfile::tempdir().expect("a folder");
    let mut seen = 0;
    for entry in std::fs::read_dir(scenarios).expect("listed") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("read");
        let misspelt = text.replacen("\nvalue = ", "\nvallue = ", 1);
        let line = 1 + misspelt.lines().position(|line| line.starts_with("vallue = ")).expect("misspelt");
        let file = folder.path().join(path.file_name().expect("a name"));
        std::fs::write(&file, misspelt).expect("written");
        let name = path.file_name().expect("a name").to_str().expect("UTF-8");
        for command in ["run", "check", "list"] {
            let output = foodstream(folder.path(), &["scenario", command, name]).output().expect("ended");
            let (stdout, stderr) = texts(&output);
            assert_eq!(output.status.code(), Some(2), "{name}: {stderr}");
            for part in [format!("{name}:{line}:1"), "vallue = ".to_owned(), "value?".to_owned()] {
                assert!(stderr.contains(&part), "{name}: no {part} in {stderr}");
            }
            assert_eq!(stdout, "");
        }
        seen += 1;
    }
    assert_eq!(seen, 6);
    assert!(!folder.path().join("scenario-report").exists(), "nothing was run");
}

/// Hostile scripts are ordinary mistakes: nothing runs, and no more than the largest script is read.
#[test]
fn a_hostile_script_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = |run: &str, name: &str| {
        format!(
            "name = {name:?}\ndescription = \"x\"\n[[step]]\nname = \"s\"\nrun = {run:?}\n[[expect]]\nstep = \"s\"\nvalue = \"run.exit\"\nequals = 0\n"
        )
    };
    let refused = |text: &[u8], named: &str| {
        std::fs::write(folder.path().join("hostile.toml"), text).expect("written");
        let begin = Instant::now();
        let output = foodstream(folder.path(), &["scenario", "run", "hostile.toml"]).output().expect("ended");
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{named}: {stderr}");
        assert!(stderr.contains(named), "{named}: {stderr}");
        assert_eq!(stdout, "");
        assert!(begin.elapsed() < SLACK, "{named}");
        assert!(!folder.path().join("owned").exists(), "{named}");
    };
    for run in [
        "produce; touch owned",
        "produce $(touch owned)",
        "produce `touch owned`",
        "produce && touch owned",
        "touch owned",
    ] {
        refused(script(run, "x").as_bytes(), "hostile.toml:5:");
    }
    for run in [
        "analytics --metrics-file ../owned",
        "analytics --metrics-file /tmp/owned",
        "produce -b somewhere:9092",
        "broker",
        "scenario run x",
        "clean --yes",
    ] {
        refused(script(run, "x").as_bytes(), "hostile.toml:5:");
    }
    refused(script("produce", "<script>alert(1)</script>").as_bytes(), "hostile.toml:1:");
    refused(script("produce", "../../owned").as_bytes(), "hostile.toml:1:");
    let steps = "[[step]]\nrun = \"produce --count 1\"\n".repeat(10_000);
    refused(format!("name = \"x\"\ndescription = \"x\"\n{steps}").as_bytes(), "hostile.toml");
    refused(&vec![b'#'; 100 << 20], "hostile.toml");
}

/// A broker may still be starting, so the client retries for some seconds, but not for the whole default timeout.
#[test]
fn an_absent_broker_fails_within_five_seconds() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = [
        (vec!["lag", "-b", "127.0.0.1:1"], "nothing listens on 127.0.0.1:1 (Connection refused)"),
        (vec!["produce", "--count", "1", "-b", "nowhere.invalid:9092"], "unknown host nowhere.invalid ("),
        (vec!["replay", "-b", "127.0.0.1:1,127.0.0.1:2"], "; nothing listens on 127.0.0.1:2 (Connection refused)"),
    ];
    let running = cases.map(|(args, cause)| {
        let begin = std::time::Instant::now();
        let child = foodstream(folder.path(), &args).stderr(Stdio::piped()).spawn().expect("started");
        (child, cause, begin)
    });
    for (child, cause, begin) in running {
        let output = child.wait_with_output().expect("ended");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{stderr}");
        assert!(begin.elapsed() < std::time::Duration::from_secs(5 + 2), "{:?}", begin.elapsed());
        let (waiting, error) = stderr.split_once("\nerror: ").expect("a line of waiting and an error");
        assert!(waiting.starts_with("still ") && waiting.contains(cause), "{stderr}");
        assert!(
            error.contains(cause) && !stderr.contains("[thrd:") && !stderr.contains("brokers are down"),
            "{stderr}"
        );
    }
}

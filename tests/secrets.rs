//! A secret in the settings of every command is in none of its outputs and files.
#![allow(clippy::disallowed_methods, reason = "a command that would never end is ended")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::CommandFactory;
use foodstream::cli::Cli;

const CANARY: &str = "Canary7f3a9c41d2";

/// A directory name that every message about its settings contains.
const CANARY_FILE: &str = "Canary7f3a9c41d2/client.properties";

/// Where the canary is: content of the file, and arguments.
fn ways() -> Vec<(&'static str, String, Vec<String>)> {
    let sasl = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=alice\n";
    let plain = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n\
                 sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required";
    let bearer =
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=OAUTHBEARER\nenable.sasl.oauthbearer.unsecure.jwt=true\n";
    let extra = |args: &[&str]| args.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let here = ["-b", "127.0.0.1:1"];
    vec![
        ("sasl.password", format!("{sasl}sasl.password={CANARY}\n"), extra(&here)),
        ("ssl.key.password", format!("security.protocol=SSL\nssl.key.password={CANARY}\n"), extra(&here)),
        ("a login module", format!("{plain} username=\"alice\" \\\n  password=\"{CANARY}\";\n"), extra(&here)),
        ("a broken login module", format!("{plain} username=\"alice\" password={CANARY}\n"), extra(&here)),
        ("lines that are not joined", format!("{plain}\n  password=\"{CANARY}\";\n"), extra(&here)),
        ("a malformed escape", format!("sasl.password=\\u00zz{CANARY}\n"), extra(&here)),
        ("a line of its own", format!("{CANARY}\n"), extra(&here)),
        ("a misspelt name", format!("sasl.pasword={CANARY}\n"), extra(&here)),
        ("-X", sasl.to_owned(), [extra(&here), vec!["-X".into(), format!("sasl.password={CANARY}")]].concat()),
        ("-X without a name", String::new(), [extra(&here), vec!["-X".into(), CANARY.into()]].concat()),
        (
            "a token's claims",
            format!("{bearer}sasl.oauthbearer.config=principal=alice {CANARY} scope=x\n"),
            extra(&here),
        ),
        ("claims", format!("{bearer}sasl.oauthbearer.config=principal={CANARY} scope=x\n"), extra(&here)),
        ("a value in a wrong place", format!("sasl.password={CANARY}\nsecurity.protocol={CANARY}\n"), extra(&here)),
        (
            "a word of the path",
            format!("{sasl}sasl.password={CANARY}\n"),
            extra(&["-F", CANARY_FILE, "-b", "127.0.0.1:1"]),
        ),
        ("an address", String::new(), vec!["-b".into(), format!("sasl_ssl://alice:{CANARY}@127.0.0.1:1")]),
    ]
}

/// What each command needs to end. New commands are found in the list of commands.
fn args(command: &str) -> Vec<&str> {
    match command {
        "produce" => vec!["--count", "10"],
        "inventory" => vec!["--until-end"],
        "analytics" => vec!["--from-beginning"],
        "clean" => vec!["--yes"],
        "broker" => vec!["--status"],
        "completions" => vec!["bash"],
        "man" => vec!["pages"],
        _ => vec![],
    }
}

fn start(folder: &Path, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_foodstream"))
        .args(args)
        .current_dir(folder)
        .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
        .env("RUST_BACKTRACE", "full")
        .stdin(Stdio::null())
        .stdout(fs::File::create(folder.join("stdout")).expect("a file"))
        .stderr(fs::File::create(folder.join("stderr")).expect("a file"))
        .spawn()
        .expect("started")
}

/// Waits for the end, and kills the process after 20 s.
fn end(mut child: Child) -> Option<i32> {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        if let Some(status) = child.try_wait().expect("asked") {
            return status.code();
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("killed");
    child.wait().expect("ended").code()
}

/// Searches all files of a directory except the properties.
fn search(folder: &Path, of: &str) -> usize {
    let mut searched = 0;
    for entry in fs::read_dir(folder).expect("listed") {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            searched += search(&path, of);
        } else if path.file_name().is_some_and(|name| name != "client.properties") {
            // The lock or log of a stopping broker may already be deleted.
            let Ok(bytes) = fs::read(&path) else { continue };
            let found = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
            assert!(!found, "{of}: the canary is in {}:\n{}", path.display(), String::from_utf8_lossy(&bytes));
            searched += 1;
        }
    }
    searched
}

fn commands() -> Vec<String> {
    let names = Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect::<Vec<_>>();
    assert!(names.len() >= 5 && names.iter().any(|name| name == "produce"), "{names:?}");
    names
}

#[test]
fn no_command_reveals_a_secret() {
    let commands = commands();
    thread::scope(|scope| {
        for (way, content, extra) in ways() {
            let commands = &commands;
            scope.spawn(move || {
                for command in commands {
                    let folder = tempfile::tempdir().expect("a folder");
                    let elsewhere = extra.iter().any(|word| word == CANARY_FILE);
                    let file = folder.path().join(if elsewhere { CANARY_FILE } else { "client.properties" });
                    fs::create_dir_all(file.parent().expect("a folder")).expect("made");
                    fs::write(file, &content).expect("written");
                    let file: &[&str] = if elsewhere { &[] } else { &["-F", "client.properties"] };
                    let options = ["-v", "-X", "debug=all", "--timeout", "300ms", "--report", "r"];
                    let extra = extra.iter().map(String::as_str).chain(file.iter().copied());
                    let all = [command.as_str()].into_iter().chain(args(command)).chain(options).chain(extra);
                    end(start(folder.path(), &all.collect::<Vec<_>>()));
                    assert!(search(folder.path(), &format!("{command} with {way}")) >= 2);
                }
            });
        }
    });
}

/// The background broker, its log and its data.
#[test]
fn the_embedded_broker_gets_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("client.properties"), format!("sasl.password={CANARY}\n")).expect("written");
    let options =
        ["-F", "client.properties", "-v", "-X", "debug=all", "-b", "embedded", "--output", "json", "--report", "r"];
    for command in ["produce --count 10", "inventory --until-end", "analytics --until-end", "replay"] {
        let args: Vec<&str> = command.split_whitespace().chain(options).collect();
        assert_eq!(end(start(folder.path(), &args)), Some(0), "{command}");
        let debugged = fs::read_to_string(folder.path().join("stderr")).expect("read");
        assert!(debugged.contains("librdkafka: CONF"), "{command}: debug=all shows its settings: {debugged}");
        assert!(search(folder.path(), command) > 5, "{command}");
    }
    assert_eq!(end(start(folder.path(), &["broker", "--stop"])), Some(0));
    search(folder.path(), "remaining files");
}

/// A script with endless steps.
const ENDLESS: &str = r#"
name = "endless"
description = "Orders that do not end."

[[step]]
name = "orders"
run = "produce --rate 10/s --count 100000"
background = true

[[step]]
wait = { records = "order-events", at_least = 99999 }
deadline = "10m"

[[expect]]
step = "orders"
value = "acknowledged"
at_least = 1
"#;

/// Command line and environment of each step process with this word.
fn steps(word: &str) -> Vec<Vec<u8>> {
    let processes = fs::read_dir("/proc").expect("listed").flatten().map(|entry| entry.path());
    let seen =
        processes.filter_map(|path| Some((fs::read(path.join("cmdline")).ok()?, fs::read(path.join("environ")).ok()?)));
    let ours = seen.filter(|(line, _)| {
        let line = String::from_utf8_lossy(line);
        line.contains("--leash") && line.contains(word)
    });
    ours.map(|(line, environment)| [line, environment].concat()).collect()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_mins(1), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The connection of a script's steps is in no file, command line or environment, neither while they run nor after a
/// kill -9 of the runner.
#[test]
#[cfg(target_os = "linux")]
fn a_script_reveals_no_secret_after_a_kill() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder");
    let (home, temporary) = (folder.path().join("home"), folder.path().join("temporary"));
    fs::create_dir(&home).expect("made");
    fs::create_dir(&temporary).expect("made");
    fs::write(home.join("client.properties"), format!("sasl.password={CANARY}\n")).expect("written");
    fs::write(home.join("endless.toml"), ENDLESS).expect("written");
    let prefix = format!("canary{}.", std::process::id());
    // The directory is private whatever the umask.
    let mut runner = Command::new("sh")
        .args([
            "-c",
            "umask 000; exec \"$0\" \"$@\"",
            env!("CARGO_BIN_EXE_foodstream"),
            "scenario",
            "run",
            "endless.toml",
        ])
        .args(["-F", "client.properties", "--prefix", &prefix])
        .current_dir(&home)
        .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null())
        .stdout(fs::File::create(home.join("stdout")).expect("a file"))
        .stderr(fs::File::create(home.join("stderr")).expect("a file"))
        .spawn()
        .expect("started");
    until("a step runs", || !steps(&prefix).is_empty());
    let place = fs::read_dir(&temporary).expect("listed").next().expect("a folder").expect("listed").path();
    assert_eq!(fs::metadata(&place).expect("there").permissions().mode() & 0o777, 0o700);
    // No properties file may exist: the search skips it.
    assert!(!place.join("client.properties").exists());
    let clean = || {
        search(&home, "during the run");
        search(&temporary, "during the run");
        for step in steps(&prefix) {
            assert!(
                !step.windows(CANARY.len()).any(|it| it == CANARY.as_bytes()),
                "a step's command line or environment"
            );
        }
    };
    clean();
    runner.kill().expect("killed");
    runner.wait().expect("ended");
    clean();
    until("its steps are gone", || steps(&prefix).is_empty());
    clean();
    let stderr = fs::read_to_string(home.join("stderr")).expect("read");
    assert!(!stderr.contains("error"), "{stderr}");
}

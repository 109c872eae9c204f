//! Owns what is short: files that may be open, their size, the disk. Nothing of it is taken for something else, and it is told.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Command;
#[cfg(target_os = "linux")]
use std::process::Stdio;

#[cfg(target_os = "linux")]
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::{Foreground, Run, Signal, WorkDir, records};
#[cfg(target_os = "linux")]
use super::{is_running, until};

/// A command of a home below a limit of the shell.
fn limited(dir: &WorkDir, limit: &str, args: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit {limit} && exec \"$0\" {args}"), env!("CARGO_BIN_EXE_foodstream")])
        .current_dir(dir.data.path())
        .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
        .env_remove("FOODSTREAM_BROKER_IDLE")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    command
}

fn run(dir: &WorkDir, limit: &str, args: &str) -> Run {
    Run::of(args, limited(dir, limit, args).output().expect("ended"))
}

/// A broker in the foreground below a limit.
fn broker(dir: &WorkDir, limit: &str, args: &str) -> Foreground {
    let mut child = limited(dir, limit, args).spawn().expect("started");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("read");
    assert!(!line.is_empty(), "{args} said nothing");
    Foreground { child, line }
}

#[test]
fn serves_more_partitions_than_open_files() {
    let dir = WorkDir::new();
    // The broker is started by the first command, below its limit; the limits of macOS begin here.
    run(&dir, "-n 256", "produce --count 2000 --partitions 200 --seed 7 -b embedded").expect(0);
    let decided = run(&dir, "-n 256", "inventory --until-end -b embedded --output json").expect(0);
    let document: serde_json::Value = serde_json::from_str(&decided.stdout).expect("a document");
    assert_eq!(document["orders"], 2000);
    let status = dir.status(".foodstream").expect("it runs");
    assert_eq!(records(&status), 2000);
    #[cfg(target_os = "linux")]
    {
        let open = fs::read_dir(format!("/proc/{}/fd", dir.pid(".foodstream"))).expect("listed").count();
        assert!(open < 256 / 2, "{open} files are open");
    }
    dir.run("broker --stop").expect(0);
    // And read again by the next one: 800 partitions.
    let again = run(&dir, "-n 256", "inventory --until-end -b embedded --output json").expect(0);
    let document: serde_json::Value = serde_json::from_str(&again.stdout).expect("a document");
    assert_eq!(document["orders"], 0);
    let log = fs::read_to_string(dir.path(".foodstream/broker.log")).expect("read");
    assert!(!log.contains("Too many open files"), "{log}");
}

/// That no file can be opened says nothing about the folder.
#[test]
#[cfg(target_os = "linux")]
fn too_many_open_files_is_not_a_deleted_directory() {
    let dir = WorkDir::new();
    dir.run("produce --count 20 --seed 7 -b embedded").expect(0);
    let pid = dir.pid(".foodstream");
    let process = Some(Pid::from_raw(pid).expect("a pid"));
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let before = prlimit(process, Resource::Nofile, Rlimit { current: Some(3), maximum }).expect("limited");
    let log = || fs::read_to_string(dir.path(".foodstream/broker.log")).expect("read");
    until("it is told", || log().contains("cannot check the data directory: Too many open files").then_some(()));
    // Whoever has not enough files himself does not know whether there is a broker, and says so.
    let mut asked = limited(&dir, "-n 3", "broker --status").stderr(Stdio::piped()).spawn().expect("started");
    assert_ne!(asked.wait().expect("ended").code(), Some(3), "no files, and so no broker?");
    assert!(is_running(pid), "{}", log());
    prlimit(process, Resource::Nofile, before).expect("given back");
    dir.run("produce --count 20 --seed 8 -b embedded").expect(0);
    assert_eq!(dir.pid(".foodstream"), pid);
    assert_eq!(records(&dir.status(".foodstream").expect("it runs")), 40);
    assert_eq!(log().matches("cannot check the data directory").count(), 1, "{}", log());
}

#[test]
fn file_size_limit_is_reported_to_clients() {
    let dir = WorkDir::new();
    // Blocks of 512 bytes, or of 1,024 in some shells.
    let broker = broker(&dir, "-f 400", "broker --listen 127.0.0.1:0 --data .foodstream");
    let produced = dir.run("produce --count 20000 --seed 7 --timeout 4s -b embedded").expect(4);
    let message = "cannot write its data: a file would exceed the file size limit of this process (`ulimit -f`)";
    assert!(produced.stderr.contains("warning: the embedded broker over .foodstream ("), "{}", produced.stderr);
    assert_eq!(produced.stderr.matches(message).count(), 1, "{}", produced.stderr);
    // What was acknowledged is there, and can be read by a broker without the limit.
    let status = dir.status(".foodstream").expect("it runs");
    let there = records(&status);
    assert!(there > 100, "{status:#}");
    assert_eq!(broker.end(Signal::TERM), 0);
    dir.run("analytics --from-beginning -b embedded").expect(0);
    assert_eq!(records(&dir.status(".foodstream").expect("it runs")), there);
    dir.run("produce --count 100 --seed 8 -b embedded").expect(0);
}

#[test]
fn file_size_limit_fails_the_man_page() {
    let dir = WorkDir::new();
    fs::create_dir(dir.path("pages")).expect("made");
    let manual = run(&dir, "-f 1", "man pages").expect(8);
    assert!(manual.stderr.contains("pages/") && manual.stderr.contains("File too large"), "{}", manual.stderr);
    assert_eq!(
        fs::read_dir(dir.path("pages")).expect("listed").filter(|it| is_cut(it.as_ref().expect("listed"))).count(),
        0
    );
}

/// Whether a page is there in part.
fn is_cut(page: &fs::DirEntry) -> bool {
    !fs::read_to_string(page.path()).expect("read").contains(".SH OPTIONS")
}

#[test]
fn full_disk_is_reported_to_clients() {
    let dir = WorkDir::new();
    fs::create_dir(dir.path("small")).expect("made");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir.path("small")).output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        eprintln!("skipped: a small file system can be mounted by root on Linux only");
        return;
    }
    let unmount = || Command::new("umount").arg(dir.path("small")).status().is_ok_and(|status| status.success());
    let result = std::panic::catch_unwind(|| {
        let broker = Foreground::start(&dir, "broker --listen 127.0.0.1:0 --data small/data");
        let produced = dir.run("produce --count 20000 --seed 7 --timeout 4s -b embedded:small/data").expect(4);
        assert_eq!(
            produced.stderr.matches("cannot write its data: the disk is full").count(),
            1,
            "{}",
            produced.stderr
        );
        // Also who has nothing to send but a request that must be remembered.
        let decided = dir.run("inventory --until-end --timeout 4s -b embedded:small/data").expect(4);
        assert!(decided.stderr.contains("cannot write its data: the disk is full"), "{}", decided.stderr);
        drop(broker);
    });
    assert!(unmount());
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

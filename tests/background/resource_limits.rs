//! Resource limits of the operating system: open files, file size, disk space. Each is reported as what it is.

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

/// A command that runs under a `ulimit`.
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

/// A broker in the foreground under a `ulimit`.
fn broker(dir: &WorkDir, limit: &str, args: &str) -> Foreground {
    let mut child = limited(dir, limit, args).spawn().expect("started");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("read");
    assert!(!line.is_empty(), "{args} printed nothing");
    Foreground { child, line }
}

#[test]
fn serves_more_partitions_than_open_files() {
    let dir = WorkDir::new();
    // The first command starts the broker under its own limit. 256 is the default limit of macOS.
    run(&dir, "-n 256", "produce --count 2000 --partitions 200 --seed 7 -b embedded").expect(0);
    let decided = run(&dir, "-n 256", "inventory --until-end -b embedded --output json").expect(0);
    let document: serde_json::Value = serde_json::from_str(&decided.stdout).expect("a document");
    assert_eq!(document["orders"], 2000);
    let status = dir.status(".foodstream").expect("a running broker");
    assert_eq!(records(&status), 2000);
    #[cfg(target_os = "linux")]
    {
        let open = fs::read_dir(format!("/proc/{}/fd", dir.pid(".foodstream"))).expect("listed").count();
        assert!(open < 256 / 2, "{open} files are open");
    }
    dir.run("broker --stop").expect(0);
    // The next broker opens 800 partitions again.
    let again = run(&dir, "-n 256", "inventory --until-end -b embedded --output json").expect(0);
    let document: serde_json::Value = serde_json::from_str(&again.stdout).expect("a document");
    assert_eq!(document["orders"], 0);
    let log = fs::read_to_string(dir.path(".foodstream/broker.log")).expect("read");
    assert!(!log.contains("Too many open files"), "{log}");
}

/// A failure to open a file is not a sign of a deleted directory.
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
    until("the error is logged", || {
        log().contains("cannot check the data directory: Too many open files").then_some(())
    });
    // A command without file descriptors cannot know whether a broker runs, and must not exit 3.
    let mut asked = limited(&dir, "-n 3", "broker --status").stderr(Stdio::piped()).spawn().expect("started");
    assert_ne!(asked.wait().expect("ended").code(), Some(3), "exit 3 would mean that no broker runs");
    assert!(is_running(pid), "{}", log());
    prlimit(process, Resource::Nofile, before).expect("given back");
    dir.run("produce --count 20 --seed 8 -b embedded").expect(0);
    assert_eq!(dir.pid(".foodstream"), pid);
    assert_eq!(records(&dir.status(".foodstream").expect("a running broker")), 40);
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
    // Acknowledged records are stored, and a broker without the limit can read them.
    let status = dir.status(".foodstream").expect("a running broker");
    let there = records(&status);
    assert!(there > 100, "{status:#}");
    assert_eq!(broker.end(Signal::TERM), 0);
    dir.run("analytics --from-beginning -b embedded").expect(0);
    assert_eq!(records(&dir.status(".foodstream").expect("a running broker")), there);
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

/// Whether a man page is truncated.
fn is_cut(page: &fs::DirEntry) -> bool {
    !fs::read_to_string(page.path()).expect("read").contains(".SH OPTIONS")
}

#[test]
fn full_disk_is_reported_to_clients() {
    let dir = WorkDir::new();
    fs::create_dir(dir.path("small")).expect("made");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir.path("small")).output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        eprintln!("skipped: only root on Linux can mount a small file system");
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
        // Also for a client that produces nothing but sends requests which the broker must store.
        let decided = dir.run("inventory --until-end --timeout 4s -b embedded:small/data").expect(4);
        assert!(decided.stderr.contains("cannot write its data: the disk is full"), "{}", decided.stderr);
        drop(broker);
    });
    assert!(unmount());
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

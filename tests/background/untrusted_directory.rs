//! Data directories that another user prepared or may change: each is refused before any file is opened or created.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Foreground, Signal, WorkDir, records};

/// A working directory with two subdirectories: `.foodstream`, which a broker has filled, and `victim`, which the
/// broker must not touch.
fn prepared() -> WorkDir {
    let dir = WorkDir::new();
    let broker = Foreground::start(&dir, "broker --listen 127.0.0.1:0 --data .foodstream");
    dir.run(&format!("produce --count 20 --seed 7 -b {}", broker.address())).expect(0);
    assert_eq!(broker.end(Signal::TERM), 0);
    fs::write(dir.path(".foodstream/broker.log"), "a line\n").expect("written");
    fs::write(dir.path(".foodstream/chosen"), "embedded\n").expect("written");
    fs::create_dir_all(dir.path("victim/folder")).expect("made");
    fs::write(dir.path("victim/keys"), "ssh-ed25519 AAAA\n").expect("written");
    fs::write(dir.path("victim/folder/keep"), "me").expect("written");
    dir
}

/// Content, mode, owner and modification time of everything below a directory.
fn tree(data: &Path) -> BTreeMap<PathBuf, (u32, u32, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut open = vec![data.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).expect("there");
        let content = if metadata.is_file() {
            fs::read(&path).expect("read")
        } else if metadata.is_symlink() {
            fs::read_link(&path).expect("read").into_os_string().into_encoded_bytes()
        } else {
            Vec::new()
        };
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).expect("read").map(|entry| entry.expect("read").path()));
        }
        all.insert(path, (metadata.mode(), metadata.uid(), metadata.mtime_nsec(), content));
    }
    all
}

/// The first file below the data directory whose path ends with `ending`, relative to the working directory.
fn find(dir: &WorkDir, ending: &str) -> String {
    let all = tree(&dir.path(".foodstream"));
    let found = all.keys().find(|path| path.to_str().expect("text").ends_with(ending)).expect("there");
    found.strip_prefix(dir.data.path()).expect("below").to_str().expect("text").to_owned()
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("permitted");
}

/// Requires that each command exits 7 with this message and changes no file.
#[track_caller]
fn refused(dir: &WorkDir, commands: &[&str], path: &str, message: &str) {
    let before = tree(dir.data.path());
    for command in commands {
        let run = dir.run(command).expect(7);
        assert!(run.stderr.contains(&format!("{path} {message}")), "{command}: {path} {message}:\n{}", run.stderr);
        assert!(run.stderr.contains("hint: "), "{}", run.stderr);
        let after = tree(dir.data.path());
        let changed: Vec<_> =
            before.keys().chain(after.keys()).filter(|it| before.get(*it) != after.get(*it)).collect();
        assert_eq!(changed, Vec::<&PathBuf>::new(), "{command}");
    }
}

const STARTS: [&str; 3] = ["lag -b embedded", "broker --data .foodstream", "produce --count 1 -b embedded:.foodstream"];
const ALL: [&str; 5] = [
    "lag -b embedded",
    "broker --data .foodstream",
    "produce --count 1 -b embedded:.foodstream",
    "broker --status",
    "broker --stop",
];

/// Files that the broker reads or creates in its data directory.
fn names(dir: &WorkDir) -> Vec<String> {
    let mut names: Vec<String> = [
        "lock",
        "broker.log",
        "journal",
        "journal.new",
        "ends",
        "ends.new",
        "format.json",
        "format.new",
        "chosen",
        "new",
    ]
    .map(|name| format!(".foodstream/{name}"))
    .into();
    let log = find(dir, "/00000000000000000000.log");
    names.push(log.replace("00000000000000000000.log", ".kafka_cleanshutdown"));
    names.push(log.replace("00000000000000000000.log", "00000000000000000000.log.cleaned.set-aside"));
    names.push(log);
    names
}

#[test]
fn special_files_are_refused() {
    let dir = prepared();
    let victim = dir.path("victim/keys");
    for name in names(&dir) {
        let (at, aside) = (dir.path(&name), dir.path("aside"));
        let there = at.exists();
        if there {
            fs::rename(&at, &aside).expect("moved");
        }
        symlink(&victim, &at).expect("linked");
        refused(&dir, &STARTS, &name, "is a symbolic link");
        fs::remove_file(&at).expect("removed");
        symlink(dir.path("victim/new"), &at).expect("linked");
        refused(&dir, &STARTS[..1], &name, "is a symbolic link");
        fs::remove_file(&at).expect("removed");
        fs::hard_link(&victim, &at).expect("linked");
        refused(&dir, &STARTS[..2], &name, "has a second name");
        fs::remove_file(&at).expect("removed");
        // Opening a named pipe as a file would block until another process opens its other end.
        assert!(Command::new("mkfifo").arg(&at).status().expect("mkfifo runs").success());
        refused(&dir, &STARTS, &name, "is a named pipe");
        fs::remove_file(&at).expect("removed");
        // The path of a socket is limited in length, so it is created elsewhere and moved.
        let socket = dir.path("socket");
        drop(UnixListener::bind(&socket).expect("bound"));
        fs::rename(&socket, &at).expect("moved");
        refused(&dir, &STARTS[..1], &name, "is a socket");
        fs::remove_file(&at).expect("removed");
        if there {
            fs::rename(&aside, &at).expect("moved back");
        }
    }
    assert_eq!(fs::read_to_string(victim).expect("read"), "ssh-ed25519 AAAA\n");
    // After all of them are removed, the directory works again.
    dir.run("produce --count 1 -b embedded").expect(0);
    assert_eq!(records(&dir.status(".foodstream").expect("a running broker")), 21);
}

#[test]
fn linked_directories_are_refused() {
    let dir = prepared();
    let partition = find(&dir, "/0");
    let topic = partition.strip_suffix("/0").expect("below").to_owned();
    let unknown = ".foodstream/topics/00000000-0000-4000-8000-000000000001";
    for name in [".foodstream/topics", &topic, &partition, unknown, &format!("{unknown}.set-aside")] {
        let (at, aside) = (dir.path(name), dir.path("aside"));
        let there = at.exists();
        if there {
            fs::rename(&at, &aside).expect("moved");
        }
        symlink(dir.path("victim/folder"), &at).expect("linked");
        refused(&dir, &STARTS, name, "is a symbolic link");
        fs::remove_file(&at).expect("removed");
        if there {
            fs::rename(&aside, &at).expect("moved back");
        }
    }
    // The data directory itself, with different spellings of its path.
    fs::rename(dir.path(".foodstream"), dir.path("elsewhere")).expect("moved");
    symlink("elsewhere", dir.path(".foodstream")).expect("linked");
    refused(&dir, &ALL, ".foodstream", "is a symbolic link");
    for command in
        ["lag -b embedded:.foodstream/", "broker --data .foodstream/.", "broker --status --data .foodstream//"]
    {
        refused(&dir, &[command], ".foodstream", "is a symbolic link");
    }
    // A dangling link is not filled at its target.
    fs::rename(dir.path("elsewhere"), dir.path("other")).expect("moved");
    refused(&dir, &ALL, ".foodstream", "is a symbolic link");
}

#[test]
fn files_writable_by_others_are_refused() {
    let dir = prepared();
    let log = find(&dir, "/00000000000000000000.log");
    let names = [".foodstream/journal", ".foodstream/ends", ".foodstream/broker.log", ".foodstream/topics", &log];
    for (mode, by) in
        [(0o777, "may be written by every user (mode 777)"), (0o770, "may be written by its group (mode 770)")]
    {
        for name in names {
            let before = fs::metadata(dir.path(name)).expect("there").permissions();
            allow(&dir.path(name), mode);
            refused(&dir, &STARTS, name, by);
            fs::set_permissions(dir.path(name), before).expect("permitted");
        }
        allow(&dir.path(".foodstream"), mode);
        refused(&dir, &ALL, ".foodstream", by);
        allow(&dir.path(".foodstream"), 0o700);
    }
    // An older version left these modes for a user with umask 002: the hint gives the command that fixes them.
    for (path, (mode, ..)) in tree(&dir.path(".foodstream")) {
        allow(&path, if mode & 0o040_000 == 0 { 0o664 } else { 0o775 });
    }
    let hint = dir.run("lag -b embedded").expect(7).stderr;
    assert!(hint.contains("`chmod -R go-w .foodstream`"), "{hint}");
    let closed = Command::new("chmod").args(["-R", "go-w"]).arg(dir.path(".foodstream")).status().expect("ran");
    assert!(closed.success());
    dir.run("produce --count 1 -b embedded").expect(0);
    assert_eq!(records(&dir.status(".foodstream").expect("a running broker")), 21);
    // From now on only its user can access it.
    for (path, (mode, ..)) in tree(&dir.path(".foodstream")) {
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
}

#[test]
fn files_of_another_user_are_refused() {
    let dir = prepared();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give files to another user");
        return;
    }
    let give = |name: &str, uid| std::os::unix::fs::lchown(dir.path(name), Some(uid), None).expect("given");
    let log = find(&dir, "/00000000000000000000.log");
    let message = "belongs to nobody (uid 65534), and this process runs as root (uid 0)";
    for name in [".foodstream/journal", ".foodstream/lock", ".foodstream/topics", &log] {
        give(name, 65_534);
        refused(&dir, &STARTS, name, message);
        give(name, 0);
    }
    // A claim file of another user would send orders to that user's server.
    fs::write(dir.path(".foodstream/broker.json"), "{}").expect("written");
    give(".foodstream/broker.json", 65_534);
    refused(&dir, &ALL, ".foodstream/broker.json", message);
    fs::remove_file(dir.path(".foodstream/broker.json")).expect("removed");
    give(".foodstream", 65_534);
    refused(&dir, &ALL, ".foodstream", message);
    give(".foodstream", 0);
    dir.run("produce --count 1 -b embedded").expect(0);
}

#[test]
fn linked_claim_is_refused_and_files_are_private() {
    let dir = prepared();
    dir.run("produce --count 20 --seed 8 -b embedded").expect(0);
    for (path, (mode, ..)) in tree(&dir.path(".foodstream")) {
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
    fs::rename(dir.path(".foodstream/broker.json"), dir.path("claim")).expect("moved");
    symlink("../claim", dir.path(".foodstream/broker.json")).expect("linked");
    refused(&dir, &ALL, ".foodstream/broker.json", "is a symbolic link");
    fs::remove_file(dir.path(".foodstream/broker.json")).expect("removed");
    fs::rename(dir.path("claim"), dir.path(".foodstream/broker.json")).expect("moved back");
    dir.status(".foodstream").expect("a running broker");
}

#[test]
fn clean_keeps_unknown_files_in_topic_directories() {
    let dir = prepared();
    let partition = find(&dir, "/0");
    fs::write(dir.path(&format!("{partition}/notes.txt")), "keep me").expect("written");
    fs::create_dir(dir.path(&format!("{partition}/mine"))).expect("made");
    dir.run("clean --yes -b embedded").expect(0);
    assert_eq!(fs::read_to_string(dir.path(&format!("{partition}/notes.txt"))).expect("read"), "keep me");
    assert!(dir.path(&format!("{partition}/mine")).exists());
    assert!(!dir.path(&format!("{partition}/00000000000000000000.log")).exists());
    let log = fs::read_to_string(dir.path(".foodstream/broker.log")).expect("read");
    assert!(log.contains("cannot remove "), "{log}");
}

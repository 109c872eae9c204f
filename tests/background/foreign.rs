//! Owns the data folders that somebody else has prepared, or may change: each is refused before anything is opened or made.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Foreground, Home, Signal, records};

/// A home with two folders: `.foodstream`, which a broker has filled and left, and `victim`, which is none of its business.
fn prepared() -> Home {
    let home = Home::new();
    let broker = Foreground::start(&home, "broker --listen 127.0.0.1:0 --data .foodstream");
    home.run(&format!("produce --count 20 --seed 7 -b {}", broker.address())).expect(0);
    assert_eq!(broker.end(Signal::TERM), 0);
    fs::write(home.path(".foodstream/broker.log"), "a line\n").expect("written");
    fs::write(home.path(".foodstream/chosen"), "embedded\n").expect("written");
    fs::create_dir_all(home.path("victim/folder")).expect("made");
    fs::write(home.path("victim/keys"), "ssh-ed25519 AAAA\n").expect("written");
    fs::write(home.path("victim/folder/keep"), "me").expect("written");
    home
}

/// Everything below a folder, byte for byte, with its modes, owners and kinds; access times apart.
fn tree(folder: &Path) -> BTreeMap<PathBuf, (u32, u32, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
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

/// The first file below a folder whose name ends so, from the home.
fn find(home: &Home, ending: &str) -> String {
    let all = tree(&home.path(".foodstream"));
    let found = all.keys().find(|path| path.to_str().expect("text").ends_with(ending)).expect("there");
    found.strip_prefix(home.folder.path()).expect("below").to_str().expect("text").to_owned()
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("permitted");
}

/// Every command that would open the folder is refused with 7 and these words, and leaves everything as it was.
#[track_caller]
fn refused(home: &Home, commands: &[&str], path: &str, words: &str) {
    let before = tree(home.folder.path());
    for command in commands {
        let run = home.run(command).expect(7);
        assert!(run.stderr.contains(&format!("{path} {words}")), "{command}: {path} {words}:\n{}", run.stderr);
        assert!(run.stderr.contains("hint: "), "{}", run.stderr);
        let after = tree(home.folder.path());
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

/// Names in the folder, its files first.
fn names(home: &Home) -> Vec<String> {
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
    let log = find(home, "/00000000000000000000.log");
    names.push(log.replace("00000000000000000000.log", ".kafka_cleanshutdown"));
    names.push(log.replace("00000000000000000000.log", "00000000000000000000.log.cleaned.set-aside"));
    names.push(log);
    names
}

#[test]
fn a_file_that_is_a_link_a_pipe_a_socket_or_has_two_names_is_refused() {
    let home = prepared();
    let victim = home.path("victim/keys");
    for name in names(&home) {
        let (at, aside) = (home.path(&name), home.path("aside"));
        let there = at.exists();
        if there {
            fs::rename(&at, &aside).expect("moved");
        }
        symlink(&victim, &at).expect("linked");
        refused(&home, &STARTS, &name, "is a symbolic link");
        fs::remove_file(&at).expect("removed");
        symlink(home.path("victim/new"), &at).expect("linked");
        refused(&home, &STARTS[..1], &name, "is a symbolic link");
        fs::remove_file(&at).expect("removed");
        fs::hard_link(&victim, &at).expect("linked");
        refused(&home, &STARTS[..2], &name, "has a second name");
        fs::remove_file(&at).expect("removed");
        // Whoever opened it as a file would wait for somebody at its other end.
        assert!(Command::new("mkfifo").arg(&at).status().expect("there is such a tool").success());
        refused(&home, &STARTS, &name, "is a named pipe");
        fs::remove_file(&at).expect("removed");
        // The path of a socket is short; its name may become a longer one.
        let socket = home.path("socket");
        drop(UnixListener::bind(&socket).expect("bound"));
        fs::rename(&socket, &at).expect("moved");
        refused(&home, &STARTS[..1], &name, "is a socket");
        fs::remove_file(&at).expect("removed");
        if there {
            fs::rename(&aside, &at).expect("moved back");
        }
    }
    assert_eq!(fs::read_to_string(victim).expect("read"), "ssh-ed25519 AAAA\n");
    // And with all of them gone it is the folder that it was.
    home.run("produce --count 1 -b embedded").expect(0);
    assert_eq!(records(&home.status(".foodstream").expect("it runs")), 21);
}

#[test]
fn a_folder_that_is_a_link_is_refused_wherever_it_lies() {
    let home = prepared();
    let partition = find(&home, "/0");
    let topic = partition.strip_suffix("/0").expect("below").to_owned();
    let unknown = ".foodstream/topics/00000000-0000-4000-8000-000000000001";
    for name in [".foodstream/topics", &topic, &partition, unknown, &format!("{unknown}.set-aside")] {
        let (at, aside) = (home.path(name), home.path("aside"));
        let there = at.exists();
        if there {
            fs::rename(&at, &aside).expect("moved");
        }
        symlink(home.path("victim/folder"), &at).expect("linked");
        refused(&home, &STARTS, name, "is a symbolic link");
        fs::remove_file(&at).expect("removed");
        if there {
            fs::rename(&aside, &at).expect("moved back");
        }
    }
    // The folder itself, however its name is written.
    fs::rename(home.path(".foodstream"), home.path("elsewhere")).expect("moved");
    symlink("elsewhere", home.path(".foodstream")).expect("linked");
    refused(&home, &ALL, ".foodstream", "is a symbolic link");
    for command in
        ["lag -b embedded:.foodstream/", "broker --data .foodstream/.", "broker --status --data .foodstream//"]
    {
        refused(&home, &[command], ".foodstream", "is a symbolic link");
    }
    // And one that leads nowhere is not filled there.
    fs::rename(home.path("elsewhere"), home.path("other")).expect("moved");
    refused(&home, &ALL, ".foodstream", "is a symbolic link");
}

#[test]
fn what_others_may_write_is_refused_until_it_is_closed_to_them() {
    let home = prepared();
    let log = find(&home, "/00000000000000000000.log");
    let names = [".foodstream/journal", ".foodstream/ends", ".foodstream/broker.log", ".foodstream/topics", &log];
    for (mode, by) in
        [(0o777, "may be written by every user (mode 777)"), (0o770, "may be written by its group (mode 770)")]
    {
        for name in names {
            let before = fs::metadata(home.path(name)).expect("there").permissions();
            allow(&home.path(name), mode);
            refused(&home, &STARTS, name, by);
            fs::set_permissions(home.path(name), before).expect("permitted");
        }
        allow(&home.path(".foodstream"), mode);
        refused(&home, &ALL, ".foodstream", by);
        allow(&home.path(".foodstream"), 0o700);
    }
    // As an older version has left it for a user whose umask is 002: the hint leads on.
    for (path, (mode, ..)) in tree(&home.path(".foodstream")) {
        allow(&path, if mode & 0o040_000 == 0 { 0o664 } else { 0o775 });
    }
    let hint = home.run("lag -b embedded").expect(7).stderr;
    assert!(hint.contains("`chmod -R go-w .foodstream`"), "{hint}");
    let closed = Command::new("chmod").args(["-R", "go-w"]).arg(home.path(".foodstream")).status().expect("ran");
    assert!(closed.success());
    home.run("produce --count 1 -b embedded").expect(0);
    assert_eq!(records(&home.status(".foodstream").expect("it runs")), 21);
    // From then on it is its user's alone.
    for (path, (mode, ..)) in tree(&home.path(".foodstream")) {
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
}

#[test]
fn another_users_folder_is_refused_and_asked_nothing() {
    let home = prepared();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give files to another user");
        return;
    }
    let give = |name: &str, uid| std::os::unix::fs::lchown(home.path(name), Some(uid), None).expect("given");
    let log = find(&home, "/00000000000000000000.log");
    let words = "belongs to nobody (uid 65534), and this process runs as root (uid 0)";
    for name in [".foodstream/journal", ".foodstream/lock", ".foodstream/topics", &log] {
        give(name, 65_534);
        refused(&home, &STARTS, name, words);
        give(name, 0);
    }
    // A claim of another user would send orders to his server.
    fs::write(home.path(".foodstream/broker.json"), "{}").expect("written");
    give(".foodstream/broker.json", 65_534);
    refused(&home, &ALL, ".foodstream/broker.json", words);
    fs::remove_file(home.path(".foodstream/broker.json")).expect("removed");
    give(".foodstream", 65_534);
    refused(&home, &ALL, ".foodstream", words);
    give(".foodstream", 0);
    home.run("produce --count 1 -b embedded").expect(0);
}

#[test]
fn a_running_broker_is_found_by_nobody_through_a_link_and_what_it_makes_is_its_users_alone() {
    let home = prepared();
    home.run("produce --count 20 --seed 8 -b embedded").expect(0);
    for (path, (mode, ..)) in tree(&home.path(".foodstream")) {
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
    fs::rename(home.path(".foodstream/broker.json"), home.path("claim")).expect("moved");
    symlink("../claim", home.path(".foodstream/broker.json")).expect("linked");
    refused(&home, &ALL, ".foodstream/broker.json", "is a symbolic link");
    fs::remove_file(home.path(".foodstream/broker.json")).expect("removed");
    fs::rename(home.path("claim"), home.path(".foodstream/broker.json")).expect("moved back");
    home.status(".foodstream").expect("it runs");
}

#[test]
fn a_topics_folder_in_which_a_user_keeps_something_is_not_deleted_with_it() {
    let home = prepared();
    let partition = find(&home, "/0");
    fs::write(home.path(&format!("{partition}/notes.txt")), "keep me").expect("written");
    fs::create_dir(home.path(&format!("{partition}/mine"))).expect("made");
    home.run("clean --yes -b embedded").expect(0);
    assert_eq!(fs::read_to_string(home.path(&format!("{partition}/notes.txt"))).expect("read"), "keep me");
    assert!(home.path(&format!("{partition}/mine")).exists());
    assert!(!home.path(&format!("{partition}/00000000000000000000.log")).exists());
    let log = fs::read_to_string(home.path(".foodstream/broker.log")).expect("read");
    assert!(log.contains("cannot be removed"), "{log}");
}

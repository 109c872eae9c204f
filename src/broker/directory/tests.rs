//! Tests of what is opened and what is refused.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

fn home() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    Directory::for_test(&data);
    (home, data)
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("permitted");
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("there").permissions().mode() & 0o7777
}

/// Avoids a child process where possible: until it calls exec, it holds the locks of other tests.
#[cfg(not(target_vendor = "apple"))]
fn pipe(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, FILE_MODE, 0).expect("made");
}

#[cfg(target_vendor = "apple")]
fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("there is such a tool");
    assert!(made.success());
}

/// Changes the owner, which only root can. Returns whether it did.
fn give_away(path: &Path) -> bool {
    let uid = fs::symlink_metadata(path).expect("there").uid();
    rustix::process::geteuid().is_root() && {
        std::os::unix::fs::lchown(path, Some(uid + 65_534), None).expect("given away");
        true
    }
}

#[track_caller]
fn untrusted<T: std::fmt::Debug>(result: io::Result<T>) -> Untrusted {
    let error = result.expect_err("refused");
    Untrusted::of(&error).unwrap_or_else(|| panic!("{error}")).clone()
}

#[test]
fn refuses_links_and_directories_open_to_others() {
    let (home, data) = home();
    let link = home.path().join("link");
    symlink(&data, &link).expect("linked");
    for name in ["link", "link/", "link/."] {
        assert_eq!(untrusted(Directory::open(&home.path().join(name))).reason, UntrustedReason::Symlink, "{name}");
        assert_eq!(
            untrusted(Directory::open_or_create(&home.path().join(name))).reason,
            UntrustedReason::Symlink,
            "{name}"
        );
    }
    symlink(home.path().join("nowhere"), home.path().join("dangling")).expect("linked");
    assert_eq!(untrusted(Directory::open_or_create(&home.path().join("dangling"))).reason, UntrustedReason::Symlink);
    assert!(!home.path().join("nowhere").exists());
    for (mode, by) in [(0o770, "its group"), (0o702, "every user"), (0o777, "every user")] {
        allow(&data, mode);
        assert_eq!(untrusted(Directory::open(&data)).reason, UntrustedReason::WritableByOthers { by, mode });
    }
    let file = home.path().join("file");
    fs::write(&file, "").expect("written");
    assert_eq!(
        untrusted(Directory::open(&file)).reason,
        UntrustedReason::WrongType { is: "a file", expected: "a directory" }
    );
    assert_eq!(Directory::open(&home.path().join("no")).expect_err("none").kind(), io::ErrorKind::NotFound);
}

#[test]
fn creates_directories_for_the_owner_only() {
    let (home, data) = home();
    symlink(&data, home.path().join("link")).expect("linked");
    let new = home.path().join("link/a/b");
    let (directory, made) = Directory::open_or_create(&new).expect("made");
    assert!(made && directory.path() == new);
    assert_eq!(mode(&new), 0o700);
    assert!(!Directory::open_or_create(&new).expect("opens").1);
    directory.child("topics").child("0").create().expect("made");
    directory.child("topics").child("0").write("x", b"1").expect("written");
    directory.replace("y", b"2").expect("written");
    assert_eq!((mode(&new.join("topics")), mode(&new.join("topics/0"))), (0o700, 0o700));
    assert_eq!((mode(&new.join("topics/0/x")), mode(&new.join("y"))), (0o600, 0o600));
    assert_eq!(directory.names().expect("read").len(), 2, "no temporary file is left");
}

#[test]
fn names_the_owner_of_a_foreign_directory() {
    let (_home, data) = home();
    if !give_away(&data) {
        eprintln!("skipped: only root can give a directory away");
        return;
    }
    let untrusted = untrusted(Directory::open(&data));
    assert_eq!(
        untrusted.to_string(),
        format!("{} belongs to nobody (uid 65534), and this process runs as root (uid 0)", data.display())
    );
}

/// Part of the message, and a function that creates the file.
type Planted = (&'static str, Box<dyn Fn()>);

/// Everything that may be in the place of a file.
fn planted(home: &Path, at: &Path) -> Vec<Planted> {
    let (at, victim) = (at.to_owned(), home.join("victim"));
    fs::write(&victim, "keep me").expect("written");
    let here = move |plant: fn(&Path, &Path)| {
        let (at, victim) = (at.clone(), victim.clone());
        Box::new(move || plant(&victim, &at)) as Box<dyn Fn()>
    };
    vec![
        ("is a symbolic link", here(|victim, at| symlink(victim, at).expect("linked"))),
        ("is a symbolic link", here(|_, at| symlink("nowhere", at).expect("linked"))),
        ("has a second name", here(|victim, at| fs::hard_link(victim, at).expect("linked"))),
        ("is a named pipe, not a file", here(|_, at| pipe(at))),
        ("is a directory, not a file", here(|_, at| fs::create_dir(at).expect("made"))),
        ("is a socket, not a file", here(|_, at| drop(std::os::unix::net::UnixListener::bind(at).expect("bound")))),
        (
            "may be written by every user (mode 606)",
            here(|_, at| {
                fs::write(at, "").expect("written");
                allow(at, 0o606);
            }),
        ),
        (
            "may be written by its group (mode 660)",
            here(|_, at| {
                fs::write(at, "").expect("written");
                allow(at, 0o660);
            }),
        ),
    ]
}

#[test]
fn does_not_read_write_or_block_on_untrusted_files() {
    let (home, data) = home();
    let directory = Directory::open(&data).expect("opens");
    let at = data.join("x");
    for (word, plant) in planted(home.path(), &at) {
        plant();
        let before = fs::symlink_metadata(&at).expect("there");
        for error in [
            untrusted(directory.open_to_read("x")),
            untrusted(directory.open_to_append("x")),
            untrusted(directory.open_to_write("x")),
            untrusted(directory.create_to_write("x")),
            untrusted(directory.write("x", b"spoilt")),
            untrusted(directory.read("x")),
        ] {
            assert!(error.to_string().starts_with(&format!("{} ", at.display())), "{error}");
            assert!(error.to_string().contains(word), "{error}: {word}");
        }
        if before.is_dir() { fs::remove_dir(&at) } else { fs::remove_file(&at) }.expect("removed");
        assert_eq!(fs::read_to_string(home.path().join("victim")).expect("read"), "keep me", "{word}");
        assert!(!data.join("nowhere").exists());
    }
}

#[test]
fn does_not_follow_a_link_in_the_path() {
    let (home, data) = home();
    let directory = Directory::open(&data).expect("opens");
    let elsewhere = home.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    symlink(&elsewhere, data.join("topics")).expect("linked");
    let below = directory.child("topics").child("0");
    assert_eq!(untrusted(below.create()).path, data.join("topics"));
    assert_eq!(untrusted(below.write("x", b"")).path, data.join("topics"));
    assert_eq!(untrusted(below.names()).path, data.join("topics"));
    assert_eq!(fs::read_dir(&elsewhere).expect("read").count(), 0);
}

#[test]
fn inspection_finds_everything_untrusted() {
    let (home, data) = home();
    let directory = Directory::open(&data).expect("opens");
    fs::create_dir_all(data.join("topics/a/0")).expect("made");
    fs::create_dir_all(data.join("topics/a.set-aside/0")).expect("made");
    fs::create_dir_all(data.join("other/deep")).expect("made");
    directory.inspect().expect("nothing is wrong");
    for place in ["x", "topics/x", "topics/a/x", "topics/a/0/x", "topics/a/0", "topics/a.set-aside/0/x"] {
        let at = data.join(place);
        for (word, plant) in planted(home.path(), &at) {
            let there = at.exists();
            if there {
                fs::remove_dir(&at).expect("removed");
            }
            plant();
            if !fs::symlink_metadata(&at).expect("there").is_dir() {
                let error = untrusted(directory.inspect());
                assert_eq!(error.path, at);
                assert!(error.to_string().contains(word.split(',').next().expect("a word")), "{error}: {word}");
                fs::remove_file(&at).expect("removed");
                if there {
                    fs::create_dir(&at).expect("made");
                }
            } else if !there {
                fs::remove_dir(&at).expect("removed");
            }
        }
    }
    symlink("/", data.join("other/deep/link")).expect("linked");
    directory.inspect().expect("nothing is ever opened there");
}

#[test]
fn restricts_permissions_of_own_files_only() {
    let (_home, data) = home();
    let directory = Directory::open(&data).expect("opens");
    let own = |name: &OsStr| ["topics", "journal"].iter().any(|own| name == *own);
    fs::create_dir_all(data.join("topics/a/0")).expect("made");
    for file in ["journal", "topics/a/0/0.log"] {
        fs::write(data.join(file), "").expect("written");
        allow(&data.join(file), 0o644);
    }
    for dir in ["", "topics", "topics/a", "topics/a/0"] {
        allow(&data.join(dir), 0o755);
    }
    let modes =
        || ["", "journal", "topics", "topics/a", "topics/a/0", "topics/a/0/0.log"].map(|it| mode(&data.join(it)));
    directory.restrict_permissions(&directory.inspect().expect("trusted"), own).expect("tightened");
    assert_eq!(modes(), [0o700, 0o600, 0o700, 0o700, 0o700, 0o600]);
    // A directory with other content keeps its mode.
    fs::write(data.join("notes.txt"), "").expect("written");
    allow(&data.join("notes.txt"), 0o644);
    allow(&data, 0o755);
    directory.restrict_permissions(&directory.inspect().expect("trusted"), own).expect("tightened");
    assert_eq!((mode(&data), mode(&data.join("notes.txt"))), (0o755, 0o644));
}

#[test]
fn removes_own_files_only() {
    let (home, data) = home();
    let dir = Directory::open(&data).expect("opens").child("0");
    dir.create().expect("made");
    let own = |name: &str| name.starts_with("own");
    for name in ["own-1", "own-2"] {
        dir.write(name, b"").expect("written");
    }
    fs::write(data.join("0/notes"), "").expect("written");
    symlink(home.path(), data.join("0/own-link")).expect("linked");
    let error = dir.remove_dir_with(own).expect_err("not empty");
    assert_eq!(error.kind(), io::ErrorKind::DirectoryNotEmpty);
    let mut left: Vec<_> = dir.names().expect("read");
    left.sort();
    assert_eq!(left, ["notes", "own-link"]);
    for name in ["notes", "own-link"] {
        fs::remove_file(data.join("0").join(name)).expect("removed");
    }
    dir.remove_dir_with(own).expect("removed");
    assert!(!data.join("0").exists());
}

#[test]
fn detects_that_the_directory_was_moved() {
    let (home, data) = home();
    let directory = Directory::open(&data).expect("opens");
    assert!(directory.is_at_path().expect("checked"));
    fs::rename(&data, home.path().join("moved")).expect("moved");
    assert!(!directory.is_at_path().expect("checked"));
    fs::create_dir(&data).expect("made");
    assert!(!directory.is_at_path().expect("checked"), "another directory");
    fs::remove_dir(&data).expect("removed");
    symlink(home.path().join("moved"), &data).expect("linked");
    assert!(!directory.is_at_path().expect("checked"), "a link to the directory");
}

#[test]
fn writes_at_a_position_instead_of_appending() {
    use std::os::unix::fs::FileExt;
    let (_home, data) = home();
    let directory = Directory::open(&data).expect("opens");
    assert_eq!(directory.open_to_write("x").expect_err("missing").kind(), io::ErrorKind::NotFound);
    directory.create_to_write("x").expect("made").write_all_at(b"abcd", 0).expect("written");
    directory.open_to_write("x").expect("opens").write_all_at(b"X", 1).expect("written");
    assert_eq!((directory.read("x").expect("read").as_str(), mode(&data.join("x"))), ("aXcd", 0o600));
    directory.create_to_write("x").expect("made again");
    assert_eq!(directory.read("x").expect("read"), "");
}

#[test]
fn stat_follows_no_link_and_reports_errors() {
    let (home, data) = home();
    let directory = Directory::open(&data).expect("opens");
    directory.write("file", b"12345").expect("written");
    directory.child("folder").create().expect("made");
    fs::create_dir(home.path().join("victim")).expect("made");
    symlink(home.path().join("victim"), data.join("link")).expect("linked");
    let look = |name| directory.stat(name).expect("checked").map(|seen| (seen.is_dir, seen.size));
    assert_eq!(look("file"), Some((false, 5)));
    assert_eq!(look("folder").map(|(is_dir, _)| is_dir), Some(true));
    assert_eq!(look("link").map(|(is_dir, _)| is_dir), Some(false));
    assert_eq!(look("missing"), None);
    assert_eq!(directory.child("missing").stat("x").expect("checked"), None);
    assert_eq!(untrusted(directory.child("link").stat("x")).reason, UntrustedReason::Symlink);
}

#[test]
fn set_aside_takes_a_free_name() {
    let (_home, data) = home();
    let directory = Directory::open(&data).expect("opens");
    for expected in ["a.set-aside", "a.set-aside-1", "a.set-aside-3"] {
        directory.child("a").create().expect("made");
        directory.child("a").write("x", expected.as_bytes()).expect("written");
        assert_eq!(directory.set_aside("a").expect("set aside"), expected);
        assert_eq!(directory.child(expected).read("x").expect("read"), expected);
        assert_eq!(original_name(expected), "a");
        // A dangling link takes the name, too.
        symlink("nowhere", data.join("a.set-aside-2")).ok();
    }
    for name in ["a", "a.set-aside.txt", "a.set-aside-", "a.set-aside-x"] {
        assert_eq!(original_name(name), name);
    }
}

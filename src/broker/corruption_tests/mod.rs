//! Fuzz tests of corrupt data directories: whatever happens to the files of a killed broker, the next start serves
//! exactly what was acknowledged, or refuses and names the file. No file is lost.

mod format_1;
mod workload;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::broker::kill_points;
use workload::{BrokerState, broker_state, start};

/// File contents by path in the data directory.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A corruption, and the files that a refusal may name.
struct Case {
    what: String,
    files: Files,
    named: Vec<PathBuf>,
}

fn read(dir: &Path) -> Files {
    let mut files = Files::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(one) = dirs.pop() {
        for entry in fs::read_dir(one).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("below").to_owned();
                files.insert(name, fs::read(path).expect("read"));
            }
        }
    }
    files
}

/// Makes the directory hold exactly these files; `current` is what it holds now.
fn write(dir: &Path, current: &Files, files: &Files) {
    for name in current.keys().filter(|name| !files.contains_key(*name)) {
        fs::remove_file(dir.join(name)).expect("removed");
        // Also remove directories that are empty then.
        for parent in name.ancestors().skip(1).take_while(|parent| parent.components().next().is_some()) {
            fs::remove_dir(dir.join(parent)).ok();
        }
    }
    for (name, bytes) in files.iter().filter(|(name, bytes)| current.get(*name) != Some(*bytes)) {
        let path = dir.join(name);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path.parent().expect("a parent")).expect("made");
        let mut file = fs::OpenOptions::new();
        file.write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .expect("made")
            .write_all(bytes)
            .expect("written");
    }
}

/// The files of a run that was killed, and what was acknowledged.
struct Killed {
    files: Files,
    earlier: Files,
    acknowledged: BrokerState,
    /// Stopped cleanly instead.
    stopped: bool,
}

impl Killed {
    fn new() -> Self {
        Self::after(false)
    }

    fn after(stopped: bool) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (mut core, _, _lock) = start(dir.path()).expect("starts");
        workload::begin(&mut core);
        let earlier = read(dir.path());
        for step in workload::steps() {
            step(&mut core);
        }
        let acknowledged = broker_state(&core).expect("read");
        if stopped {
            core.close().expect("closed");
        }
        drop(core);
        Self { files: read(dir.path()), earlier, acknowledged, stopped }
    }

    fn logs_of(&self, topic: &str) -> Vec<PathBuf> {
        let journal = String::from_utf8_lossy(&self.files[Path::new("journal")]).into_owned();
        let name = format!("\",\"name\":\"{topic}\"");
        let before = journal.split_once(&name).expect("made").0;
        let dir = Path::new("topics").join(&before[before.len() - 36..]);
        self.files.keys().filter(|name| name.starts_with(&dir)).cloned().collect()
    }

    /// All files but the lock.
    fn names(&self) -> Vec<PathBuf> {
        self.files.keys().filter(|name| name.as_path() != Path::new("lock")).cloned().collect()
    }

    fn altered(&self, what: &str, name: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Case {
        let mut files = self.files.clone();
        change(files.get_mut(name).expect("there"));
        Case { what: format!("{}: {what}", name.display()), files, named: vec![name.to_owned()] }
    }

    fn cut(&self, name: &Path, bytes: usize) -> Case {
        self.altered(&format!("{bytes} bytes cut"), name, |content| content.truncate(content.len() - bytes))
    }

    fn flipped(&self, name: &Path, bit: usize) -> Case {
        self.altered(&format!("bit {bit} flipped"), name, |content| content[bit / 8] ^= 1 << (bit % 8))
    }

    /// Corruptions other than truncations and flipped bits.
    fn other_cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        let names = self.names();
        for name in &names {
            cases.push(self.altered("emptied", name, Vec::clear));
            cases.push(self.altered("doubled", name, |content| content.extend(content.clone())));
            let mut files = self.files.clone();
            files.remove(name);
            cases.push(Case { what: format!("{} removed", name.display()), files, named: vec![name.clone()] });
            if let Some(before) = self.earlier.get(name) {
                cases.push(self.altered("put back from a backup", name, |content| content.clone_from(before)));
            }
            for other in names.iter().filter(|other| *other > name) {
                let mut files = self.files.clone();
                files.insert(name.clone(), self.files[other].clone());
                files.insert(other.clone(), self.files[name].clone());
                let what = format!("{} and {} swapped", name.display(), other.display());
                cases.push(Case { what, files, named: vec![name.clone(), other.clone()] });
            }
        }
        cases.extend(self.dirs());
        cases.extend(self.backups());
        cases
    }

    /// Directories removed, swapped and copied.
    fn dirs(&self) -> Vec<Case> {
        let logs: Vec<PathBuf> = self
            .names()
            .iter()
            .filter(|name| name.extension().is_some_and(|extension| extension == "log"))
            .filter_map(|name| name.parent().map(Path::to_owned))
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        let moved = |from: &Path, to: &Path, files: &Files, into: &mut Files| {
            for (name, bytes) in files {
                if let Ok(rest) = name.strip_prefix(from) {
                    into.insert(to.join(rest), bytes.clone());
                }
            }
        };
        let mut cases = Vec::new();
        for dir in logs.iter().chain([&PathBuf::from("topics")]) {
            let mut files = self.files.clone();
            files.retain(|name, _| !name.starts_with(dir));
            cases.push(Case { what: format!("{} removed", dir.display()), files, named: vec![dir.clone()] });
        }
        for (number, dir) in logs.iter().enumerate() {
            for (what, place) in [
                ("doubled as a partition", dir.with_file_name("7")),
                ("doubled as a topic", PathBuf::from("topics").join(uuid::Uuid::from_u128(9).to_string()).join("0")),
            ] {
                let mut files = self.files.clone();
                moved(dir, &place, &self.files, &mut files);
                let named = vec![place.parent().expect("a topic").to_owned()];
                cases.push(Case { what: format!("{} {what}", dir.display()), files, named });
            }
            for other in &logs[number + 1..] {
                let mut files = self.files.clone();
                files.retain(|name, _| !name.starts_with(dir) && !name.starts_with(other));
                moved(dir, other, &self.files, &mut files);
                moved(other, dir, &self.files, &mut files);
                let what = format!("{} and {} swapped", dir.display(), other.display());
                cases.push(Case { what, files, named: vec![dir.clone(), other.clone()] });
            }
        }
        cases
    }

    /// Parts of the directory replaced by an earlier backup.
    fn backups(&self) -> Vec<Case> {
        let part = |what: &str, is_old: &dyn Fn(&Path) -> bool| {
            let mut files = self.files.clone();
            files.retain(|name, _| !is_old(name));
            files.extend(
                self.earlier.iter().filter(|(name, _)| is_old(name)).map(|(name, bytes)| (name.clone(), bytes.clone())),
            );
            let named = vec!["journal".into(), "ends".into(), "topics".into()];
            Case { what: format!("{what} put back from a backup"), files, named }
        };
        let is = |name: &Path, one: &str| name == Path::new(one);
        vec![
            part("journal and ends", &|name| is(name, "journal") || is(name, "ends")),
            part("topics", &|name| name.starts_with("topics")),
            part("topics and ends", &|name| name.starts_with("topics") || is(name, "ends")),
            part("topics and journal", &|name| name.starts_with("topics") || is(name, "journal")),
        ]
    }

    /// Starts a broker over the corrupt directory. Returns the files after that, and whether it was served.
    fn check(&self, dir: &Path, current: &Files, case: &Case) -> (Files, bool) {
        write(dir, current, &case.files);
        let what = &case.what;
        let outcome = start(dir).map(|(core, events, _lock)| (broker_state(&core), events));
        let mut after = read(dir);
        let lock = after.remove(Path::new("lock"));
        match outcome {
            Err(message) => {
                let is_named = |name: &PathBuf| {
                    // A closed segment may be named by its log's directory.
                    let dir = name.parent().filter(|dir| dir.components().count() > 1);
                    [Some(name.as_path()), dir].into_iter().flatten().any(|path| {
                        message.contains(&format!("/{}", path.display()))
                            || message.contains(&format!("`{}`", path.display()))
                    })
                };
                assert!(case.named.iter().any(is_named), "{what}: refused without its name: {message}");
                let mut before = case.files.clone();
                before.remove(Path::new("lock"));
                assert!(before == after, "{what}: a refused start has changed something: {message}");
                after.extend(lock.map(|lock| ("lock".into(), lock)));
                (after, false)
            }
            // After a clean shutdown, records of closed segments are checked only when they are read.
            Ok((Err(unreadable), _)) => {
                assert!(self.stopped, "{what}: {unreadable}");
                let log = case.named.iter().any(|name| name.extension().is_some_and(|extension| extension == "log"));
                assert!(log, "{what}: {unreadable}");
                after.extend(lock.map(|lock| ("lock".into(), lock)));
                (after, false)
            }
            Ok((Ok(seen), events)) => {
                assert!(
                    seen == self.acknowledged,
                    "{what}: serves something else than what was acknowledged: {events:?}"
                );
                for (name, bytes) in &case.files {
                    let kept =
                        after.contains_key(name) || set_aside_paths(name).any(|place| after.contains_key(&place));
                    assert!(kept || name == Path::new("lock"), "{what}: {} is lost", name.display());
                    if name.extension().is_some_and(|extension| extension == "log") && self.files.contains_key(name) {
                        let now = &after[name];
                        assert!(now == &self.files[name], "{what}: {} of {} bytes", name.display(), bytes.len());
                    }
                }
                after.extend(lock.map(|lock| ("lock".into(), lock)));
                (after, true)
            }
        }
    }

    /// Checks all of them. Returns how many were served and refused.
    fn check_all(&self, cases: impl IntoIterator<Item = Case>) -> (usize, usize) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (mut current, mut served, mut refused) = (Files::new(), 0, 0);
        for case in cases {
            let (after, was_served) = self.check(dir.path(), &current, &case);
            current = after;
            if was_served { served += 1 } else { refused += 1 }
        }
        (served, refused)
    }
}

/// Where a file is if it or a directory above it was set aside.
fn set_aside_paths(name: &Path) -> impl Iterator<Item = PathBuf> {
    name.ancestors().filter(|part| part.components().next().is_some()).map(|part| {
        let mut place = part.as_os_str().to_owned();
        place.push(".set-aside");
        PathBuf::from(place).join(name.strip_prefix(part).expect("a part of it"))
    })
}

#[test]
fn serves_an_intact_directory() {
    let killed = Killed::new();
    let whole = Case { what: "nothing".into(), files: killed.files.clone(), named: Vec::new() };
    assert_eq!(killed.check_all([whole]), (1, 0));
    let logs = killed.names().iter().filter(|name| name.extension().is_some()).count();
    assert!(logs > 12, "{logs} files of logs are too few to be damaged");
}

#[test]
fn truncated_file_is_repaired_or_refused() {
    let killed = Killed::new();
    let mut cases = Vec::new();
    for name in killed.names() {
        let most = killed.files[&name].len().min(300);
        cases.extend((1..=most).map(|bytes| (name.clone(), bytes)));
    }
    let (served, refused) = killed.check_all(cases.iter().map(|(name, bytes)| killed.cut(name, *bytes)));
    eprintln!("{served} served, {refused} refused");
    assert!(served > 0, "a missing marker is restored");
    assert!(refused > served);
}

#[test]
fn flipped_bit_is_refused() {
    let killed = Killed::new();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(17);
    let total: usize = killed.names().iter().map(|name| killed.files[name].len() * 8).sum();
    let count = 2_000;
    let cases = (0..count).map(|_| {
        let mut bit = usize::try_from(random.next_u64() % total as u64).expect("fits");
        for name in killed.names() {
            let bits = killed.files[&name].len() * 8;
            if bit < bits {
                return killed.flipped(&name, bit);
            }
            bit -= bits;
        }
        unreachable!("in a file")
    });
    let (served, refused) = killed.check_all(cases);
    eprintln!("{served} served, {refused} refused");
    assert!(refused > count * 9 / 10, "{served} served, {refused} refused");
}

#[test]
fn stopped_broker_serves_only_acknowledged_data() {
    let stopped = Killed::after(true);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(23);
    let names: Vec<PathBuf> = stopped.names().into_iter().filter(|name| !stopped.files[name].is_empty()).collect();
    let flips = (0..500).map(|number| {
        let name = &names[number % names.len()];
        let bits = stopped.files[name].len() as u64 * 8;
        stopped.flipped(name, usize::try_from(random.next_u64() % bits).expect("fits"))
    });
    let cuts = names.iter().flat_map(|name| {
        let most = stopped.files[name].len().min(300);
        (1..=most).step_by(13).map(|bytes| stopped.cut(name, bytes))
    });
    let (served, refused) = stopped.check_all(flips.chain(cuts).chain(stopped.other_cases()));
    eprintln!("{served} served, {refused} refused or not read");
    assert!(refused > served);
}

#[test]
fn swapped_missing_and_doubled_files_are_refused() {
    let killed = Killed::new();
    let (served, refused) = killed.check_all(killed.other_cases());
    eprintln!("{served} served, {refused} refused");
    assert!(refused > served);
}

/// After a kill between two writes, the next start serves the state before the step, after it, or in between.
#[test]
fn kill_between_any_two_writes_loses_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut core, _, lock) = start(dir.path()).expect("starts");
    workload::begin(&mut core);
    let again = tempfile::tempdir().expect("a temporary directory");
    let (mut current, mut starts) = (Files::new(), 0);
    let mut steps = workload::steps();
    steps.push(Box::new(workload::shorten));
    steps.push(Box::new(|core| core.close().expect("closed")));
    for (number, step) in steps.iter().enumerate() {
        let moments = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let (seen_at, place) = (moments.clone(), dir.path().to_owned());
        let before = broker_state(&core).expect("read");
        kill_points::watch(move || seen_at.borrow_mut().push(read(&place)), || step(&mut core));
        let after = broker_state(&core).expect("read");
        for (moment, files) in moments.take().into_iter().enumerate() {
            write(again.path(), &current, &files);
            let (started, events, _lock) =
                start(again.path()).unwrap_or_else(|error| panic!("step {number}, moment {moment}: {error}"));
            let then = broker_state(&started).expect("read");
            let wrong = then.not_between(&before, &after);
            assert_eq!(wrong, None, "step {number}, moment {moment}: {events:?}");
            drop(started);
            current = read(again.path());
            starts += 1;
        }
    }
    drop(lock);
    eprintln!("{starts} starts after {} steps", steps.len());
    assert!(starts > 300, "{starts} moments are too few");
}

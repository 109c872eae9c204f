//! Owns the open files of a broker's logs: a partition that nobody uses needs none, and of those that are used only as many are open
//! as the process can spare. The one that was not used for longest is closed first, and opened again when it is.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::broker::directory::Directory;

/// The files of segments that are open at a time, of all logs of a broker. A clone counts the same ones.
#[derive(Debug, Clone)]
pub struct OpenFiles(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    limit: usize,
    /// Grows with each use, so that the last uses can be compared.
    uses: AtomicU64,
    open: Mutex<Vec<Weak<SegmentFile>>>,
}

/// The folder of a file, and its name there.
type FileLocation = (Directory, String);

/// The file of a segment, open or not.
#[derive(Debug)]
pub struct SegmentFile {
    state: Mutex<FileState>,
    last_use: AtomicU64,
    files: OpenFiles,
}

#[derive(Debug)]
struct FileState {
    /// Where it lies; nowhere once it is removed or another has taken its name.
    location: Option<FileLocation>,
    open: Option<Arc<File>>,
    /// Device and number: the same name may come to hold another file.
    identity: Option<(u64, u64)>,
}

impl Default for OpenFiles {
    /// A quarter of what the process may have open; the rest is for connections, for the journal and for whoever else is in the process.
    fn default() -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self::with_limit(usize::try_from(limit / 4).map_or(MAX_OPEN, |quarter| quarter.clamp(MIN_OPEN, MAX_OPEN)))
    }
}

/// So many are open where the system allows any number.
const MAX_OPEN: usize = 1_024;
/// With fewer than this no broker works.
const MIN_OPEN: usize = 8;

impl OpenFiles {
    /// So many are open at a time, beside those that are being read at the moment.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self(Arc::new(Pool { limit, uses: AtomicU64::new(0), open: Mutex::default() }))
    }

    /// Opens a file in a folder, and makes it if it is missing.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or made.
    pub fn open(&self, dir: &Directory, name: &str) -> io::Result<Arc<SegmentFile>> {
        let state = FileState { location: Some((dir.clone(), name.to_owned())), open: None, identity: None };
        let file = Arc::new(SegmentFile { state: Mutex::new(state), last_use: AtomicU64::new(0), files: self.clone() });
        file.get()?;
        Ok(file)
    }

    /// Counts a file that was opened, and closes others where there are too many.
    fn opened(&self, file: &Arc<SegmentFile>) {
        let mut open = lock(&self.0.open);
        open.push(Arc::downgrade(file));
        if open.len() > self.0.limit {
            // Several at once: it takes a look at all of them.
            close(&mut open, self.0.limit - self.0.limit / 8);
        }
    }

    /// Closes whatever can be opened again.
    fn close_all(&self) {
        close(&mut lock(&self.0.open), 0);
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        let open = lock(&self.0.open);
        open.iter().filter_map(Weak::upgrade).filter(|file| lock(&file.state).open.is_some()).count()
    }
}

/// Closes files until so many are left, those that were not used for longest first.
fn close(open: &mut Vec<Weak<SegmentFile>>, left: usize) {
    let mut files: Vec<Arc<SegmentFile>> = open.iter().filter_map(Weak::upgrade).collect();
    files.sort_by_key(|file| file.last_use.load(Ordering::Relaxed));
    let surplus = files.len().saturating_sub(left);
    for file in files.drain(..surplus) {
        let mut state = lock(&file.state);
        // Without a name it could not be opened again, and goes with its last reader.
        if state.location.is_some() {
            state.open = None;
        }
    }
    *open = files.iter().map(Arc::downgrade).collect();
}

/// A panic elsewhere leaves nothing half-done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether no more files can be opened, by the process or in the whole system.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

impl SegmentFile {
    /// The file, which is opened if it is not open. It stays open for as long as what comes back is kept.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or another file has its name.
    pub fn get(self: &Arc<Self>) -> io::Result<Arc<File>> {
        self.last_use.store(self.files.0.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let opened = {
            let mut state = lock(&self.state);
            if let Some(file) = &state.open {
                return Ok(Arc::clone(file));
            }
            state.reopen()
        };
        let file = match opened {
            Err(error) if is_exhausted(&error) => {
                self.files.close_all();
                lock(&self.state).reopen()?
            }
            opened => opened?,
        };
        self.files.opened(self);
        Ok(file)
    }

    /// Gives it another name in its folder.
    ///
    /// # Errors
    ///
    /// When that fails; it is then as it was.
    pub fn rename(&self, to: &str) -> io::Result<()> {
        let mut state = lock(&self.state);
        if let Some((dir, name)) = &mut state.location {
            dir.rename(name, to)?;
            to.clone_into(name);
        }
        Ok(())
    }

    /// Forgets its name, which is about to go or to be another's, and returns it. Whoever reads it still can.
    pub fn detach(self: &Arc<Self>) -> Option<FileLocation> {
        let mut state = lock(&self.state);
        if Arc::strong_count(self) > 1 && state.open.is_none() {
            // A reader to whom it is not open yet would not find it any more, and is told so if it cannot be opened now.
            drop(state.reopen());
        }
        state.location.take()
    }

    /// Has its name again: it did not go.
    pub fn reattach(&self, location: Option<FileLocation>) {
        lock(&self.state).location = location;
    }

    /// Removes it. Whoever reads it still can.
    ///
    /// # Errors
    ///
    /// When that fails.
    pub fn remove(self: &Arc<Self>) -> io::Result<()> {
        let location = self.detach();
        let removed = location.as_ref().map_or(Ok(()), |(dir, name)| dir.remove(name));
        removed.inspect_err(|_| self.reattach(location))
    }

    /// Where it lies, for people.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        lock(&self.state).location.as_ref().map_or_else(PathBuf::new, |(dir, name)| dir.path_of(name))
    }

    /// A file that is open and has no name.
    #[cfg(test)]
    pub fn without_path(file: File) -> Arc<Self> {
        let state = FileState { location: None, open: Some(Arc::new(file)), identity: None };
        Arc::new(Self { state: Mutex::new(state), last_use: AtomicU64::new(0), files: OpenFiles::with_limit(1) })
    }
}

impl FileState {
    fn reopen(&mut self) -> io::Result<Arc<File>> {
        let Some((dir, name)) = &self.location else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the segment is removed"));
        };
        let file = match self.identity {
            None => dir.open_to_append(name)?,
            Some(_) => dir.open_to_change(name)?,
        };
        let metadata = file.metadata()?;
        let identity = (metadata.dev(), metadata.ino());
        if self.identity.is_some_and(|known| known != identity) {
            let what =
                format!("{} is another file than the one that this broker has written", dir.path_of(name).display());
            // No batch of it is read, so none of them is at fault.
            return Err(io::Error::other(what));
        }
        self.identity = Some(identity);
        let file = Arc::new(file);
        self.open = Some(Arc::clone(&file));
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use super::*;

    fn home() -> (tempfile::TempDir, Directory) {
        let home = tempfile::tempdir().expect("a folder");
        let dir = Directory::for_test(home.path());
        (home, dir)
    }

    fn append(file: &Arc<SegmentFile>, text: &str) {
        (&*file.get().expect("opens")).write_all(text.as_bytes()).expect("written");
    }

    fn read(file: &Arc<SegmentFile>) -> String {
        let file = file.get().expect("opens");
        let mut bytes = vec![0; usize::try_from(file.metadata().expect("there").len()).expect("short")];
        file.read_exact_at(&mut bytes, 0).expect("read");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn any_number_of_files_is_used_with_few_of_them_open() {
        let (_home, dir) = home();
        let files = OpenFiles::with_limit(8);
        let all: Vec<_> = (0..100).map(|number| files.open(&dir, &number.to_string()).expect("opens")).collect();
        for round in ["a", "b"] {
            for (number, file) in all.iter().enumerate() {
                append(file, &format!("{round}{number}"));
                assert!(files.count() <= 8);
                append(&all[0], round);
                assert!(lock(&all[0].state).open.is_some(), "what is used all the time stays open");
            }
        }
        assert!((1..100).all(|number| read(&all[number]) == format!("a{number}b{number}")));
        drop(all);
        assert_eq!(files.count(), 0);
    }

    #[test]
    fn who_reads_a_file_reads_on_when_it_is_closed_removed_or_replaced() {
        let (_home, dir) = home();
        let files = OpenFiles::with_limit(8);
        let file = files.open(&dir, "x").expect("opens");
        append(&file, "one");
        let held = file.get().expect("open");
        let reader = Arc::clone(&file);
        files.close_all();
        assert_eq!(files.count(), 0);
        file.remove().expect("removed");
        append(&files.open(&dir, "x").expect("made"), "two");
        files.close_all();
        assert_eq!(read(&reader), "one");
        assert_eq!(held.metadata().expect("there").len(), 3);
        // One that nobody reads is not opened once more for its end.
        drop((file, reader, held));
        let file = files.open(&dir, "y").expect("opens");
        files.close_all();
        file.remove().expect("removed");
        assert!(file.get().is_err());
        assert!(!dir.names().expect("read").contains(&"y".into()));
    }

    #[test]
    fn a_file_that_was_replaced_or_deleted_under_the_broker_is_not_taken_for_its_own() {
        let (home, dir) = home();
        let files = OpenFiles::with_limit(8);
        let file = files.open(&dir, "x").expect("opens");
        append(&file, "one");
        files.close_all();
        std::fs::rename(home.path().join("x"), home.path().join("kept")).expect("moved");
        assert_eq!(file.get().expect_err("gone").kind(), io::ErrorKind::NotFound);
        assert!(!home.path().join("x").exists(), "and none is made in its location");
        std::fs::copy(home.path().join("kept"), home.path().join("x")).expect("copied");
        assert_eq!(file.get().expect_err("another").kind(), io::ErrorKind::Other);
        std::fs::rename(home.path().join("kept"), home.path().join("x")).expect("moved back");
        file.rename("z").expect("renamed");
        assert_eq!(read(&file), "one");
        assert!(home.path().join("z").exists());
    }
}

//! Pool of open segment files. Segments are opened on demand, and the least recently used ones are closed when there
//! are too many.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::broker::directory::Directory;

/// Open segment files of all logs of a broker. A clone is the same pool.
#[derive(Debug, Clone)]
pub struct OpenFiles(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    limit: usize,
    /// Logical clock for `last_use`.
    uses: AtomicU64,
    open: Mutex<Vec<Weak<SegmentFile>>>,
}

/// Directory and file name.
type FileLocation = (Directory, String);

/// A segment file, which may be closed at the moment.
#[derive(Debug)]
pub struct SegmentFile {
    state: Mutex<FileState>,
    last_use: AtomicU64,
    files: OpenFiles,
}

#[derive(Debug)]
struct FileState {
    /// `None` after it was removed or another file took its name.
    location: Option<FileLocation>,
    open: Option<Arc<File>>,
    /// Device and inode, because the name may be taken by another file.
    identity: Option<(u64, u64)>,
}

impl Default for OpenFiles {
    /// A quarter of the process's limit. The rest is for connections, the journal and other uses.
    fn default() -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self::with_limit(usize::try_from(limit / 4).map_or(MAX_OPEN, |quarter| quarter.clamp(MIN_OPEN, MAX_OPEN)))
    }
}

const MAX_OPEN: usize = 1_024;
/// A broker needs at least this many.
const MIN_OPEN: usize = 8;

impl OpenFiles {
    /// Limit of open files, not counting files that are being read.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self(Arc::new(Pool { limit, uses: AtomicU64::new(0), open: Mutex::default() }))
    }

    /// Opens a file, and creates it if it is missing.
    pub fn open(&self, dir: &Directory, name: &str) -> io::Result<Arc<SegmentFile>> {
        let state = FileState { location: Some((dir.clone(), name.to_owned())), open: None, identity: None };
        let file = Arc::new(SegmentFile { state: Mutex::new(state), last_use: AtomicU64::new(0), files: self.clone() });
        file.get()?;
        Ok(file)
    }

    /// Adds an open file, and closes others if there are too many.
    fn opened(&self, file: &Arc<SegmentFile>) {
        let mut open = lock(&self.0.open);
        open.push(Arc::downgrade(file));
        if open.len() > self.0.limit {
            // Close several at once, because every file must be checked.
            close(&mut open, self.0.limit - self.0.limit / 8);
        }
    }

    /// Closes every file that can be opened again.
    fn close_all(&self) {
        close(&mut lock(&self.0.open), 0);
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        let open = lock(&self.0.open);
        open.iter().filter_map(Weak::upgrade).filter(|file| lock(&file.state).open.is_some()).count()
    }
}

/// Closes the least recently used files until `left` are open.
fn close(open: &mut Vec<Weak<SegmentFile>>, left: usize) {
    let mut files: Vec<Arc<SegmentFile>> = open.iter().filter_map(Weak::upgrade).collect();
    files.sort_by_key(|file| file.last_use.load(Ordering::Relaxed));
    let surplus = files.len().saturating_sub(left);
    for file in files.drain(..surplus) {
        let mut state = lock(&file.state);
        // A file without a name cannot be opened again.
        if state.location.is_some() {
            state.open = None;
        }
    }
    *open = files.iter().map(Arc::downgrade).collect();
}

/// Ignores poisoning: the data behind these locks is always consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the process or the system has too many open files.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

impl SegmentFile {
    /// Opens the file if necessary. It stays open while the result is in use. Fails if another file has taken its name.
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

    /// Renames it in its directory. After an error its name is unchanged.
    pub fn rename(&self, to: &str) -> io::Result<()> {
        let mut state = lock(&self.state);
        if let Some((dir, name)) = &mut state.location {
            dir.rename(name, to)?;
            to.clone_into(name);
        }
        Ok(())
    }

    /// Takes away its name before the file is removed or replaced. Existing readers can still read it.
    pub fn detach(self: &Arc<Self>) -> Option<FileLocation> {
        let mut state = lock(&self.state);
        if Arc::strong_count(self) > 1 && state.open.is_none() {
            // Open it for its readers now. If that fails, they get the error.
            drop(state.reopen());
        }
        state.location.take()
    }

    /// Gives its name back if the file was not removed.
    pub fn reattach(&self, location: Option<FileLocation>) {
        lock(&self.state).location = location;
    }

    /// Deletes the file. Existing readers can still read it.
    pub fn remove(self: &Arc<Self>) -> io::Result<()> {
        let location = self.detach();
        let removed = location.as_ref().map_or(Ok(()), |(dir, name)| dir.remove(name));
        removed.inspect_err(|_| self.reattach(location))
    }

    /// The path for messages.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        lock(&self.state).location.as_ref().map_or_else(PathBuf::new, |(dir, name)| dir.path_of(name))
    }

    #[cfg(test)]
    pub fn without_path(file: File) -> Arc<Self> {
        let state = FileState { location: None, open: Some(Arc::new(file)), identity: None };
        Arc::new(Self { state: Mutex::new(state), last_use: AtomicU64::new(0), files: OpenFiles::with_limit(1) })
    }
}

impl FileState {
    fn reopen(&mut self) -> io::Result<Arc<File>> {
        let Some((dir, name)) = &self.location else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the segment was removed"));
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
            // Not `InvalidData`: no batch was read.
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
        let home = tempfile::tempdir().expect("a temporary directory");
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
    fn any_number_of_files_with_few_open() {
        let (_home, dir) = home();
        let files = OpenFiles::with_limit(8);
        let all: Vec<_> = (0..100).map(|number| files.open(&dir, &number.to_string()).expect("opens")).collect();
        for round in ["a", "b"] {
            for (number, file) in all.iter().enumerate() {
                append(file, &format!("{round}{number}"));
                assert!(files.count() <= 8);
                append(&all[0], round);
                assert!(lock(&all[0].state).open.is_some(), "files in constant use stay open");
            }
        }
        assert!((1..100).all(|number| read(&all[number]) == format!("a{number}b{number}")));
        drop(all);
        assert_eq!(files.count(), 0);
    }

    #[test]
    fn readers_survive_close_removal_and_replacement() {
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
        // A file without readers is not opened again to be removed.
        drop((file, reader, held));
        let file = files.open(&dir, "y").expect("opens");
        files.close_all();
        file.remove().expect("removed");
        assert!(file.get().is_err());
        assert!(!dir.names().expect("read").contains(&"y".into()));
    }

    #[test]
    fn rejects_a_replaced_or_deleted_file() {
        let (home, dir) = home();
        let files = OpenFiles::with_limit(8);
        let file = files.open(&dir, "x").expect("opens");
        append(&file, "one");
        files.close_all();
        std::fs::rename(home.path().join("x"), home.path().join("kept")).expect("moved");
        assert_eq!(file.get().expect_err("gone").kind(), io::ErrorKind::NotFound);
        assert!(!home.path().join("x").exists(), "it is not created again");
        std::fs::copy(home.path().join("kept"), home.path().join("x")).expect("copied");
        assert_eq!(file.get().expect_err("another").kind(), io::ErrorKind::Other);
        std::fs::rename(home.path().join("kept"), home.path().join("x")).expect("moved back");
        file.rename("z").expect("renamed");
        assert_eq!(read(&file), "one");
        assert!(home.path().join("z").exists());
    }
}

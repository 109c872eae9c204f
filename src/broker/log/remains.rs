//! Owns what the opening of a log finds to be done: nothing of it is done before everything in the folder has been looked at.

use std::io::{self, Write};

use super::Log;
use super::recovery::{CLEAN, CLEANED};
use crate::broker::directory::Directory;
use crate::broker::ends::Slot;
use crate::broker::kill_points;
use crate::broker::notice::Notice;

/// What is to be done, by names in the folder of the log.
#[derive(Debug, Default)]
pub struct Remains {
    /// Files to be cut to so many bytes, and to be given these bytes then.
    pub mended: Vec<(String, u64, Vec<u8>)>,
    /// Files that are part of nothing any more, by what is written down of the log.
    pub removed: Vec<String>,
    /// Files that seem to be part of nothing.
    pub aside: Vec<String>,
    /// What there is to tell of it.
    pub notices: Vec<Notice>,
}

impl Log {
    /// Does what the opening has found to be done, and keeps the log's end in this place from now on.
    ///
    /// # Errors
    ///
    /// When a file cannot be written, renamed or removed.
    pub fn settle(&mut self, slot: Option<Slot>, notices: &mut Vec<Notice>) -> io::Result<()> {
        let remains = std::mem::take(&mut self.remains);
        let folder = self.storage.folder().cloned();
        if let Some(folder) = &folder {
            for (name, length, bytes) in &remains.mended {
                let mut file = folder.open_to_change(name)?;
                file.set_len(*length)?;
                file.write_all(bytes)?;
            }
        }
        notices.extend(remains.notices);
        self.slot = slot;
        if self.slot.is_some() {
            self.tell_through(&self.ending())?;
        }
        let Some(folder) = folder else { return Ok(()) };
        for name in &remains.removed {
            folder.remove(name)?;
            kill_points::passed();
        }
        for name in &remains.aside {
            let place = folder.set_aside(name)?;
            notices.push(Notice::SetAside { path: folder.path_of(name), place: folder.path_of(&place) });
        }
        match folder.remove(CLEAN) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes note of what compaction has left half-done.
    pub(super) fn note_half_done(&mut self, folder: &Directory, is_known: bool) -> io::Result<()> {
        for name in folder.names()? {
            if let Some(name) = name.to_str().filter(|name| name.ends_with(CLEANED)) {
                if is_known { &mut self.remains.removed } else { &mut self.remains.aside }.push(name.to_owned());
            }
        }
        Ok(())
    }
}

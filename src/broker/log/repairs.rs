//! Repairs that recovery of a log finds necessary. They are applied after all files of the data directory have been
//! checked.

use std::io::{self, Write};

use super::Log;
use super::recovery::{CLEAN, CLEANED};
use crate::broker::directory::Directory;
use crate::broker::ends::EndsSlot;
use crate::broker::events::BrokerEvent;
use crate::broker::kill_points;

/// By file names in the log's directory.
#[derive(Debug, Default)]
pub struct Repairs {
    /// Files to truncate to a length, and bytes to append then.
    pub truncated: Vec<(String, u64, Vec<u8>)>,
    /// Files that are not part of the log, according to its recorded end.
    pub removed: Vec<String>,
    /// Files that seem not to be part of the log.
    pub set_aside: Vec<String>,
    pub events: Vec<BrokerEvent>,
}

impl Log {
    /// Applies the repairs. From then on the log's end is recorded in this slot.
    pub fn apply_repairs(&mut self, slot: Option<EndsSlot>, events: &mut Vec<BrokerEvent>) -> io::Result<()> {
        let repairs = std::mem::take(&mut self.repairs);
        let dir = self.storage.dir().cloned();
        if let Some(dir) = &dir {
            for (name, length, bytes) in &repairs.truncated {
                let mut file = dir.open_to_change(name)?;
                file.set_len(*length)?;
                file.write_all(bytes)?;
            }
        }
        events.extend(repairs.events);
        self.slot = slot;
        if self.slot.is_some() {
            self.write_end_through(&self.current_end())?;
        }
        let Some(dir) = dir else { return Ok(()) };
        for name in &repairs.removed {
            dir.remove(name)?;
            kill_points::passed();
        }
        for name in &repairs.set_aside {
            let place = dir.set_aside(name)?;
            events.push(BrokerEvent::SetAside { path: dir.path_of(name), moved_to: dir.path_of(&place) });
        }
        match dir.remove(CLEAN) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Finds files of a compaction that was killed.
    pub(super) fn find_unfinished_compaction(&mut self, dir: &Directory, is_known: bool) -> io::Result<()> {
        for name in dir.names()? {
            if let Some(name) = name.to_str().filter(|name| name.ends_with(CLEANED)) {
                if is_known { &mut self.repairs.removed } else { &mut self.repairs.set_aside }.push(name.to_owned());
            }
        }
        Ok(())
    }
}

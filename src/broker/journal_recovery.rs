//! Recovery of the journal: it holds exactly what was acknowledged according to the file `ends`, or the broker does not
//! start. Nothing in the data directory is changed before this check.

use std::io::{self, Read};
use std::path::PathBuf;

use uuid::Uuid;

use super::corruption::{Corruption, OpenError, listed};
use super::directory::Directory;
use super::ends::{self, EndsContents, EndsFile, JournalEnd};
use super::events::BrokerEvent;
use super::journal::JournalEntry;
use super::journal::{self, Journal, JournalLine, JournalLines};

/// What is recorded of a data directory before recovery.
#[derive(Debug)]
pub enum DataDirState {
    /// It is empty.
    New,
    /// An earlier version without the file `ends` wrote it. Recovery trusts its files.
    Unrecorded,
    Recorded {
        found: Box<EndsContents>,
        /// Clean shutdown: no write was in progress.
        clean: bool,
        /// The machine was rebooted since, or may have been.
        rebooted: bool,
    },
}

/// A data directory of which only the journal was read so far.
#[derive(Debug)]
pub struct JournalRecovery {
    dir: Directory,
    fsync: bool,
    pub state: DataDirState,
    /// End of the journal.
    end: JournalEnd,
    events: Vec<BrokerEvent>,
}

impl JournalRecovery {
    /// Reads and checks the journal. Changes nothing, except that it finishes an interrupted rename of the file `ends`.
    pub fn read(dir: &Directory, cluster_id: Uuid, fsync: bool) -> Result<(Self, Vec<JournalEntry>), OpenError> {
        let path = dir.path_of(journal::NAME);
        let bytes = match dir.open_to_read(journal::NAME) {
            Ok(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).map_err(OpenError::storage(&path))?;
                Some(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(OpenError::storage(&path)(error)),
        };
        let lines = JournalLines::parse(bytes.as_deref().unwrap_or_default());
        let mut found = EndsFile::read(dir, fsync)?;
        if found.is_none() && lines.head().is_some() {
            // Killed between writing the file and renaming it.
            EndsFile::finish_publish(dir).map_err(OpenError::storage(&dir.path_of(ends::NEW_NAME)))?;
            found = EndsFile::read(dir, fsync)?;
        }
        let boot_id = ends::boot_id();
        let end = JournalEnd {
            cluster_id,
            generation: 0,
            acknowledged: lines.end(),
            digest: lines.digest(),
            intended: lines.end(),
            boot_id,
            clean: false,
        };
        let recovery = |state, end, events| Self { dir: dir.clone(), fsync, state, end, events };
        let Some(found) = found else {
            if lines.head().is_some() {
                let because = format!("{} was written with it", path.display());
                return Err(Corruption::Missing { path: dir.path_of(ends::NAME), because }.into());
            }
            if lines.broken_within {
                return Err(Corruption::CorruptLine { path, line: lines.whole.len() + 1 }.into());
            }
            let torn = lines.length - lines.end();
            let cut = (torn > 0).then_some(BrokerEvent::TailTruncated { path, bytes: torn, unacknowledged: false });
            let state = if lines.length == 0 { DataDirState::New } else { DataDirState::Unrecorded };
            return Ok((recovery(state, end, cut.into_iter().collect()), entries(lines.whole)));
        };
        if bytes.is_none() {
            let because = format!("{} was written with it", dir.path_of(ends::NAME).display());
            return Err(Corruption::Missing { path, because }.into());
        }
        let recorded = found.journal;
        let clean = recorded.clean;
        let rebooted = boot_id == 0 || recorded.boot_id != boot_id;
        let stays =
            acknowledged_lines(&lines, &recorded, cluster_id, rebooted).map_err(|fault| fault.of(path.clone()))?;
        let torn = lines.length - stays.last().map_or(0, |line| line.end);
        let cut = (torn > 0).then_some(BrokerEvent::TailTruncated { path, bytes: torn, unacknowledged: !rebooted });
        let end = JournalEnd {
            generation: lines.head().map_or(0, |head| head.generation),
            acknowledged: stays.last().map_or(0, |line| line.end),
            digest: stays.last().map_or(0, |line| line.digest),
            ..end
        };
        let count = stays.len();
        let state = DataDirState::Recorded { found: Box::new(found), clean, rebooted };
        let mut whole = lines.whole;
        whole.truncate(count);
        Ok((recovery(state, end, cut.into_iter().collect()), entries(whole)))
    }

    /// Whether the data directory has the file `ends`.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        matches!(self.state, DataDirState::Recorded { .. })
    }

    #[must_use]
    pub fn is_rebooted(&self) -> bool {
        matches!(self.state, DataDirState::Recorded { rebooted: true, .. })
    }

    /// Names the file at fault when logs hold records that nothing lists: the journal if it is missing, or the file
    /// `ends` if the journal knows the topic.
    #[must_use]
    pub fn attribute(&self, error: OpenError, of_known_topic: bool) -> OpenError {
        match (error, &self.state) {
            (OpenError::Corrupted(Corruption::UnknownLogs { paths }), DataDirState::New) => {
                let why = format!("it is missing or empty, but there are records in {}", listed(&paths));
                Corruption::Mismatch { path: self.dir.path_of(journal::NAME), why }.into()
            }
            (OpenError::Corrupted(Corruption::UnknownLogs { paths }), DataDirState::Recorded { .. })
                if of_known_topic =>
            {
                let why = format!("it does not list {}", listed(&paths));
                Corruption::Mismatch { path: self.dir.path_of(ends::NAME), why }.into()
            }
            (error, _) => error,
        }
    }

    /// Opens `ends` and the journal for writing, and records that the broker is running. From here on the directory is
    /// changed.
    pub fn begin(&mut self, events: &mut Vec<BrokerEvent>) -> io::Result<(EndsFile, Journal)> {
        events.append(&mut self.events);
        let ends = match &self.state {
            DataDirState::Recorded { found, .. } => found.ends.clone(),
            DataDirState::New | DataDirState::Unrecorded => EndsFile::create(&self.dir, self.fsync, &self.end)?,
        };
        let journal = Journal::resume(&self.dir, self.fsync, ends.clone(), self.end)?;
        Ok((ends, journal))
    }

    /// Publishes a new file `ends`, now that it is complete. The journal is rewritten first: its head says that `ends`
    /// goes with it.
    pub fn finish(&self, ends: &EndsFile, journal: &mut Journal, entries: &[JournalEntry]) -> io::Result<()> {
        if self.is_recorded() {
            return Ok(());
        }
        journal.rewrite(entries)?;
        ends.publish(&self.dir)
    }
}

fn entries(lines: Vec<JournalLine>) -> Vec<JournalEntry> {
    lines.into_iter().map(|line| line.entry).collect()
}

enum JournalFault {
    CorruptLine(usize),
    Truncated(u64, u64),
    TooLong(u64),
    Mismatch(&'static str),
}

impl JournalFault {
    fn of(self, path: PathBuf) -> Corruption {
        match self {
            Self::CorruptLine(line) => Corruption::CorruptLine { path, line },
            Self::Truncated(acknowledged, found) => Corruption::Truncated { path, acknowledged, found },
            Self::TooLong(acknowledged) => Corruption::TooLong { path, acknowledged },
            Self::Mismatch(why) => Corruption::Mismatch { path, why: why.to_owned() },
        }
    }
}

/// The lines to keep: the acknowledged ones; after a reboot also those that the disk has beyond them.
fn acknowledged_lines<'a>(
    lines: &'a JournalLines,
    recorded: &JournalEnd,
    cluster_id: Uuid,
    rebooted: bool,
) -> Result<&'a [JournalLine], JournalFault> {
    let whole = &lines.whole;
    let next = whole.len() + 1;
    let Some(head) = lines.head() else {
        return Err(match lines.length {
            0 => JournalFault::Truncated(recorded.acknowledged, 0),
            _ if whole.is_empty() => JournalFault::CorruptLine(next),
            _ => JournalFault::Mismatch("an older version wrote it, but not the file `ends`"),
        });
    };
    if head.cluster_id != cluster_id || recorded.cluster_id != cluster_id {
        return Err(JournalFault::Mismatch("`format.json`, the journal and the file `ends` are not of one cluster"));
    }
    let acknowledged = if head.generation == recorded.generation {
        let at = whole.iter().position(|line| line.end == recorded.acknowledged);
        match at {
            Some(at) if whole[at].digest == recorded.digest => at + 1,
            None if lines.length < recorded.acknowledged => {
                return Err(JournalFault::Truncated(recorded.acknowledged, lines.length));
            }
            None if lines.end() < lines.length => return Err(JournalFault::CorruptLine(next)),
            Some(_) | None => return Err(JournalFault::Mismatch("its lines are not the ones that were written")),
        }
    } else if head.generation == recorded.generation + 1 && head.follows == recorded.digest {
        // Killed after the rewrite, before its end was recorded.
        let entries = head.entries + 1;
        if whole.len() < entries {
            return Err(JournalFault::CorruptLine(next));
        }
        entries
    } else {
        return Err(JournalFault::Mismatch("the file `ends` belongs to an earlier or later journal"));
    };
    let end = whole[acknowledged - 1].end;
    if rebooted && !recorded.clean {
        return if lines.broken_within { Err(JournalFault::CorruptLine(next)) } else { Ok(whole) };
    }
    let most = if recorded.clean || head.generation != recorded.generation { end } else { recorded.intended };
    if lines.length > most {
        return Err(JournalFault::TooLong(end));
    }
    Ok(&whole[..acknowledged])
}

#[cfg(test)]
#[path = "journal_recovery_tests.rs"]
mod tests;

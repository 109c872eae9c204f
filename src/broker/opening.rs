//! Owns holding a data folder's journal against the file `ends`, before anything in the folder is changed: the journal holds what was
//! acknowledged, neither less nor more, or the broker does not start.

use std::io::{self, Read};
use std::path::PathBuf;

use uuid::Uuid;

use super::damage::{Damage, OpenError, listed};
use super::directory::Directory;
use super::ends::{self, Ends, Found, JournalEnd};
use super::entry::Entry;
use super::journal::{self, Journal, Line, Lines};
use super::notice::Notice;

/// What a folder's past says about its files.
#[derive(Debug)]
pub enum Past {
    /// There is none.
    New,
    /// A version without the file `ends` has written it: its files are taken for what they say.
    Unproven,
    /// What is written down of it.
    Proven {
        /// The file `ends`.
        found: Box<Found>,
        /// The broker was stopped, and nothing was on its way.
        clean: bool,
        /// The machine was started since, or may have been.
        rebooted: bool,
    },
}

/// A data folder of which only the journal was read.
#[derive(Debug)]
pub struct Opening {
    folder: Directory,
    fsync: bool,
    /// What the files are held against.
    pub past: Past,
    /// Where the journal ends.
    end: JournalEnd,
    notices: Vec<Notice>,
}

impl Opening {
    /// Reads the journal of a folder.
    ///
    /// # Errors
    ///
    /// When it is not what was acknowledged, or cannot be read.
    pub fn read(folder: &Directory, cluster_id: Uuid, fsync: bool) -> Result<(Self, Vec<Entry>), OpenError> {
        let path = folder.path_of(journal::NAME);
        let bytes = match folder.open_to_read(journal::NAME) {
            Ok(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).map_err(OpenError::storage(&path))?;
                Some(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(OpenError::storage(&path)(error)),
        };
        let lines = Lines::of(bytes.as_deref().unwrap_or_default());
        let mut found = Ends::read(folder, fsync)?;
        if found.is_none() && lines.head().is_some() {
            // Written whole, but for its name.
            Ends::publish_left(folder).map_err(OpenError::storage(&folder.path_of(ends::NEW)))?;
            found = Ends::read(folder, fsync)?;
        }
        let boot = ends::boot();
        let end = JournalEnd {
            cluster_id,
            generation: 0,
            acknowledged: lines.end(),
            chain: lines.chain(),
            intended: lines.end(),
            boot,
            clean: false,
        };
        let opening = |past, end, notices| Self { folder: folder.clone(), fsync, past, end, notices };
        let Some(found) = found else {
            if lines.head().is_some() {
                let because = format!("{} was written with it", path.display());
                return Err(Damage::Missing { path: folder.path_of(ends::NAME), because }.into());
            }
            if lines.broken_within {
                return Err(Damage::Line { path, line: lines.whole.len() + 1 }.into());
            }
            let torn = lines.length - lines.end();
            let cut = (torn > 0).then_some(Notice::TailCut { path, bytes: torn, unacknowledged: false });
            let past = if lines.length == 0 { Past::New } else { Past::Unproven };
            return Ok((opening(past, end, cut.into_iter().collect()), entries(lines.whole)));
        };
        if bytes.is_none() {
            let because = format!("{} was written with it", folder.path_of(ends::NAME).display());
            return Err(Damage::Missing { path, because }.into());
        }
        let proof = found.journal;
        let clean = proof.clean;
        let rebooted = boot == 0 || proof.boot != boot;
        let stays = whole_part(&lines, &proof, cluster_id, rebooted).map_err(|fault| fault.of(path.clone()))?;
        let torn = lines.length - stays.last().map_or(0, |line| line.end);
        let cut = (torn > 0).then_some(Notice::TailCut { path, bytes: torn, unacknowledged: !rebooted });
        let end = JournalEnd {
            generation: lines.head().map_or(0, |head| head.generation),
            acknowledged: stays.last().map_or(0, |line| line.end),
            chain: stays.last().map_or(0, |line| line.chain),
            ..end
        };
        let count = stays.len();
        let past = Past::Proven { found: Box::new(found), clean, rebooted };
        let mut whole = lines.whole;
        whole.truncate(count);
        Ok((opening(past, end, cut.into_iter().collect()), entries(whole)))
    }

    /// Whether what is written down of the folder is the word of the file `ends`.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        matches!(self.past, Past::Proven { .. })
    }

    /// Whether the machine was started since, or may have been.
    #[must_use]
    pub fn is_rebooted(&self) -> bool {
        matches!(self.past, Past::Proven { rebooted: true, .. })
    }

    /// The same error with the file that is wrong, where logs hold records and nothing is known of them: without a journal that one, and
    /// for a topic that the journal knows the file `ends`.
    #[must_use]
    pub fn blame(&self, error: OpenError, of_known_topic: bool) -> OpenError {
        match (error, &self.past) {
            (OpenError::Damaged(Damage::Unknown { paths }), Past::New) => {
                let why = format!("it is missing or empty, and there are records in {}", listed(&paths));
                Damage::Altered { path: self.folder.path_of(journal::NAME), why }.into()
            }
            (OpenError::Damaged(Damage::Unknown { paths }), Past::Proven { .. }) if of_known_topic => {
                let why = format!("it does not know of {}", listed(&paths));
                Damage::Altered { path: self.folder.path_of(ends::NAME), why }.into()
            }
            (error, _) => error,
        }
    }

    /// Opens the file `ends` for writing, and says in it that this broker is at work. The folder is changed from here on.
    ///
    /// # Errors
    ///
    /// When something cannot be written.
    pub fn begin(&mut self, notices: &mut Vec<Notice>) -> io::Result<(Ends, Journal)> {
        notices.append(&mut self.notices);
        let ends = match &self.past {
            Past::Proven { found, .. } => found.ends.clone(),
            Past::New | Past::Unproven => Ends::begin(&self.folder, self.fsync, &self.end)?,
        };
        let journal = Journal::resume(&self.folder, self.fsync, ends.clone(), self.end)?;
        Ok((ends, journal))
    }

    /// Gives the file `ends` its name, now that everything is in it; the journal is written anew, so that it says which it goes with.
    ///
    /// # Errors
    ///
    /// When something cannot be written.
    pub fn finish(&self, ends: &Ends, journal: &mut Journal, entries: &[Entry]) -> io::Result<()> {
        if self.is_proven() {
            return Ok(());
        }
        journal.rewrite(entries)?;
        ends.publish(&self.folder)
    }
}

fn entries(lines: Vec<Line>) -> Vec<Entry> {
    lines.into_iter().map(|line| line.entry).collect()
}

/// What is wrong with a journal.
enum Fault {
    Line(usize),
    Short(u64, u64),
    Long(u64),
    Altered(&'static str),
}

impl Fault {
    fn of(self, path: PathBuf) -> Damage {
        match self {
            Self::Line(line) => Damage::Line { path, line },
            Self::Short(acknowledged, found) => Damage::Short { path, acknowledged, found },
            Self::Long(acknowledged) => Damage::Long { path, acknowledged },
            Self::Altered(why) => Damage::Altered { path, why: why.to_owned() },
        }
    }
}

/// The lines that stay: those that were acknowledged, and where the machine went down also what the disk had beyond.
fn whole_part<'a>(lines: &'a Lines, proof: &JournalEnd, cluster_id: Uuid, rebooted: bool) -> Result<&'a [Line], Fault> {
    let whole = &lines.whole;
    let next = whole.len() + 1;
    let Some(head) = lines.head() else {
        return Err(match lines.length {
            0 => Fault::Short(proof.acknowledged, 0),
            _ if whole.is_empty() => Fault::Line(next),
            _ => Fault::Altered("it is an older version's, and the file `ends` is not"),
        });
    };
    if head.cluster_id != cluster_id || proof.cluster_id != cluster_id {
        return Err(Fault::Altered("`format.json`, the journal and the file `ends` are not of one cluster"));
    }
    let acknowledged = if head.generation == proof.generation {
        let at = whole.iter().position(|line| line.end == proof.acknowledged);
        match at {
            Some(at) if whole[at].chain == proof.chain => at + 1,
            None if lines.length < proof.acknowledged => {
                return Err(Fault::Short(proof.acknowledged, lines.length));
            }
            None if lines.end() < lines.length => return Err(Fault::Line(next)),
            Some(_) | None => return Err(Fault::Altered("its lines are not those that were written there")),
        }
    } else if head.generation == proof.generation + 1 && head.follows == proof.chain {
        // The process ended when it had been written anew, and before that was written down.
        let entries = head.entries + 1;
        if whole.len() < entries {
            return Err(Fault::Line(next));
        }
        entries
    } else {
        return Err(Fault::Altered("the file `ends` knows another one, written before or after it"));
    };
    let end = whole[acknowledged - 1].end;
    if rebooted && !proof.clean {
        return if lines.broken_within { Err(Fault::Line(next)) } else { Ok(whole) };
    }
    let most = if proof.clean || head.generation != proof.generation { end } else { proof.intended };
    if lines.length > most {
        return Err(Fault::Long(end));
    }
    Ok(&whole[..acknowledged])
}

#[cfg(test)]
#[path = "opening_tests.rs"]
mod tests;

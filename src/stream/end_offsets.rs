//! End offsets of a finite run (`--until-end`): whether the group has committed up to them, and what keeps it from
//! reaching them. Also waits, at the end of a run, until its last transaction is visible to `read_committed` consumers.

use std::time::Duration;

use super::Processor;
use super::error::StreamError;
use super::poll_loop::PollLoop;
use super::settings::{LoopEvent, LoopSettings};
use crate::clock::Deadline;
use crate::kafka::{EndOffset, Inspector, StableWait, TopicPartition};

/// Time between checks for open transactions and truncated logs.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The state of a finite run that reads nothing and has not reached its end offsets.
pub(super) struct EndWait {
    stable: StableWait,
    next: Deadline,
    /// Records processed when the wait began: the wait is over when another one is processed.
    records: u64,
}

impl<P: Processor> PollLoop<'_, P> {
    /// Whether the group has committed up to the end offsets, including the partitions of other members.
    pub(super) fn has_reached_end_offsets(&self) -> Result<bool, StreamError> {
        let Some(until) = &self.settings.until else { return Ok(false) };
        let mut others = Vec::new();
        for (source, end) in until {
            match self.tasks.iter().find(|task| task.source == *source) {
                Some(task) if task.has_committed(*end) => {}
                Some(_) => return Ok(false),
                None => others.push((source.clone(), *end)),
            }
        }
        let (sources, ends): (Vec<_>, Vec<_>) = others.into_iter().unzip();
        let offsets = match self.inspector.committed(&sources, &mut |_| {}) {
            Ok(offsets) => offsets,
            // The poll loop handles the stop.
            Err(_) if self.shutdown.requested().is_some() => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        Ok(offsets.iter().zip(ends).all(|(offset, end)| offset.is_some_and(|offset| offset >= end)))
    }

    /// Checks the partitions of this member that are not committed up to their end offsets: a transaction may be open
    /// below one, or the log may have been truncated.
    pub(super) fn check_unreached_ends(&mut self) -> Result<(), StreamError> {
        let Some(until) = &self.settings.until else { return Ok(()) };
        let records = self.summary.records;
        let wait = match &mut self.end_wait {
            Some(wait) if wait.records == records => wait,
            waits => {
                waits.insert(EndWait { stable: StableWait::default(), next: Deadline::after(CHECK_INTERVAL), records })
            }
        };
        if !wait.next.has_passed() {
            return Ok(());
        }
        wait.next = Deadline::after(CHECK_INTERVAL);
        let behind = until
            .iter()
            .filter(|(source, end)| self.tasks.iter().any(|task| task.source == *source && !task.has_committed(*end)));
        let (sources, ends): (Vec<TopicPartition>, Vec<i64>) = behind.cloned().unzip();
        if sources.is_empty() {
            return Ok(());
        }
        let listener = &mut self.listener;
        let mut note = |text: &str| {
            // The next call of the listener reports its failure again.
            listener(LoopEvent::Note(text)).unwrap_or_default();
        };
        match wait.stable.check(self.inspector, &sources, &ends, &mut note) {
            // Every transaction below the ends is complete: its records are about to be read.
            Ok(true) => self.end_wait = None,
            Ok(false) => {}
            Err(_) if self.shutdown.requested().is_some() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Waits until the transaction markers are written: the `EndTxn` response comes before them, and the next command must
/// see what this one has committed.
pub(super) fn wait_until_visible(
    settings: &LoopSettings,
    inspector: &Inspector,
    listener: &mut dyn FnMut(LoopEvent<'_>) -> Result<bool, crate::exit::Failure>,
) -> Result<(), StreamError> {
    let mut note = |text: &str| {
        // The loop has ended: a failing listener changes nothing.
        listener(LoopEvent::Note(text)).unwrap_or_default();
    };
    let partitions = |topics: &[String]| -> Vec<TopicPartition> {
        topics.iter().flat_map(|topic| TopicPartition::all(topic, settings.partitions)).collect()
    };
    let outputs = partitions(&settings.outputs);
    let ends = inspector.ends(&outputs, EndOffset::HighWatermark)?;
    inspector.wait_stable(&outputs, &ends, &mut note)?;
    Ok(inspector.committed(&partitions(&settings.sources), &mut note).map(drop)?)
}

//! Ends of a finite run: whether the group has committed up to them, and what keeps it from there.

use std::time::Duration;

use super::Processor;
use super::error::StreamError;
use super::poll_loop::PollLoop;
use super::settings::{LoopEvent, LoopSettings};
use crate::clock::Deadline;
use crate::kafka::{EndOffset, Inspector, StableWait, TopicPartition};

/// How often a run that reads nothing asks why.
const LOOK: Duration = Duration::from_millis(500);

/// The wait of a run that reads nothing before its ends.
pub(super) struct EndWait {
    stable: StableWait,
    next: Deadline,
    /// Records processed when the wait began: with the next one it is over.
    records: u64,
}

impl<P: Processor> PollLoop<'_, P> {
    /// Whether the whole group has committed up to the ends: partitions may be another member's.
    pub(super) fn has_reached_the_ends(&self) -> Result<bool, StreamError> {
        let Some(until) = &self.settings.until else { return Ok(false) };
        let mut others = Vec::new();
        for (place, end) in until {
            match self.tasks.iter().find(|task| task.source == *place) {
                Some(task) if task.has_committed(*end) => {}
                Some(_) => return Ok(false),
                None => others.push((place.clone(), *end)),
            }
        }
        let (places, ends): (Vec<_>, Vec<_>) = others.into_iter().unzip();
        let offsets = match self.inspector.committed(&places, &mut |_| {}) {
            Ok(offsets) => offsets,
            // The stop is dealt with in order by the loop.
            Err(_) if self.shutdown.requested().is_some() => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        Ok(offsets.iter().zip(ends).all(|(offset, end)| offset.is_some_and(|offset| offset >= end)))
    }

    /// Looks at the ends of partitions of this member that are not read to them: a transaction may be open below one, or the
    /// log may have lost its tail.
    pub(super) fn look_at_ends(&mut self) -> Result<(), StreamError> {
        let Some(until) = &self.settings.until else { return Ok(()) };
        let records = self.ended.records;
        let wait = match &mut self.waits {
            Some(wait) if wait.records == records => wait,
            waits => waits.insert(EndWait { stable: StableWait::default(), next: Deadline::after(LOOK), records }),
        };
        if !wait.next.has_passed() {
            return Ok(());
        }
        wait.next = Deadline::after(LOOK);
        let behind = until
            .iter()
            .filter(|(place, end)| self.tasks.iter().any(|task| task.source == *place && !task.has_committed(*end)));
        let (places, ends): (Vec<TopicPartition>, Vec<i64>) = behind.cloned().unzip();
        if places.is_empty() {
            return Ok(());
        }
        let watch = &mut self.watch;
        let mut tell = |text: &str| {
            // A closed reader is noticed at the next look.
            watch(LoopEvent::Note(text)).unwrap_or_default();
        };
        match wait.stable.check(self.inspector, &places, &ends, &mut tell) {
            // Stable, and about to be read.
            Ok(true) => self.waits = None,
            Ok(false) => {}
            Err(_) if self.shutdown.requested().is_some() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// The end-transaction reply comes before the markers are written: who ends now must be seen by whoever reads next.
pub(super) fn wait_visible(
    settings: &LoopSettings,
    inspector: &Inspector,
    watch: &mut dyn FnMut(LoopEvent<'_>) -> Result<bool, crate::exit::Failure>,
) -> Result<(), StreamError> {
    let mut tell = |text: &str| {
        // Only a closed reader can fail here, and nothing is left to stop.
        watch(LoopEvent::Note(text)).unwrap_or_default();
    };
    let places = |topics: &[String]| -> Vec<TopicPartition> {
        topics.iter().flat_map(|topic| TopicPartition::all(topic, settings.partitions)).collect()
    };
    let outputs = places(&settings.outputs);
    let ends = inspector.ends(&outputs, EndOffset::HighWatermark)?;
    inspector.wait_stable(&outputs, &ends, &mut tell)?;
    Ok(inspector.committed(&places(&settings.sources), &mut tell).map(drop)?)
}

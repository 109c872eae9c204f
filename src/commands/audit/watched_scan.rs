//! Scans of topics that may be deleted, created again or truncated in the meantime: the error says which one was.

use std::sync::Mutex;
use std::time::Duration;

use crate::clock::{self, Deadline};
use crate::commands::Context;
use crate::exit::{Code, Failure};
use crate::kafka::{
    EndOffset, Inspector, LATE_WATERMARK, OffsetRange, Operation, Reader, TopicPartition, scan_isolated,
};
use crate::lag::Isolation;
use crate::state::{TopicId, is_another_topic};

/// How long a scan may pass no offset before its topics are checked.
const QUIET: Duration = Duration::from_secs(2);

/// How long a broker may take to answer while a scan is running or after it was stopped.
pub(super) const SHORT_ANSWER: Duration = Duration::from_secs(2);

/// How soon an end is read again that a new leader may not know yet.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A topic as it was found before the scan.
#[derive(Debug, Clone)]
pub(super) struct WatchedTopic {
    pub partitions: Vec<TopicPartition>,
    pub id: Option<TopicId>,
    pub starts: Vec<i64>,
    pub ends: Vec<i64>,
}

impl WatchedTopic {
    /// The failure, with exit code 7, if it was deleted, created again or truncated since it was found. After a failed
    /// scan also if its first records were deleted; a scan that succeeded has read them.
    pub fn change(&self, inspector: &Inspector, has_failed: bool) -> Result<Option<Failure>, Failure> {
        let Some(TopicPartition { topic, .. }) = self.partitions.first() else { return Ok(None) };
        if inspector.partitions(topic, &[Operation::Read])?.is_none() {
            let failure = Failure::new(Code::Refused, format!("topic {topic} was deleted while it was read"));
            return Ok(Some(failure.hint("an audit needs topics that remain until its end")));
        }
        let id = inspector.topic_ids(std::slice::from_ref(topic), Duration::ZERO)?.pop().flatten();
        let failure = |message| Ok(Some(Failure::new(Code::Refused, message).hint("run the command again")));
        if is_another_topic(self.id.as_ref(), id.as_ref()) {
            return failure(format!("topic {topic} was deleted and created again while it was read"));
        }
        let late = Deadline::after(LATE_WATERMARK);
        let truncated = loop {
            let ends = inspector.ends(&self.partitions, EndOffset::HighWatermark)?;
            let mut pairs = self.partitions.iter().zip(self.ends.iter().zip(ends));
            let truncated = pairs.find(|(_, (before, now))| now < before);
            if truncated.is_none() || late.has_passed() {
                break truncated;
            }
            clock::pause(LOOK_AGAIN);
        };
        if let Some((place, (before, now))) = truncated {
            return failure(format!(
                "{place} was truncated while it was read: it ended at offset {before}, and ends at {now} now"
            ));
        }
        if has_failed {
            let starts = inspector.starts(&self.partitions)?;
            let mut pairs = self.partitions.iter().zip(self.starts.iter().zip(starts));
            if let Some((place, (before, now))) = pairs.find(|(_, (before, now))| now > before) {
                return failure(format!(
                    "records of {place} were deleted while it was read: it began at offset {before}, and begins at {now} now"
                ));
            }
        }
        Ok(None)
    }
}

/// Topics that must remain what they are while they are read.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    pub context: &'a Context,
    pub inspector: Inspector,
    pub topics: Vec<WatchedTopic>,
}

impl<'a> Watch<'a> {
    pub fn new(context: &'a Context, inspector: &Inspector, topics: Vec<WatchedTopic>) -> Self {
        Self { context, inspector: inspector.clone(), topics }
    }

    /// The change of one of the topics, if there is one and the broker answers.
    fn change(&self, has_failed: bool) -> Option<Failure> {
        let inspector = self.inspector.ignoring_shutdown().with_timeout(SHORT_ANSWER);
        // Without an answer, the scan's own error is shown.
        self.topics.iter().find_map(|topic| topic.change(&inspector, has_failed).ok().flatten())
    }

    /// Fails with exit code 7 if one of the topics was deleted, created again or truncated. A command that was stopped,
    /// before or while it asks, does not wait for a broker that does not answer.
    pub fn check(&self) -> Result<(), Failure> {
        for topic in &self.topics {
            match topic.change(&self.inspector, false) {
                Err(failure) if failure.code.is_stop() => return self.change(false).map_or(Ok(()), Err),
                change => change?.map_or(Ok(()), Err)?,
            }
        }
        Ok(())
    }

    /// Reads ranges, as [`scan_isolated`]. `passed` gets the number of records read so far, shows the progress, and
    /// returns it.
    ///
    /// # Errors
    ///
    /// As [`scan_isolated`]; exit code 7 with the name of a topic that has changed, where that is the cause.
    pub fn scan<R: Reader<Error = Failure>>(
        &self,
        isolation: Isolation,
        group: &str,
        ranges: &[OffsetRange],
        shares: &[Mutex<R>],
        mut passed: impl FnMut(u64) -> u64,
    ) -> Result<(), Failure> {
        if ranges.iter().all(|range| range.offsets() == 0) {
            return Ok(());
        }
        let Context { common, shutdown, .. } = self.context;
        let (mut last, mut quiet) = (0, Deadline::after(QUIET));
        let read = scan_isolated(isolation, &common.connection, group, ranges, shares, shutdown, |records| {
            let now = passed(records);
            if now != std::mem::replace(&mut last, now) {
                quiet.renew();
            } else if quiet.has_passed() {
                quiet.renew();
                // The client waits for a topic that was deleted.
                return self.change(false).map_or(Ok(()), Err);
            }
            Ok(())
        });
        match read {
            Err(failure) if !failure.code.is_stop() => Err(self.change(true).unwrap_or(failure)),
            other => other,
        }
    }
}
